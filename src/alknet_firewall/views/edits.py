"""Changes to a text that keep the way back to the caller's characters (floor 1, stdlib only)."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

CONTEXT = 200
"""Characters that a view keeps on each side of what changed."""

_WORD_BORDER = 30  # how much further a crop may reach to end at white space


T = TypeVar("T")


class Edit(NamedTuple):
    """One replacement.

    Attributes
    ----------
    start, end : int
        Half-open range of the text that goes; not empty.
    text : str
        What comes in its place; empty for a deletion. As long as the range, it replaces character for character.
    mirrored : bool
        The same characters backwards, so that each still maps to itself.
    """

    start: int
    end: int
    text: str
    mirrored: bool = False


Stage = Callable[[str], list[Edit]]
"""Finds what to change in a text: edits in order, not overlapping."""


@dataclass(frozen=True)
class Reading:
    """A text after edits, and where each of its characters came from.

    Attributes
    ----------
    text : str
        The text as it now reads.
    starts, ends : sequence of int
        For each character, the half-open range of the original text that it stands for.
    changed : tuple of (int, int)
        Ranges of `text` that edits touched, in order; ranges nearer to each other than two contexts are one.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    changed: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class View:
    """A stretch of a text as an attacker may have meant it to be read.

    Attributes
    ----------
    name : {"folded", "joined", "decoded", "hidden"}
        What was done to read it.
    text : str
        The stretch, never empty.
    starts, ends : sequence of int
        For each character of `text`, the half-open range of the caller's text that it stands for.
    """

    name: str
    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def chained(items: Iterable[T], follows: Callable[[T, T], bool]) -> list[list[T]]:
    """Return items in order as chains, none empty: one belongs to the chain of the one before if it follows upon it."""
    chains: list[list[T]] = []
    for item in items:
        if chains and follows(chains[-1][-1], item):
            chains[-1].append(item)
        else:
            chains.append([item])
    return chains


def plain(text: str) -> Reading:
    """Return the reading in which nothing has changed yet."""
    return Reading(text, range(len(text)), range(1, len(text) + 1))


def unmarked(reading: Reading) -> Reading:
    """Return the same reading with its changes taken for granted: the next views show only what changes from here on."""
    return Reading(reading.text, reading.starts, reading.ends)


def run(reading: Reading, stages: Iterable[Stage]) -> Reading:
    """Return the reading after every stage, each on what the one before left."""
    for stage in stages:
        reading = edited(reading, stage(reading.text))
    return reading


def edited(base: Reading, edits: Sequence[Edit]) -> Reading:
    """Return the reading after the edits.

    Parameters
    ----------
    base : Reading
        What the edits count in.
    edits : sequence of Edit
        In order, not overlapping. Those that change nothing are skipped.

    Returns
    -------
    Reading
        An untouched character maps to what it mapped to, and so does one replaced character for character; any other to everything
        that its edit replaced.
    """
    edits = [edit for edit in edits if edit.text != base.text[edit.start : edit.end]]
    if not edits:
        return base
    parts: list[str] = []
    starts, ends = array("q"), array("q")
    places: list[int] = []
    at = 0
    for edit in edits:
        parts += base.text[at : edit.start], edit.text
        starts.extend(base.starts[at : edit.start])
        ends.extend(base.ends[at : edit.start])
        places.append(len(starts))
        _extend(starts, ends, base, edit)
        at = edit.end
    parts.append(base.text[at:])
    starts.extend(base.starts[at:])
    ends.extend(base.ends[at:])
    return Reading("".join(parts), starts, ends, _changes(base.changed, edits, places))


def _extend(starts: array[int], ends: array[int], base: Reading, edit: Edit) -> None:
    """Map the characters that an edit brings in."""
    old_starts, old_ends = base.starts[edit.start : edit.end], base.ends[edit.start : edit.end]
    if edit.mirrored:
        starts.extend(old_starts[::-1])
        ends.extend(old_ends[::-1])
    elif len(edit.text) == edit.end - edit.start:
        starts.extend(old_starts)
        ends.extend(old_ends)
    elif edit.text:
        starts.extend([old_starts[0]] * len(edit.text))
        ends.extend([old_ends[-1]] * len(edit.text))


def _changes(old: Iterable[tuple[int, int]], edits: Sequence[Edit], places: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Old changes where they now lie, together with those of the edits that came in at `places`."""
    new = [(place, place + len(edit.text)) for edit, place in zip(edits, places, strict=True)]
    if old:
        edges = [edit.start for edit in edits]
        new += [(_moved(start, edges, edits, places), _moved(end, edges, edits, places)) for start, end in old]
    return tuple(_merged(sorted(new), 2 * CONTEXT))


def _moved(at: int, edges: Sequence[int], edits: Sequence[Edit], places: Sequence[int]) -> int:
    """Where a place of the text lies after the edits."""
    last = bisect_right(edges, at) - 1
    if last < 0:
        return at
    return places[last] + len(edits[last].text) + max(0, at - edits[last].end)


def _merged(ranges: Iterable[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Ordered ranges, those at most `gap` apart joined."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def crops(name: str, original: str, reading: Reading, context: int = CONTEXT) -> list[View]:
    """Return the neighbourhoods of what changed.

    Parameters
    ----------
    name : {"folded", "joined", "decoded"}
        What the views are called.
    original : str
        The caller's text.
    reading : Reading
        Of that text.
    context : int
        Characters to keep on each side of a change.

    Returns
    -------
    list of View
        In order of the reading, not overlapping; without those that only lost something at an edge.
    """
    text = reading.text
    reach = ((_left(text, start - context), _right(text, end + context)) for start, end in reading.changed)
    made = [stretch(name, reading, a, b) for a, b in _merged(reach, 0) if a < b]
    return [view for view in made if view.text != original[min(view.starts) : max(view.ends)]]


def stretch(name: str, reading: Reading, start: int, end: int) -> View:
    """Return a range of a reading as a view of its own."""
    return View(name, reading.text[start:end], array("q", reading.starts[start:end]), array("q", reading.ends[start:end]))


def _left(text: str, at: int) -> int:
    """The word border at or before a place, if one is near."""
    if at <= 0:
        return 0
    near = max(0, at - _WORD_BORDER)
    stretch = text[near:at]
    return near + len(stretch) - len(stretch.split()[-1]) if stretch.strip() and not stretch[-1].isspace() else at


def _right(text: str, at: int) -> int:
    """The word border at or after a place, if one is near."""
    if at >= len(text):
        return len(text)
    stretch = text[at : at + _WORD_BORDER]
    return at + len(stretch.split()[0]) if stretch.strip() and not stretch[0].isspace() else at
