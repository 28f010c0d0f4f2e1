"""Streams beside scans of the same texts: what they cost, and how much of an attack had arrived when it was flagged.

    python benchmarks/streaming.py --data train.jsonl.gz
    python benchmarks/streaming.py --markdown

Times: one text in chunks of 16 tokens and one scan of it, in turn. Attacks: texts of the sources left out of training
(export/corpora.toml), in the same chunks; how many harmless ones are flagged at any time is counted as well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from alknet_firewall.verdict import ORIGINS, Origin  # noqa: E402
from benchmarks.common import environment, human_seconds, interleave, markdown_table, median, read_results, write_results  # noqa: E402
from export.corpora import held_out_sources  # noqa: E402
from export.data import Example, all_examples, sample_examples, split_examples  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "streaming.json"
CHUNK = 16
"""Tokens of a chunk."""

LENGTHS = (256, 1_000, 4_000, 16_000)
"""Tokens of the timed texts."""

PROSE = ROOT / "docs" / "adr"


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), multiple=True, help="Labelled JSON lines.")
@click.option("--rows", type=int, default=20_000, show_default=True, help="Rows of our own corpus to choose from.")
@click.option("--texts", type=int, default=400, show_default=True, help="Attacks, and harmless texts, of each origin.")
@click.option("--hold-out", multiple=True, help="Source to choose from; may be a pattern.  [default: those left out of training]")
@click.option("--rounds", type=click.IntRange(min=1), default=9, show_default=True, help="Times that each length is timed.")
@click.option("--lengths", default=",".join(map(str, LENGTHS)), show_default=True, metavar="N,...", help="Tokens of the timed texts.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of the session.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Where to write.")
@click.option("--markdown", is_flag=True, help="Only print the tables of the last run.")
def main(
    data: tuple[Path, ...],
    rows: int,
    texts: int,
    hold_out: tuple[str, ...],
    rounds: int,
    lengths: str,
    threads: int,
    seed: int,
    out: Path,
    markdown: bool,
) -> None:
    """Measure, write the results, print the tables."""
    if not markdown:
        firewall = Firewall.from_pretrained(threads=threads)
        times = {length: timed(firewall, int(length), rounds) for length in lengths.split(",")}
        _, held = split_examples(all_examples(data, rows, seed), hold_out or held_out_sources()) if texts else ([], [])
        arrivals = {origin: watched(firewall, held, origin, texts, seed) for origin in ORIGINS if texts}
        results = {"environment": environment(threads), "rounds": rounds, "chunk_tokens": CHUNK, "times": times, "arrivals": arrivals}
        write_results(out, results)
    click.echo(tables(read_results(out)))


def chunks(firewall: Firewall, text: str) -> list[str]:
    """A text in chunks of 16 tokens."""
    ends = firewall.reader.tokenizer.encode(text).offsets[:, 1]
    edges = sorted({0, *(int(end) for end in ends[CHUNK - 1 :: CHUNK]), len(text)})
    return [text[a:b] for a, b in pairwise(edges)]


def timed(firewall: Firewall, n_tokens: int, rounds: int) -> dict[str, Any]:
    """Seconds of a scan and of a stream of one text of prose, and the most that their scores differ."""
    prose = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(PROSE.glob("*.md")))
    while len(offsets := firewall.reader.tokenizer.encode(prose).offsets) < n_tokens:
        prose += "\n\n" + prose
    text = prose[: offsets[n_tokens - 1, 1]]
    parts = chunks(firewall, text)
    samples = interleave(rounds, {"scan": partial(seconds_of_scan, firewall, text), "stream": partial(seconds_of_stream, firewall, parts)})
    difference = abs(firewall.scan(text, "content").score - stream_of(firewall, parts, "content")[2])
    return {"seconds": samples, "chunks": len(parts), "score_difference": difference}


def seconds_of_scan(firewall: Firewall, text: str) -> float:
    """How long one scan takes."""
    started = time.perf_counter()
    firewall.scan(text, "content")
    return time.perf_counter() - started


def seconds_of_stream(firewall: Firewall, parts: Sequence[str]) -> float:
    """How long all chunks and the end take together."""
    started = time.perf_counter()
    stream_of(firewall, parts, "content")
    return time.perf_counter() - started


def stream_of(firewall: Firewall, parts: Sequence[str], origin: Origin) -> tuple[int | None, bool, float]:
    """Characters that had arrived when a text was first flagged, whether it is in the end, and its last score."""
    guard = firewall.stream(origin)
    for part in parts:
        guard.feed(part)
    verdict = guard.close()
    return guard.flagged_at, verdict.flagged, verdict.score


def watched(firewall: Firewall, examples: Sequence[Example], origin: Origin, n_texts: int, seed: int) -> dict[str, Any]:
    """What becomes of attacks and of harmless texts of one origin while they arrive."""
    found: dict[str, Any] = {}
    for label, name in ((1, "attacks"), (0, "harmless")):
        chosen = sample_examples([e for e in examples if e.origin == origin and e.label == label], n_texts, seed)
        seen, n_ever, n_last = [], 0, 0
        with click.progressbar(chosen, label=f"{origin}, {name}", file=sys.stderr) as bar:
            for example in bar:
                at, is_flagged, _ = stream_of(firewall, chunks(firewall, example.text), origin)
                n_ever, n_last = n_ever + (at is not None), n_last + is_flagged
                if at is not None and is_flagged:
                    seen.append(share_seen(example, at))
        found[name] = {"n": len(chosen), "ever_flagged": n_ever, "flagged_in_the_end": n_last, "share_seen": sorted(seen)}
    return found


def share_seen(example: Example, at: int) -> float:
    """How much of the attack had arrived: of the injected characters where they are known, else of the text."""
    start, end = example.injected or (0, len(example.text))
    return min(1.0, max(0.0, (at - start) / (end - start)))


def tables(results: Mapping[str, Any]) -> str:
    """The results as markdown tables, with how they were made below."""
    rows = []
    for length, measured in results["times"].items():
        scan, stream = (median(measured["seconds"][name]) for name in ("scan", "stream"))
        ratio = median([b / a for a, b in zip(measured["seconds"]["scan"], measured["seconds"]["stream"], strict=True)])
        rows.append(
            [f"{int(length):,} tokens", human_seconds(scan), human_seconds(stream), f"{ratio:.2f}", f"{measured['score_difference']:.1e}"]
        )
    header = ["", "one scan", f"stream, chunks of {results['chunk_tokens']} tokens", "ratio", "difference of the last scores"]
    parts = [markdown_table(header, rows)]
    if results["arrivals"]:
        parts.append(markdown_table(["", *results["arrivals"]], arrival_rows(results["arrivals"])))
    made = results["environment"]
    commit = ", commit {:.12}{}{}".format(*made["commit"].partition("+")) if made["commit"] else ""
    parts.append(
        f"Medians of {results['rounds']} runs in turn; {made['threads']} threads; {made['processor']}; Python {made['python']}; "
        f"{made['date'][:10]}{commit}."
    )
    return "\n\n".join(parts)


def arrival_rows(arrivals: Mapping[str, Any]) -> list[list[str]]:
    """What the arrivals show, a column an origin."""
    attacks, harmless = ([of[name] for of in arrivals.values()] for name in ("attacks", "harmless"))
    seen = [of["share_seen"] or [1.0] for of in attacks]
    return [
        ["attacks flagged in the end", *(f"{of['flagged_in_the_end']} of {of['n']}" for of in attacks)],
        ["share of the attack seen when it was flagged, median", *(f"{median(shares):.2f}" for shares in seen)],
        ["flagged before half of it was there", *(f"{sum(s < 0.5 for s in shares) / len(shares):.2f}" for shares in seen)],
        ["flagged before all of it was there", *(f"{sum(s < 1 for s in shares) / len(shares):.2f}" for shares in seen)],
        ["attacks flagged at any time", *(f"{of['ever_flagged']} of {of['n']}" for of in attacks)],
        ["harmless texts flagged in the end", *(f"{of['flagged_in_the_end']} of {of['n']}" for of in harmless)],
        ["harmless texts flagged at any time", *(f"{of['ever_flagged']} of {of['n']}" for of in harmless)],
    ]


if __name__ == "__main__":
    main()
