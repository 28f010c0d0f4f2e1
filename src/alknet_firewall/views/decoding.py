"""Stretches in a code that programs and models read at sight (floor 1, stdlib only)."""

from __future__ import annotations

from alknet_firewall.views.bytes_codes import CODES
from alknet_firewall.views.edits import Edit, Stage, plain, run
from alknet_firewall.views.escapes import escape_edits, percent_edits
from alknet_firewall.views.flips import flipped_spans, may_be_flipped
from alknet_firewall.views.folding import FOLDERS
from alknet_firewall.views.joining import JOINERS
from alknet_firewall.views.words import ROTATED, looks_like_words, rot13

_DEPTH = 3
"""How many codes may lie one in the other."""


def rot13_edits(text: str) -> list[Edit]:
    """Read rot13 where it has clearly more common words than the text as it stands.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order.
    """
    if not may_be_flipped(set(text.lower().split()), ROTATED):
        return []
    return [Edit(start, end, rot13(text[start:end])) for start, end in flipped_spans(text, rot13, ROTATED, by_sentence=True)]


def code_edits(text: str, depth: int = 1) -> list[Edit]:
    """Read base64, base32, hexadecimal, binary and decimal codes and Morse where they hold words.

    Parameters
    ----------
    text : str
    depth : int
        Which code from outside this would be, at most 3.

    Returns
    -------
    list of Edit
        In order, not overlapping.
    """
    edits: list[Edit] = []
    for find in CODES:
        for start, end, decoded in find(text):
            revealed = _reveal(decoded, depth)
            if revealed:
                edits.append(Edit(start, end, revealed))
    return _disjoint(edits)


def _reveal(decoded: str, depth: int) -> str:
    """What a decoded stretch says, after one more code if there is one; nothing if it says nothing."""
    inner = run(plain(decoded), FOLDERS).text
    if depth < _DEPTH:
        inner = run(plain(inner), (lambda text: code_edits(text, depth + 1), percent_edits, escape_edits, rot13_edits)).text
    inner = run(plain(inner), JOINERS).text
    return next((text for text in (inner, decoded) if looks_like_words(text)), "")


def _disjoint(edits: list[Edit]) -> list[Edit]:
    """Edits in order; of two that overlap, the one found first."""
    rank = {edit: i for i, edit in reversed(list(enumerate(edits)))}
    kept: list[Edit] = []
    for edit in sorted(rank):
        if kept and edit.start < kept[-1].end:
            if rank[edit] < rank[kept[-1]]:
                kept[-1] = edit
        else:
            kept.append(edit)
    return kept


DECODERS: tuple[Stage, ...] = (code_edits, percent_edits, escape_edits, rot13_edits)
"""Each on what the one before left, so a code inside another of a later kind is read too."""
