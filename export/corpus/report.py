"""A report on the composed rows, in markdown: what they are, what repeats, and what gives the class away. Everything in it is computed."""

from __future__ import annotations

import bisect
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from export.corpus.compose import compose
from export.corpus.parts import PARTS_FOLDER
from export.corpus.row import Row
from export.corpus.shortcuts import (
    PROBES,
    Probe,
    Told,
    families,
    told,
    told_by_group,
    told_by_language,
    top_marks,
    top_words,
)
from export.corpus.similar import NEAR, SHINGLE, near_duplicates
from export.corpus.usage import FOLD, CountedParts, FoldParts, slot_uses

ORIGINS = ("prompt", "content")
COLUMNS = tuple((origin, label) for origin in ORIGINS for label in (0, 1))
DIMENSIONS = ("family", "language", "context", "wrapper", "disguise")
BANDS = (30, 60, 90, 120, 180, 250, 400, 600, 1000, 2000)
N_SAMPLE = 20_000
N_WORDS = 40
N_MARKS = 12
_NAMES = {0: "benign", 1: "attack"}


def corpus_report(n_rows: int, seed: int, folder: Path = PARTS_FOLDER) -> str:
    """The report on `n_rows` rows; the same seed and parts give the same text.

    Parameters
    ----------
    n_rows : int
        A few thousand at least, or there are folds without both labels.
    seed : int
    folder : Path
        Of the parts.

    Returns
    -------
    str
        Markdown.
    """
    parts = CountedParts(folder)
    rows = list(compose(parts, n_rows, seed))
    sections = (
        f"# Report on {n_rows} rows of our own corpus, seed {seed}\n\nWritten by `python -m export corpus-report`.",
        _counts(rows),
        _lengths(rows),
        _parts_used(parts),
        _near_duplicates(rows, seed),
        _slots(parts),
        _shortcuts(rows, n_rows, seed, folder),
        *(_words(rows, origin) for origin in ORIGINS),
    )
    return "\n\n".join(sections) + "\n"


def _counts(rows: Sequence[Row]) -> str:
    tables = [_count_table(rows, dimension) for dimension in DIMENSIONS]
    total = Counter((row.origin, row.label) for row in rows)
    return "\n\n".join(["## Counts", _table(["", *map(_column, COLUMNS)], [["rows", *(total[c] for c in COLUMNS)]]), *tables])


def _count_table(rows: Sequence[Row], dimension: str) -> str:
    counts = Counter((getattr(row, dimension) or "(none)", row.origin, row.label) for row in rows)
    values = sorted({value for value, *_ in counts})
    return _table([dimension, *map(_column, COLUMNS)], ([value, *(counts[(value, *c)] for c in COLUMNS)] for value in values))


def _lengths(rows: Sequence[Row]) -> str:
    lines = []
    for origin, label in COLUMNS:
        cuts = statistics.quantiles([len(row.text) for row in rows if (row.origin, row.label) == (origin, label)], n=20)
        lines.append([_column((origin, label)), *(round(cuts[i]) for i in (0, 4, 9, 14, 18))])
    quantiles = _table(["", "5 %", "25 %", "50 %", "75 %", "95 %"], lines)
    return f"## Lengths\n\nQuantiles in characters.\n\n{quantiles}\n\nPer cent of attacks among rows of a length.\n\n{_bands(rows)}"


def _bands(rows: Sequence[Row]) -> str:
    """Share of attacks by length: one ROC AUC would not show a class of middling length."""
    counts = Counter((bisect.bisect_right(BANDS, len(row.text)), row.origin, row.label) for row in rows)
    lines = []
    for band, start in enumerate((0, *BANDS)):
        both = [(counts[band, origin, 0], counts[band, origin, 1]) for origin in ORIGINS]
        lines.append([f"from {start}", *(f"{100 * attack / (benign + attack):.0f}" if benign + attack else "" for benign, attack in both)])
    return _table(["characters", *ORIGINS], lines)


def _parts_used(parts: CountedParts) -> str:
    distinct = parts.distinct()
    lines = (
        [name, known, distinct[name], sum(n for (of, _), n in parts.drawn.items() if of == name)]
        for name, known in sorted(parts.known.items())
    )
    return "## Parts\n\n" + _table(["list", "parts", "drawn", "draws"], lines)


