"""What each block of the encoder costs: the graph cut after 4 to 10 blocks, in turn.

    .venv-export/bin/python benchmarks/layers.py

Needs the export environment. Weights are random, which takes the same time; everything else is the graph that ships.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall.encoder import Encoder, Past  # noqa: E402
from benchmarks.common import circumstances, environment, human_seconds, interleave, markdown_table, median, write_results  # noqa: E402
from benchmarks.peer_transformers import INTERMEDIATE_SIZE  # noqa: E402
from benchmarks.worker import seconds  # noqa: E402
from export.fused import Shape, write_graph  # noqa: E402
from export.quantize import Integers  # noqa: E402
from export.rotate import flat_rotation  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "layers.json"
LAYERS = tuple(range(4, 11))
TOKENS, VOCABULARY, PREFIX = 128, 1000, 6


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
def main(rounds: int, threads: int) -> None:
    """Measure, write the results, print the table."""
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (1, TOKENS))
    tasks = {}
    with tempfile.TemporaryDirectory() as scratch:
        for layers in LAYERS:
            path = Path(scratch) / f"{layers}.onnx"
            path.write_bytes(random_graph(layers))
            run = partial(Encoder(path, threads).hidden_states, ids, np.ones_like(ids), random_past(layers))
            tasks[str(layers)] = partial(seconds, run)
        results = {"environment": environment(threads), "rounds": rounds, "seconds": interleave(rounds, tasks)}
    write_results(RESULTS, results)
    rows = [[name, human_seconds(median(values))] for name, values in results["seconds"].items()]
    click.echo(f"{markdown_table(['blocks', f'{TOKENS} tokens'], rows)}\n\n{circumstances(results)}")


def random_graph(layers: int) -> bytes:
    """The int8 graph of SmolLM2-135M's sizes."""
    random, shape = np.random.default_rng(layers), Shape(layers, 9, 3, 64, 1e-5, 1e5)
    width, keys = shape.width, shape.key_value_heads * shape.head_size
    sizes = {"q": (width, width), "k": (keys, width), "v": (keys, width), "o": (width, width)}
    sizes = {f"self_attn.{name}_proj": size for name, size in sizes.items()}
    sizes |= {f"mlp.{name}_proj": (INTERMEDIATE_SIZE, width) for name in ("gate", "up")} | {"mlp.down_proj": (width, INTERMEDIATE_SIZE)}
    weights: dict[str, Any] = {"embed_tokens.weight": random.normal(size=(VOCABULARY, width)).astype(np.float32)}
    for layer in range(layers):
        weights |= {f"layers.{layer}.{n}.weight": random.normal(size=size, scale=0.04).astype(np.float32) for n, size in sizes.items()}
        norms = ("input_layernorm", "post_attention_layernorm")
        weights |= {f"layers.{layer}.{name}.weight": np.ones(width, np.float32) for name in norms}
    return bytes(write_graph(shape, weights, Integers(), flat_rotation(width)).SerializeToString())


def random_past(layers: int) -> Past:
    """Keys and values of a prefix."""
    random = np.random.default_rng(0)
    keys, values = (random.normal(size=(layers, 3, PREFIX, 64)).astype(np.float32) for _ in range(2))
    return Past(keys, values)


if __name__ == "__main__":
    main()
