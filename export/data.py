"""Labelled rows for fitting: our own corpus, and JSON-lines files of the caller's."""

from __future__ import annotations

import fnmatch
import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from alknet_firewall.errors import AlknetFirewallError
from alknet_firewall.text import check_text
from alknet_firewall.verdict import ORIGINS, Origin
from export.corpus.compose import compose
from export.corpus.parts import Parts
from export.corpus.row import Row

CONTENT_KINDS = ("indirect", "benign-context", "benign-docs", "benign-multilingual-context")
"""Kinds of rows without an ``origin`` that were retrieved rather than typed."""

APART = Path(__file__).with_name("apart.jsonl")
"""Texts by writers who had not seen the corpus. Nothing is fitted on them; thresholds are set on them, beside other sources."""

ENGLISH = "en"
CORPUS = "corpus:"
"""Sources of our own corpus begin with this; the family follows."""


@dataclass(frozen=True)
class Example:
    """One labelled text.

    Attributes
    ----------
    text : str
    label : int
        1 for an attack.
    origin : {"prompt", "content"}
    source : str
        What is left out together.
    injected : (int, int), optional
        Half-open range of the characters that make it an attack, where only a part does and it is known.
    pair : str, optional
        Examples of the same pair are an attack and its harmless twin.
    """

    text: str
    label: int
    origin: Origin
    source: str
    injected: tuple[int, int] | None = None
    pair: str | None = None


def corpus_examples(n_rows: int, seed: int) -> list[Example]:
    """Rows of our own corpus; the source is the family, and outside English the language too: ``corpus:language.direct.de``."""
    return [
        Example(row.text, row.label, _origin(row.as_dict()), _source(row), row.injected, None if row.pair is None else str(row.pair))
        for row in compose(Parts(), n_rows, seed)
    ]


def _source(row: Row) -> str:
    """What a row of our own corpus is left out with."""
    return CORPUS + row.family + ("" if row.language == ENGLISH else f".{row.language}")


def is_corpus(source: str) -> bool:
    """Whether the rows of a source are of our own corpus."""
    return source.startswith(CORPUS)


def file_examples(paths: Iterable[Path]) -> list[Example]:
    """Rows of JSON-lines files, gzipped or not.

    Each object has ``text`` and ``label``; ``origin`` and ``source`` are used when there. Rows that the firewall would refuse to judge are
    an error: what it cannot scan it must not be fitted on.
    """
    return [example for path in paths for example in _file(path)]


def all_examples(paths: Iterable[Path], n_rows: int, seed: int) -> list[Example]:
    """The rows of files, then of our own corpus."""
    return [*file_examples(paths), *(corpus_examples(n_rows, seed) if n_rows else [])]


def further_examples(examples: Sequence[Example], held_out: Sequence[Example], n_rows: int, seed: int) -> list[Example]:
    """Rows of our own corpus that are not among those at hand, nor from a source that is left out."""
    texts, sources = {e.text for e in (*examples, *held_out)}, {e.source for e in held_out}
    return [e for e in corpus_examples(n_rows, seed) if e.text not in texts and e.source not in sources]


def split_examples(examples: Iterable[Example], hold_out: Iterable[str]) -> tuple[list[Example], list[Example]]:
    """What to fit on, and what whole sources are left out.

    Parameters
    ----------
    examples : iterable of Example
    hold_out : iterable of str
        Names of sources, or patterns such as ``corpus:payload.*``.

    Raises
    ------
    ClickException
        If a source to leave out does not occur.
    """
    examples, patterns = list(examples), set(hold_out)
    sources = {e.source for e in examples}
    unknown = {pattern for pattern in patterns if not fnmatch.filter(sources, pattern)}
    if unknown:
        raise click.ClickException(f"No rows come from {', '.join(sorted(unknown))}. Check the names given with --hold-out.")
    names = {source for source in sources if any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)}
    return [e for e in examples if e.source not in names], [e for e in examples if e.source in names]


def sample_examples(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """At most `n` of them, the same for the same seed; each source gets as many as the others, or all that it has."""
    rng = random.Random(seed)
    shuffled = rng.sample(examples, len(examples))
    turn: Counter[str] = Counter()
    turns = []
    for example in shuffled:
        turns.append(turn[example.source])
        turn[example.source] += 1
    order = sorted(range(len(shuffled)), key=lambda i: turns[i])
    return [shuffled[i] for i in order[:n]]


def long_documents(examples: Sequence[Example], characters: int) -> list[Example]:
    """Long harmless documents: content of one source after another, joined in its order until it has that many characters."""
    documents: list[Example] = []
    for source in sorted({e.source for e in examples}):
        text = ""
        for example in examples:
            if example.source == source and example.label == 0 and example.origin == "content":
                text = f"{text}\n\n{example.text}".strip()
                if len(text) >= characters:
                    documents.append(replace(example, text=text[:characters], pair=None))
                    text = ""
    return documents


def _file(path: Path) -> Iterator[Example]:
    """The rows of one file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            row = json.loads(line)
            try:
                text = check_text(row["text"])
            except (KeyError, AlknetFirewallError) as err:
                raise click.ClickException(f"{path}:{number}: not a usable row ({err}).") from err
            yield Example(text, int(row["label"]), _origin(row), str(row.get("source", path.name)))


def _origin(row: dict[str, Any]) -> Origin:
    """The row's origin: as given, else by its kind."""
    if row.get("origin") in ORIGINS:
        return "content" if row["origin"] == "content" else "prompt"
    return "content" if row.get("kind") in CONTENT_KINDS else "prompt"
