"""How long a verdict takes, beside the guards and the framework that a user would pick instead, in the same run.

    python benchmarks/latency.py
    python benchmarks/latency.py --short
    python benchmarks/latency.py --markdown

Every contender is a process of its own; they take turns, in an order that alternates. Peers are shapes with random weights in
ONNX Runtime (benchmarks/peers.py) and our encoder's shape in transformers and torch. Those that are not installed are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.common import (  # noqa: E402
    circumstances,
    environment,
    interleave,
    markdown_table,
    median,
    read_results,
    write_results,
)
from benchmarks.contenders import PEER_PYTHON, Worker  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "latency.json"
EMBEDDED = ROOT / "src" / "alknet_firewall" / "models" / "small"
PEERS = ROOT / "build" / "peers"
WORKER = ROOT / "benchmarks" / "worker.py"
LENGTHS = (16, 32, 64, 128, 256)
AT = 128
"""Tokens at which contenders are compared."""

PEAK_AT = 256
SCAN, GRAPH, PEAK = "alknet-firewall, text to verdict", "alknet-firewall, graph", "its integer products alone"

TARGETS = (
    ("12 x 384 in int8, the shape of Prompt Guard 2 22M", ("DeBERTa 12 x 384, int8",), 1.5),
    ("12 x 384, whichever is better", ("DeBERTa 12 x 384, int8", "DeBERTa 12 x 384, fp32"), 1.5),
    ("12 x 768 in fp32, the shape of Prompt Guard 2 86M", ("DeBERTa 12 x 768, fp32",), 5.0),
    ("12 x 768, whichever is better", ("DeBERTa 12 x 768, int8", "DeBERTa 12 x 768, fp32"), None),
    ("transformers + torch, fp32", ("transformers + torch, fp32",), 5.0),
    ("transformers + torch, bf16", ("transformers + torch, bf16",), 2.5),
)
"""What is asked of the graph, beside which peers, and how many times as fast it should be."""


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--artifact", type=click.Path(path_type=Path, exists=True), help="Folder of the artifact.  [default: the embedded one]")
@click.option("--peer-python", type=click.Path(path_type=Path), default=PEER_PYTHON, help="Python that has torch and transformers.")
@click.option("--short", is_flag=True, help="Only 128 and 256 tokens, five rounds, and do not keep the results.")
@click.option("--markdown", is_flag=True, help="Print the tables of the last run.")
def main(rounds: int, threads: int, artifact: Path | None, peer_python: Path, *, short: bool, markdown: bool) -> None:
    """Measure, write the results, print the tables."""
    results = read_results(RESULTS) if markdown else measure(5 if short else rounds, threads, artifact, peer_python, short=short)
    if not markdown and not short:
        write_results(RESULTS, results)
    click.echo(tables(results))


def measure(rounds: int, threads: int, artifact: Path | None, peer_python: Path, *, short: bool) -> dict[str, Any]:
    """All samples: contender -> tokens -> a value a round."""
    workers = {name: Worker(command, threads) for name, command in contenders(artifact, peer_python).items()}
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in workers}
    for tokens in (AT, PEAK_AT) if short else LENGTHS:
        tasks = {name: partial(worker.run, tokens=tokens) for name, worker in workers.items()}
        for name, values in interleave(rounds, tasks).items():
            samples[name][str(tokens)] = values
    for worker in workers.values():
        worker.close()
    versions = {name: worker.versions for name, worker in workers.items()}
    return {"environment": environment(threads), "rounds": rounds, "contenders": versions, "seconds": samples}


def contenders(artifact: Path | None, peer_python: Path) -> dict[str, list[str | Path]]:
    """Commands of those that are here."""
    own = str(artifact or "-")
    found: dict[str, list[str | Path]] = {SCAN: [sys.executable, WORKER, "scan", own], GRAPH: [sys.executable, WORKER, "graph", own]}
    files = {
        "DeBERTa 12 x 384, fp32": "deberta-v3-xsmall-fp32.onnx",
        "DeBERTa 12 x 384, int8": "deberta-v3-xsmall-int8.onnx",
        "DeBERTa 12 x 768, fp32": "mdeberta-v3-base-fp32.onnx",
        "DeBERTa 12 x 768, int8": "mdeberta-v3-base-int8.onnx",
        PEAK: "peak.onnx",
    }
    found |= {name: [sys.executable, WORKER, "onnx", PEERS / file] for name, file in files.items() if (PEERS / file).exists()}
    if peer_python.exists():
        for precision in ("fp32", "bf16"):
            found[f"transformers + torch, {precision}"] = [peer_python, WORKER, "torch", precision, artifact or EMBEDDED]
    return found


def tables(results: Mapping[str, Any]) -> str:
    """Times by length, then ratios and targets."""
    seconds = {name: {int(n): median(values) for n, values in own.items()} for name, own in results["seconds"].items()}
    lengths = sorted(next(iter(seconds.values())))
    rows = [[name, *(f"{1000 * own[n]:.1f} ms" for n in lengths)] for name, own in seconds.items()]
    parts = [markdown_table(["batch 1", *(f"{n} tokens" for n in lengths)], rows), ratio_table(seconds), circumstances(results)]
    return "\n\n".join(part for part in parts if part)


def ratio_table(seconds: Mapping[str, Mapping[int, float]]) -> str:
    """How many times as long the peers take, and the share of the machine's integer peak."""
    rows = []
    for label, names, target in TARGETS:
        times = [seconds[name][AT] for name in names if name in seconds]
        if times:
            wanted = "" if target is None else f"{target:g} x"
            rows.append([label, f"{min(times) / seconds[GRAPH][AT]:.2f} x", f"{min(times) / seconds[SCAN][AT]:.2f} x", wanted])
    if PEAK in seconds:
        shares = [f"{seconds[PEAK][PEAK_AT] / seconds[own][PEAK_AT]:.0%}" for own in (GRAPH, SCAN)]
        rows.append([f"share of the integer peak at {PEAK_AT} tokens", *shares, "60%"])
    return markdown_table([f"at {AT} tokens, the peer takes", "of the graph", "of text to verdict", "wanted"], rows) if rows else ""


if __name__ == "__main__":
    main()
