"""Sentences in capitals (floor 1, stdlib only)."""

from __future__ import annotations

import re

from alknet_firewall.views.edits import Edit
from alknet_firewall.views.words import looks_like_words

_MIN_WORDS = 4
"""Shorter stretches are headings, names and abbreviations."""

_LOWER = "a-z\u00df-\u00f6\u00f8-\u00ff\u03ac-\u03ce\u0430-\u045f"
_STRETCH = re.compile(rf"[^{_LOWER}]{{16,}}")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_BEGINS = re.compile(r"(?:^|[.!?:\n]\s*|[\"'(\[{\u201c\u00ab]\s*)$")


def capital_edits(text: str) -> list[Edit]:
    """Write sentences that are all in capitals as sentences are written: the model has read few in capitals.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order, each character for character.
    """
    edits = []
    for match in _STRETCH.finditer(text):
        words = [word for word in _WORD.finditer(match[0]) if len(word[0]) > 1]
        if len(words) < _MIN_WORDS or not all(word[0].isupper() for word in words):
            continue
        start, end = match.start() + words[0].start(), match.start() + words[-1].end()
        written = _as_sentences(text[start:end])
        if len(written.split()) >= _MIN_WORDS and looks_like_words(written):
            edits.append(Edit(start, end, written))
    return edits


def _as_sentences(text: str) -> str:
    """Lower case but for the first letter of a sentence and the English I."""

    def written(match: re.Match[str]) -> str:
        word = match[0]
        begins = bool(_BEGINS.search(text, max(0, match.start() - 4), match.start()))
        kept = 1 if begins or word == "I" else 0
        lower = word.lower()
        if len(lower) != len(word):  # a dotted capital I becomes two characters
            lower = "".join(c.lower()[0] for c in word)
        return word[:kept] + lower[kept:]

    return _WORD.sub(written, text)
