"""Which parts the rows draw, which parts a split leaves out, and which slots stand in one class only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from export.corpus.parts import Block, Parts

T = TypeVar("T")

FOLD = 5
"""One part in this many is left out of a section."""

CLASSES: dict[str, tuple[str, int]] = {
    "direct.en": ("prompt", 1),
    "jailbreak.en": ("prompt", 1),
    "request.benign.en": ("prompt", 0),
    "trigger.benign.en": ("prompt", 0),
    "fiction.benign.en": ("prompt", 0),
    "system.benign.en": ("prompt", 0),
    "payload.en": ("content", 1),
    "people.en": ("content", 0),
    "content.benign.en": ("content", 0),
}
"""Origin and label of the files whose parts belong to one class. ``context``, ``tool`` and ``wrapper`` are worn by both."""

_SLOT = re.compile(r"(?<!\{)\{(\w+)\}")


@dataclass(frozen=True)
class FoldParts(Parts):
    """The parts without one in five, or only those: two instances share no part, apart from slots and sections of fewer than five.

    Attributes
    ----------
    left_out : bool
        True gives the parts that the other instance lacks.
    """

    left_out: bool = False

    @cached_property
    def languages(self) -> dict[str, dict[str, list[str]]]:
        """Sections of each language's file."""
        return {code: self._fold_all(sections) for code, sections in super().languages.items()}

    def sections(self, name: str) -> dict[str, list[str]]:
        """Sections of one ``.list`` file."""
        return self._fold_all(super().sections(name))

    def blocks(self, name: str) -> list[Block]:
        """Blocks of one ``.blocks`` file."""
        return self._fold(super().blocks(name))

    def _fold_all(self, sections: Mapping[str, list[str]]) -> dict[str, list[str]]:
        return {section: self._fold(parts) for section, parts in sections.items()}

    def _fold(self, parts: list[T]) -> list[T]:
        # Every fifth, not a random fifth: what one writer wrote in a row stands on both sides, and appended parts move none of the others.
        return [part for i, part in enumerate(parts) if (i % FOLD == FOLD - 1) == self.left_out] if len(parts) >= FOLD else parts


@dataclass(frozen=True)
class CountedParts(Parts):
    """Every part, and how often each was drawn.

    Attributes
    ----------
    drawn : Counter
        By name of the list and the part's text. Filled while rows are composed.
    known : Counter
        How many parts each list has.
    """

    drawn: Counter[tuple[str, str]] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    @cached_property
    def slots(self) -> dict[str, list[str]]:
        """Values of the slots."""
        return {name: self._counted("slots", values) for name, values in super().slots.items()}

    @cached_property
    def languages(self) -> dict[str, dict[str, list[str]]]:
        """Sections of each language's file."""
        files = super().languages
        return {code: {s: self._counted(f"lang.{s}", parts) for s, parts in sections.items()} for code, sections in files.items()}

    def sections(self, name: str) -> dict[str, list[str]]:
        """Sections of one ``.list`` file."""
        return {section: self._counted(name, parts) for section, parts in super().sections(name).items()}

    def blocks(self, name: str) -> list[Block]:
        """Blocks of one ``.blocks`` file."""
        return self._counted(f"{name}.blocks", super().blocks(name))

    def distinct(self) -> Counter[str]:
        """How many parts of each list were drawn at least once."""
        return Counter(name for name, _ in self.drawn)

    def _counted(self, name: str, parts: list[T]) -> list[T]:
        self.known[name] += len(set(parts))
        return _Counted(name, parts, self.drawn)


class _Counted(list[T]):
    """A list that notes what is taken from it by index, as ``random.choice`` does."""

    def __init__(self, name: str, parts: list[T], drawn: Counter[tuple[str, str]]) -> None:
        super().__init__(parts)
        self.name, self.drawn = name, drawn

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        self.drawn[self.name, str(part)] += 1
        return part


@dataclass(frozen=True)
class SlotUse:
    """How often a slot stands in the parts of one origin.

    Attributes
    ----------
    share : (float, float)
        Of the benign and of the attack parts, per cent that hold it.
    """

    slot: str
    origin: str
    share: tuple[float, float]


def slot_uses(parts: Parts) -> list[SlotUse]:
    """The slots of the parts that belong to one class, the most unevenly used first.

    Parameters
    ----------
    parts : Parts

    Returns
    -------
    list of SlotUse
    """
    texts: dict[tuple[str, int], list[str]] = {}
    for name, group in CLASSES.items():
        texts.setdefault(group, []).extend(_texts(parts, name))
    uses = [
        SlotUse(slot, origin, (_share(texts[origin, 0], slot), _share(texts[origin, 1], slot)))
        for origin in ("prompt", "content")
        for slot in sorted(parts.slots)
    ]
    return sorted((use for use in uses if any(use.share)), key=lambda use: -abs(use.share[1] - use.share[0]))


def _texts(parts: Parts, name: str) -> list[str]:
    """Every part of that name, one-line and multi-line."""
    texts = [text for section in parts.sections(name).values() for text in section] if (parts.folder / f"{name}.list").is_file() else []
    return texts + ([block.text for block in parts.blocks(name)] if (parts.folder / f"{name}.blocks").is_file() else [])


def _share(texts: Sequence[str], slot: str) -> float:
    return 100 * sum(slot in _SLOT.findall(text) for text in texts) / max(len(texts), 1)
