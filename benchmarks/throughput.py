"""How much text a second: by batch, in long documents, over many texts of mixed length, and with threads that share one session.

python benchmarks/throughput.py
python benchmarks/throughput.py --short
python benchmarks/throughput.py --markdown
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from benchmarks.common import (  # noqa: E402
    MAXRSS_UNIT,
    circumstances,
    environment,
    human_bytes,
    interleave,
    markdown_table,
    median,
    read_results,
    write_results,
)
from benchmarks.worker import text_of  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "throughput.json"
BATCHES = (1, 2, 4, 8, 16)
TOKENS = 128
DOCUMENTS = (1_000, 10_000, 100_000)
THREADS = 8


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of the session.")
@click.option("--texts", "n_texts", type=click.IntRange(min=1), default=10_000, show_default=True, help="Texts of mixed length.")
@click.option("--artifact", type=click.Path(path_type=Path, exists=True), help="Folder of the artifact.  [default: the embedded one]")
@click.option("--short", is_flag=True, help="Three rounds, short documents, 200 texts, and do not keep the results.")
@click.option("--markdown", is_flag=True, help="Print the table of the last run.")
def main(rounds: int, threads: int, n_texts: int, artifact: Path | None, *, short: bool, markdown: bool) -> None:
    """Measure, write the results, print the table."""
    if markdown:
        results = read_results(RESULTS)
    else:
        firewall = Firewall.from_pretrained(artifact, threads=threads)
        results = {
            "environment": environment(threads),
            "rounds": 3 if short else rounds,
            "batches": batches(firewall, 3 if short else rounds),
            "documents": documents(firewall, DOCUMENTS[: 2 if short else 3], 3),
            "mixed": mixed(firewall, 200 if short else n_texts),
            "shared": shared(firewall, 3 if short else rounds),
        }
        if not short:
            write_results(RESULTS, results)
    click.echo(table(results))


def seconds(task: Callable[[], Any]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def batches(firewall: Firewall, rounds: int) -> dict[str, list[float]]:
    """Tokens a second of texts of equal length, by how many are computed together."""
    texts = [text_of(firewall, TOKENS, number) for number in range(max(BATCHES))]
    tasks = {
        str(size): partial(seconds, partial(firewall.scan_batch, texts, "content", batch_size=size, with_views=False)) for size in BATCHES
    }
    return {size: [len(texts) * TOKENS / s for s in values] for size, values in interleave(rounds, tasks).items()}


def documents(firewall: Firewall, sizes: Sequence[int], rounds: int) -> dict[str, dict[str, Any]]:
    """Tokens a second and the process's peak, of documents that grow, the smallest first: a peak never falls."""
    found: dict[str, dict[str, Any]] = {}
    texts = {size: text_of(firewall, size, 0) for size in sizes}
    for size, text in texts.items():
        task = partial(seconds, partial(firewall.scan, text, "content"))
        task()
        found[str(size)] = {"rates": [], "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT}
    tasks = {str(size): partial(seconds, partial(firewall.scan, text, "content")) for size, text in texts.items()}
    for size, values in interleave(rounds, tasks).items():
        found[size]["rates"] = [int(size) / s for s in values]
    return found


def mixed(firewall: Firewall, n_texts: int) -> dict[str, Any]:
    """Many texts of 5 to 2,000 tokens, short ones most, in one call."""
    draw = random.Random(0)
    prose = text_of(firewall, 20_000, 0)
    texts = []
    for _ in range(n_texts):
        length = int(min(8_000, 20 * 2 ** draw.expovariate(0.5)))
        start = draw.randrange(len(prose) - length)
        texts.append(prose[start : start + length])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    elapsed = seconds(partial(firewall.scan_batch, texts, "content"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    return {"texts": n_texts, "characters": sum(map(len, texts)), "seconds": elapsed, "peak_before_bytes": before, "peak_bytes": peak}


def shared(firewall: Firewall, rounds: int) -> dict[str, Any]:
    """The same scans by one thread and by eight that share the session; every verdict is compared."""
    texts = [text_of(firewall, 40 + 30 * (number % 4), number) for number in range(32)]
    expected = [firewall.scan(text, "content") for text in texts]
    lost = 0

    def one() -> None:
        for text in texts:
            firewall.scan(text, "content")

    def many() -> None:
        nonlocal lost
        with ThreadPoolExecutor(THREADS) as pool:
            verdicts = list(pool.map(partial(firewall.scan, origin="content"), texts))
        same = (abs(a.score - b.score) < 1e-6 and a.flagged == b.flagged for a, b in zip(verdicts, expected, strict=True))
        lost += len(texts) - sum(same)

    runs = interleave(rounds, {"one": partial(seconds, one), str(THREADS): partial(seconds, many)})
    return {"texts": len(texts), "lost": lost, "texts_a_second": {name: [len(texts) / s for s in values] for name, values in runs.items()}}


def table(results: Mapping[str, Any]) -> str:
    """All results as one markdown table."""
    rows = [[f"{TOKENS}-token texts, {n} together", f"{median(v):,.0f} tokens/s", ""] for n, v in results["batches"].items()]
    base = median(results["documents"][str(DOCUMENTS[0])]["rates"])
    for size, found in results["documents"].items():
        rate = median(found["rates"])
        peak = f"{rate / base:.0%} of the shortest's rate; peak {human_bytes(found['peak_bytes'])}"
        rows.append([f"a document of {int(size):,} tokens", f"{rate:,.0f} tokens/s", peak])
    many = results["mixed"]
    grown = human_bytes(many["peak_bytes"] - many["peak_before_bytes"])
    rate = f"{many['texts'] / many['seconds']:,.0f} texts/s, {many['characters'] / many['seconds']:,.0f} characters/s"
    rows.append([f"{many['texts']:,} texts of mixed length", rate, f"peak {human_bytes(many['peak_bytes'])}, {grown} more than before"])
    both = {name: median(values) for name, values in results["shared"]["texts_a_second"].items()}
    rows.append(["one thread", f"{both['one']:.0f} texts/s", ""])
    ratio = f"{both[str(THREADS)] / both['one']:.2f} x one thread; {results['shared']['lost']} verdicts lost or changed"
    rows.append([f"{THREADS} threads sharing the session", f"{both[str(THREADS)]:.0f} texts/s", ratio])
    return f"{markdown_table(['', 'throughput', ''], rows)}\n\n{circumstances(results)}"


if __name__ == "__main__":
    main()