def _near_duplicates(rows: Sequence[Row], seed: int) -> str:
    lines = [
        [_NAMES[n.label], n.family, n.n_rows, f"{n.same:.0%}", f"{n.other:.0%}"]
        for n in near_duplicates(rows, min(N_SAMPLE, len(rows)), seed)
    ]
    note = (
        f"Share of rows with another row, not their own twin, at a Jaccard similarity of at least {NEAR} of word {SHINGLE}-grams, in a"
        f" sample of {min(N_SAMPLE, len(rows))}: of the same label, and of the other. Long documents with short payloads are alike."
    )
    return f"## Near duplicates\n\n{note}\n\n" + _table(["label", "family", "rows", "same label", "other label"], lines)


def _slots(parts: CountedParts) -> str:
    lines = [[use.origin, f"{{{use.slot}}}", *(f"{share:.1f}" for share in use.share)] for use in slot_uses(parts)[:30]]
    note = (
        "Per cent of the English parts of one class that hold a slot, the most uneven first. What fills a slot of one class gives that"
        " class away."
    )
    return f"## Slots\n\n{note}\n\n" + _table(["origin", "slot", "benign", "attack"], lines)


def _shortcuts(rows: Sequence[Row], n_rows: int, seed: int, folder: Path) -> str:
    left_out = list(compose(FoldParts(folder, left_out=True), max(n_rows // FOLD, 1), seed))
    kept = list(compose(FoldParts(folder), n_rows - n_rows // FOLD, seed))
    lines = [line for origin in ORIGINS for line in _probe_lines(origin, _of(rows, origin), _of(kept, origin), _of(left_out, origin), seed)]
    note = (
        "What can be told without understanding: ROC AUC, and share of pairs in which the attack scores above its twin. `random` leaves out"
        " random rows (pairs stay whole), `families` whole families (a twin goes with its attack's), `parts` composes the rows to test on"
        f" from every {FOLD}th part, which the rows to fit on lack (slots, and sections of fewer than {FOLD} parts, are shared)."
    )
    table = _table(["origin", "probe", "random", "twins", "families", "twins", "parts", "twins"], lines)
    return f"## What gives the class away\n\n{note}\n\n{table}\n\n{_languages(kept, left_out)}"


def _probe_lines(origin: str, rows: list[Row], kept: list[Row], left_out: list[Row], seed: int) -> list[list[str]]:
    return [
        [origin, name, *(cell for result in _results(probe, rows, kept, left_out, seed) for cell in _cells(result))]
        for name, probe in PROBES.items()
    ]


def _results(probe: Probe, rows: list[Row], kept: list[Row], left_out: list[Row], seed: int) -> tuple[Told, Told, Told]:
    pairs = [f"pair {row.pair}" if row.pair is not None else f"row {i}" for i, row in enumerate(rows)]
    return (
        told_by_group(probe, rows, pairs, seed),
        told_by_group(probe, rows, families(rows), seed),
        told(probe, kept, left_out),
    )


def _languages(kept: Sequence[Row], left_out: Sequence[Row]) -> str:
    by_origin = [told_by_language(_of(kept, origin), _of(left_out, origin)) for origin in ORIGINS]
    languages = sorted({language for of in by_origin for language in of})
    lines = ([language, *(f"{of[language].auc:.3f}" if language in of else "" for of in by_origin)] for language in languages)
    return "ROC AUC of `words` with parts left out, by language.\n\n" + _table(["language", *ORIGINS], lines)


def _words(rows: Sequence[Row], origin: str) -> str:
    chosen = _of(rows, origin)
    tables = []
    for label, found in enumerate(top_words(chosen, N_WORDS)):
        lines = ([f"`{word.text}`", f"{word.weight:+.2f}", *(f"{share:.2f}" for share in word.share)] for word in found)
        tables.append(f"Words that say {_NAMES[label]}:\n\n" + _table(["word", "weight", "% of benign", "% of attacks"], lines))
    marks = _table(["mark", "AUC"], ([repr(name).replace("|", "\\|"), f"{auc:.3f}"] for name, auc in top_marks(chosen, N_MARKS)))
    return f"## {origin.capitalize()}: words and marks\n\n" + "\n\n".join([*tables, f"Marks, each alone:\n\n{marks}"])


def _of(rows: Iterable[Row], origin: str) -> list[Row]:
    return [row for row in rows if row.origin == origin]


def _cells(result: Told) -> tuple[str, str]:
    return f"{result.auc:.3f}", "" if math.isnan(result.twins) else f"{result.twins:.0%}"


def _column(column: tuple[str, int]) -> str:
    return f"{column[0]} {_NAMES[column[1]]}"


def _table(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    every = [list(head), ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in every)
