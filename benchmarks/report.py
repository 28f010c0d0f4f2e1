"""Draw the results of the benchmarks into docs/plots/ and put their tables into docs/performance.md. Needs the extra 'report'.

    python benchmarks/report.py

Plots and tables of results that are not there are left as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks import latency, memory, shares, streaming, throughput  # noqa: E402
from benchmarks.common import median, read_results  # noqa: E402
from benchmarks.latency import AT, GRAPH, PEAK, SCAN  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PLOTS = ROOT / "docs" / "plots"
PAGE = ROOT / "docs" / "performance.md"


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the results.")
@click.option("--out", type=click.Path(path_type=Path), default=PLOTS, help="Folder for the plots.")
def main(results: Path, out: Path) -> None:
    """Draw what there is."""
    found = {path.stem: read_results(path) for path in sorted(results.glob("*.json"))}
    out.mkdir(parents=True, exist_ok=True)
    plots = {
        "latency": latency_by_length,
        "throughput": throughput_by_batch,
        "layers": cost_by_layers,
        "quality": reliability,
    }
    for name, draw in plots.items():
        if name not in found:
            click.echo(f"{name}: left out, there is no {name}.json")
            continue
        save(draw(found[name]), out / f"{name}.svg")
        click.echo(f"{name}: drawn")
    makers = {
        "latency": latency.tables,
        "shares": shares.tables,
        "throughput": throughput.table,
        "memory": memory.table,
        "streaming": streaming.tables,
    }
    PAGE.write_text(
        with_tables(PAGE.read_text(encoding="utf-8"), {n: make(found[n]) for n, make in makers.items() if n in found}), encoding="utf-8"
    )


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """A page with new tables between ``<!-- table:NAME -->`` and ``<!-- /table -->``."""
    for name, table in tables.items():
        page = re.sub(f"(<!-- table:{name} -->\n).*?(\n<!-- /table -->)", lambda m, t=table: m[1] + t + m[2], page, flags=re.DOTALL)
    return page


def axes(x: str, y: str) -> Any:
    """An empty plot with its axes named."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.3)
    return ax


def save(ax: Any, path: Path) -> None:
    """Write a plot, the same bytes for the same numbers."""
    import matplotlib as mpl

    mpl.rcParams["svg.hashsalt"] = "alknet-firewall"
    ax.figure.savefig(path, metadata={"Date": None})


def latency_by_length(results: Mapping[str, Any]) -> Any:
    """Milliseconds by tokens, of every contender."""
    ax = axes("tokens", "milliseconds, batch 1")
    for name, own in results["seconds"].items():
        lengths = sorted(map(int, own))
        style = {"linewidth": 2.2} if name in (SCAN, GRAPH) else {"linewidth": 1.0, "linestyle": ":" if name == PEAK else "--"}
        ax.plot(lengths, [1000 * median(own[str(n)]) for n in lengths], marker=".", label=name, **style)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(lengths, [str(n) for n in lengths])
    ax.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def throughput_by_batch(results: Mapping[str, Any]) -> Any:
    """Tokens a second by windows computed together."""
    ax = axes("texts of 128 tokens computed together", "tokens a second")
    sizes = sorted(map(int, results["batches"]))
    ax.plot(sizes, [median(results["batches"][str(n)]) for n in sizes], marker="o")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set_ylim(bottom=0)
    return ax


def cost_by_layers(results: Mapping[str, Any]) -> Any:
    """Milliseconds by where the model is cut."""
    ax = axes("blocks", f"milliseconds, batch 1, {AT} tokens")
    layers = sorted(map(int, results["seconds"]))
    ax.plot(layers, [1000 * median(results["seconds"][str(n)]) for n in layers], marker="o")
    ax.set_ylim(bottom=0)
    return ax


def reliability(results: Mapping[str, Any]) -> Any:
    """Share of attacks by probability, on the left-out texts."""
    ax = axes("mean probability", "share of attacks")
    ax.plot([0, 1], [0, 1], color="#888888", linestyle=":", linewidth=1)
    for origin, own in results["default"].items():
        bins = own["reliability"]
        ax.plot([b["mean_probability"] for b in bins], [b["attack_share"] for b in bins], marker="o", label=origin)
    ax.legend()
    return ax


if __name__ == "__main__":
    main()
