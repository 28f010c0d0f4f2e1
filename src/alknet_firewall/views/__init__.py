"""What an attacker may have hidden in a text, made readable (floor 1, stdlib only).

A text is scored as it stands and in each of its views. Ordinary text has none: every step first looks, at the price of a regular
expression, for what people do not write by accident. A view is a reading, not a judgement; the detector judges it like any text.
"""

from __future__ import annotations

from alknet_firewall.views.decoding import DECODERS
from alknet_firewall.views.edits import View, crops, plain, run, stretch, unmarked
from alknet_firewall.views.folding import FOLDERS
from alknet_firewall.views.hidden import hidden_spans
from alknet_firewall.views.invisible import invisible_edits, mark_edits
from alknet_firewall.views.joining import JOINERS

__all__ = ["View", "shown", "views"]

ALONE = 0
"""Context of what was decoded: a whole message of its own, which the text around it would only dilute."""


def views(text: str) -> tuple[View, ...]:
    """Readings of a text that differ from it.

    Parameters
    ----------
    text : str
        Any string, also an empty one or one with lone surrogates.

    Returns
    -------
    tuple of View
        First what reads otherwise once characters are folded ("folded"), then what was spelled out, written in digits or backwards
        ("joined"), what was encoded ("decoded"), and what a page does not show ("hidden"); the last three on the folded text. Each
        view holds a change and, but for "decoded" and "hidden", its neighbourhood, with the way back to the caller's characters.
        Empty for ordinary text. All views together are at most five times as long as the text.
    """
    folded = run(plain(text), FOLDERS)
    base = unmarked(folded)
    joined = run(base, JOINERS)
    decoded = run(base, DECODERS)
    hidden = [stretch("hidden", base, start, end) for start, end in hidden_spans(base.text)]
    return (*crops("folded", text, folded), *crops("joined", text, joined), *crops("decoded", text, decoded, ALONE), *hidden)


def shown(text: str) -> str:
    """The text without characters that show nothing, what is spelled in them written out; the same one where it has none."""
    return run(plain(text), (invisible_edits, mark_edits)).text
