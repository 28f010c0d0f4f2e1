"""What each part of the int8 recipe is worth: accuracy against torch and time, for docs/adr/003-int8-recipe.md.

    .venv-export/bin/python benchmarks/int8.py --weights build/weights --layer 7

Needs the export environment. Every variant is the same cut backbone, as optimum exports it or as export/fused.py
writes it. Cosines are between the hidden states of torch fp32 and of the graph, per token, over the self-test's
sentences behind the prompt prefix. Times are medians of interleaved runs at batch 1, relative to the first variant.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall.encoder import Encoder, Past  # noqa: E402
from alknet_firewall.tokenizer import Tokenizer  # noqa: E402
from benchmarks.common import environment, interleave, markdown_table, median, write_results  # noqa: E402
from export import graph, rotate  # noqa: E402
from export.build import prefixes  # noqa: E402
from export.fused import Floats  # noqa: E402
from export.quantize import Integers  # noqa: E402
from export.writing import SELFTEST_TEXTS  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "int8.json"
N_TOKENS = 128


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(path_type=Path), required=True)
@click.option("--adapter", type=click.Path(path_type=Path))
@click.option("--layer", default=7, show_default=True)
@click.option("--runs", default=15, show_default=True)
def main(weights: Path, adapter: Path | None, layer: int, runs: int) -> None:
    """Measure every variant, write the results, print the table."""
    traced = graph.trace(graph.load_backbone(weights, layer, adapter))
    folded, rotated = graph.load_backbone(weights, layer, adapter), graph.load_backbone(weights, layer, adapter)
    still = rotate.fold_and_rotate(
        folded, rotate.Rotation(np.eye(folded.config.hidden_size), np.eye(1), np.ones(folded.config.hidden_size))
    )
    turned = rotate.fold_and_rotate(rotated)
    variants: dict[str, Callable[[], Any]] = {
        "dynamic, one scale a tensor": lambda: dynamic(traced, []),
        "dynamic, down_proj in fp32": lambda: dynamic(traced, ["down_proj"]),
        "fp32, traced": lambda: traced,
        "fp32": lambda: graph.write(rotated, Floats(), turned),
        "12 blocks": lambda: graph.write(folded, Integers(), still),
        "rotated, 1 block": lambda: graph.write(rotated, Integers(block=1536), turned),
        "rotated, 3 blocks": lambda: graph.write(rotated, Integers(block=512), turned),
        "rotated, 6 blocks": lambda: graph.write(rotated, Integers(block=256), turned),
        "rotated, 12 blocks": lambda: graph.write(rotated, Integers(), turned),
        "rotated, 12 blocks, 7-bit weights": lambda: graph.write(rotated, Integers(levels=63), turned),
    }
    with tempfile.TemporaryDirectory() as scratch:
        encoders = {name: load(make(), Path(scratch) / f"{number}.onnx") for number, (name, make) in enumerate(variants.items())}
        accuracy = {name: cosines(encoder, weights, adapter, layer) for name, encoder in encoders.items()}
        times = interleaved(encoders, layer, runs)
    first = next(iter(times.values()))
    rows = {name: {**accuracy[name], "time_ratio": times[name] / first} for name in variants}
    write_results(RESULTS, {"environment": environment(), "layer": layer, "tokens": N_TOKENS, "variants": rows})
    cells = [[name, f"{row['mean']:.4f}", f"{row['worst']:.3f}", f"{row['time_ratio']:.2f}"] for name, row in rows.items()]
    click.echo(markdown_table(["variant", "mean cosine", "worst cosine", "time"], cells))


def dynamic(model: Any, kept: list[str]) -> Any:
    """ONNX Runtime's own dynamic quantisation, per channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    excluded = [node.name for node in model.graph.node if any(part in node.name for part in kept)]
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "in.onnx", Path(scratch) / "out.onnx"
        onnx.save(model, source)
        quantize_dynamic(
            source, target, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"], nodes_to_exclude=excluded
        )
        return onnx.load(target)


def load(model: Any, path: Path) -> Encoder:
    """A session of a graph."""
    path.write_bytes(model.SerializeToString())
    return Encoder(path, threads=2)


def cosines(encoder: Encoder, weights: Path, adapter: Path | None, layer: int) -> dict[str, float]:
    """Mean and worst cosine to torch, over all tokens of the sentences."""
    import torch

    model = graph.load_backbone(weights, layer, adapter)
    tokenizer, prefix = Tokenizer.load(weights / "tokenizer.json"), np.array(prefixes(weights / "tokenizer.json")["prompt"].ids)
    past = encoder.past_of(prefix, empty_past(layer))
    found = []
    for case in json.loads(SELFTEST_TEXTS.read_text(encoding="utf-8")):
        ids = tokenizer.encode(case["text"]).ids
        with torch.no_grad():
            expected = model(input_ids=torch.from_numpy(np.concatenate([prefix, ids]))[None]).last_hidden_state[0, len(prefix) :].numpy()
        states = encoder.hidden_states(ids[None], np.ones_like(ids)[None], past)[0]
        found.append((expected * states).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(states, axis=1))
    values = np.concatenate(found)
    return {"mean": float(values.mean()), "worst": float(values.min())}


def interleaved(encoders: dict[str, Encoder], layer: int, runs: int) -> dict[str, float]:
    """Median seconds of each encoder, all in turn."""
    ids = np.random.default_rng(0).integers(100, 40_000, (1, N_TOKENS))
    past = next(iter(encoders.values())).past_of(np.array([1]), empty_past(layer))

    def seconds(encoder: Encoder) -> float:
        started = time.perf_counter()
        encoder.hidden_states(ids, np.ones_like(ids), past)
        return time.perf_counter() - started

    tasks = {name: functools.partial(seconds, encoder) for name, encoder in encoders.items()}
    return {name: median(values) for name, values in interleave(runs, tasks).items()}


def empty_past(layer: int) -> Past:
    """A past of no tokens for SmolLM2-135M."""
    nothing = np.zeros((layer, 3, 0, 64), np.float32)
    return Past(nothing, nothing)


if __name__ == "__main__":
    main()
