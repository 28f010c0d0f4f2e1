"""Words taken apart, written in digits, or written backwards (floor 1, stdlib only)."""

from __future__ import annotations

from alknet_firewall.views.edits import Edit, Stage
from alknet_firewall.views.flips import flipped_spans, may_be_flipped
from alknet_firewall.views.leet import leet_edits
from alknet_firewall.views.lookalikes import lookalike_edits
from alknet_firewall.views.spelled import spelled_edits
from alknet_firewall.views.words import BACKWARDS

_MIN_LENGTH = 20


def reversed_edits(text: str) -> list[Edit]:
    """Turn round a text, or its lines, that read as language only from the end.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order, each mirrored.
    """
    if not may_be_flipped(set(text.lower().split()), BACKWARDS):
        return []
    spans = flipped_spans(text, _mirror, BACKWARDS, by_sentence=False)
    return [Edit(start, end, text[start:end][::-1], mirrored=True) for start, end in spans if end - start >= _MIN_LENGTH]


def _mirror(text: str) -> str:
    """A text from its end to its start."""
    return text[::-1]


JOINERS: tuple[Stage, ...] = (spelled_edits, lookalike_edits, leet_edits, reversed_edits)
"""Letters come together first, for they may make words of two scripts, in digits or backwards."""
