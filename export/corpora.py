"""The public sets that training may use: reads ``corpora.toml`` and checks rows against it.

Needs Python 3.11 for ``tomllib``, as the export environment does for its own packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import click

ROLES = ("train", "held-out")
CORPORA_FILE = Path(__file__).with_name("corpora.toml")


class LabelledText(Protocol):
    """What is checked: :class:`export.data.Example`, or anything with these three."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> int: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Corpus:
    """One public set, as extracted by us.

    Attributes
    ----------
    name : str
        The ``source`` of its rows.
    file : str
        The file that holds them.
    role : {"train", "held-out"}
    url, revision, licence : str
        Upstream; empty where not known.
    mapping : str
        Which upstream rows are attacks and which are benign.
    attack, benign : int
        How many rows have that label.
    sha256 : str
        What :func:`texts_sha256` gives for the rows.
    """

    name: str
    file: str
    role: str
    url: str
    revision: str
    licence: str
    mapping: str
    attack: int
    benign: int
    sha256: str


def read_corpora(path: Path = CORPORA_FILE) -> list[Corpus]:
    """The sets a file names.

    Parameters
    ----------
    path : Path
        TOML, one ``[[source]]`` table for each set with exactly the fields of :class:`Corpus`.

    Returns
    -------
    list of Corpus

    Raises
    ------
    ClickException
        If the file is not such a file; the message names the table and what is wrong with it.
    """
    tables = _content(path)["source"]
    corpora = [_corpus(table, f"{path}: source {number}") for number, table in enumerate(tables, 1)]
    names = [corpus.name for corpus in corpora]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise click.ClickException(f"{path} names {', '.join(repeated)} more than once. Keep one table for each.")
    return corpora


def held_out_sources(path: Path = CORPORA_FILE) -> list[str]:
    """What is never fitted on: the sets with that role, in the file's order, then families of our own corpus."""
    return [corpus.name for corpus in read_corpora(path) if corpus.role == "held-out"] + _content(path).get("own_held_out", [])


def check_rows(path: Path, examples: Iterable[LabelledText]) -> list[str]:
    """Compare rows with what the file says of their sources.

    Rows of sources that the file does not name, such as our own corpus, are passed over; so are sources without any row.

    Parameters
    ----------
    path : Path
        As for :func:`read_corpora`.
    examples : iterable of LabelledText
        Every row of each source, in any order.

    Returns
    -------
    list of str
        Names of the sources that were compared, in the file's order.

    Raises
    ------
    ClickException
        If counts or texts differ; the message names every source that does.
    """
    rows: dict[str, list[LabelledText]] = {}
    for example in examples:
        rows.setdefault(example.source, []).append(example)
    checked = [corpus for corpus in read_corpora(path) if corpus.name in rows]
    problems = [problem for corpus in checked for problem in _problems(corpus, rows[corpus.name])]
    if problems:
        raise click.ClickException(f"Rows are not those that {path} describes. Restore the data, or the file:\n  " + "\n  ".join(problems))
    return [corpus.name for corpus in checked]


def texts_sha256(texts: Iterable[str]) -> str:
    """The sha256, in hex, of the texts, sorted by code point, joined by a NUL and encoded as UTF-8."""
    return hashlib.sha256("\0".join(sorted(texts)).encode()).hexdigest()


def _content(path: Path) -> dict[str, Any]:
    """The file, its outermost keys checked."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise click.ClickException(f"{path} cannot be read ({err}). Give a file like export/corpora.toml.") from err
    own = content.get("own_held_out", [])
    if set(content) - {"own_held_out"} != {"source"} or not isinstance(content["source"], list) or not isinstance(own, list):
        raise click.ClickException(
            f"{path} must hold [[source]] tables, own_held_out and nothing else; it has {', '.join(sorted(content)) or 'nothing'}."
        )
    return content


def _corpus(table: Any, where: str) -> Corpus:
    """One table, checked."""
    kinds: dict[str, type] = {f.name: {"int": int, "str": str}[str(f.type)] for f in fields(Corpus)}
    if not isinstance(table, dict) or set(table) != set(kinds):
        wrong = sorted(set(table) ^ set(kinds)) if isinstance(table, dict) else ["not a table"]
        raise click.ClickException(f"{where}: missing or unknown: {', '.join(wrong)}. It must have exactly {', '.join(kinds)}.")
    for name, kind in kinds.items():
        if type(table[name]) is not kind:
            raise click.ClickException(f"{where}: {name} must be {'a whole number' if kind is int else 'text'}.")
    corpus = Corpus(**table)
    if corpus.role not in ROLES:
        raise click.ClickException(f"{where}: role is {corpus.role!r} and must be one of {', '.join(ROLES)}.")
    if min(corpus.attack, corpus.benign) < 0 or not corpus.attack + corpus.benign:
        raise click.ClickException(f"{where}: attack and benign must be counts, and not both 0.")
    if len(corpus.sha256) != 64 or set(corpus.sha256) - set("0123456789abcdef"):
        raise click.ClickException(f"{where}: sha256 must be 64 lower-case hex digits.")
    return corpus


def _problems(corpus: Corpus, rows: Sequence[LabelledText]) -> list[str]:
    """What is wrong with the rows of one source; the hash is not mentioned where the counts differ already."""
    attack = sum(row.label == 1 for row in rows)
    if (attack, len(rows) - attack) != (corpus.attack, corpus.benign):
        return [f"{corpus.name}: {attack} attack and {len(rows) - attack} benign rows, not {corpus.attack} and {corpus.benign}"]
    found = texts_sha256(row.text for row in rows)
    return [] if found == corpus.sha256 else [f"{corpus.name}: sha256 {found}, not {corpus.sha256}"]
