"""Reads the parts: ``*.list`` (sections of one-line parts) and ``*.blocks`` (multi-line texts with a kind)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

PARTS_FOLDER = Path(__file__).with_name("parts")

_SECTION = re.compile(r"\[(\w+)\]")
_BLOCK = re.compile(r"^%% kind=(\w+)[ \t]*\n", re.MULTILINE)
_SLOT = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_PAYLOAD = "{payload}"
_SAME_THROUGHOUT = ("harm", "persona", "botname")
"""Slots that keep their value within a part; the others are drawn anew at each place."""


@dataclass(frozen=True)
class Block:
    """A multi-line text of one kind; ``{payload}`` marks the places where an instruction may stand."""

    kind: str
    text: str


@dataclass(frozen=True)
class Parts:
    """Every part of the corpus, read from one folder."""

    folder: Path = field(default=PARTS_FOLDER)

    @cached_property
    def slots(self) -> dict[str, list[str]]:
        """Values of the slots."""
        return read_list(self.folder / "slots.list")

    @cached_property
    def languages(self) -> dict[str, dict[str, list[str]]]:
        """Sections of each language's file."""
        return {path.name.split(".")[1]: read_list(path) for path in sorted(self.folder.glob("lang.*.list"))}

    def sections(self, name: str) -> dict[str, list[str]]:
        """Sections of one ``.list`` file."""
        return read_list(self.folder / f"{name}.list")

    def blocks(self, name: str) -> list[Block]:
        """Blocks of one ``.blocks`` file."""
        return read_blocks(self.folder / f"{name}.blocks")


DEPTH = 2
"""Values of slots may hold slots themselves, this deep."""


def read_list(path: Path) -> dict[str, list[str]]:
    r"""Sections of a ``.list`` file: a ``[name]`` line, then one part a line, ``\n`` for a line break.

    What stands before the first section is a comment.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to list of str
        Without repeated parts.
    """
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        header = _SECTION.fullmatch(line.strip())
        if header:
            current = sections.setdefault(header[1], [])
        elif line.strip() and current is not None:
            current.append(line.replace("\\n", "\n"))
    return {name: list(dict.fromkeys(parts)) for name, parts in sections.items()}


def read_blocks(path: Path) -> list[Block]:
    """Blocks of a ``.blocks`` file: a ``%% kind=...`` line, then the text up to the next such line.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Block
    """
    pieces = _BLOCK.split(path.read_text(encoding="utf-8"))[1:]
    return [Block(kind, text.strip("\n")) for kind, text in zip(pieces[::2], pieces[1::2], strict=True) if text.strip()]


def place(text: str, payload: str | None, rng: random.Random) -> str:
    """The text that :func:`locate` gives."""
    return locate(text, payload, rng)[0]


def locate(text: str, payload: str | None, rng: random.Random) -> tuple[str, int]:
    """Put a payload at one of a text's places and remove the others, with their line when they stand alone on it.

    Parameters
    ----------
    text : str
        Holds any number of ``{payload}``; with none, the payload is appended.
    payload : str or None
        None removes all places.
    rng : Random
        Chooses the place.

    Returns
    -------
    text : str
    start : int
        Where the payload begins in it; 0 without a payload.
    """
    pieces = text.split(_PAYLOAD)
    n_places = len(pieces) - 1
    if not n_places:
        return (text, 0) if payload is None else (f"{text}\n{payload}", len(text) + 1)
    chosen = None if payload is None else rng.randrange(n_places)
    result, start = pieces[0], 0
    for index, piece in enumerate(pieces[1:]):
        if index == chosen:
            start = len(result)
            result += f"{payload}{piece}"
        elif (not result or result.endswith("\n")) and (not piece or piece.startswith("\n")):
            result += piece.removeprefix("\n")
        else:
            result = result.rstrip(" ") + piece
    return (result.rstrip("\n") if payload is None else result), start


def fill(text: str, slots: dict[str, list[str]], rng: random.Random, depth: int = 0) -> str:
    """Replace every slot by one of its values.

    Parameters
    ----------
    text : str
        With ``{slot}``; ``{{`` and ``}}`` stand for braces.
    slots : dict of str to list of str
    rng : Random
    depth : int
        How deep this text is inside slots of others.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If a slot has no values.
    """
    kept: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0][0]
        if name not in kept:
            chosen = rng.choice(slots[name])
            kept[name] = fill(chosen, slots, rng, depth + 1) if depth < DEPTH else chosen
        return kept[name] if name in _SAME_THROUGHOUT else kept.pop(name)

    return _SLOT.sub(value, text)
