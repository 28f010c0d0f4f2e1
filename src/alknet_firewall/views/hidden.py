"""What a page carries and does not show (floor 1, stdlib only)."""

from __future__ import annotations

import re

_MIN_WORDS = 3
"""Shorter comments and labels ask for nothing."""

_MOST = 4000
"""Characters of an element that is not displayed: a whole page behind a switch is a page, not a secret."""

_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<([A-Za-z][A-Za-z0-9]{0,19})\b([^<>]{1,2000})>")
_LABEL = re.compile(r"""\b(?:alt|title|aria-label|content|placeholder)\s*=\s*(?:"([^"]{8,})"|'([^']{8,})')""", re.IGNORECASE)
_UNSEEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|(?:font-size|opacity)\s*:\s*0(?![.\d]*[1-9])|(?:^|\s)hidden(?=\s|$)", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]{2,}")


def hidden_spans(text: str) -> list[tuple[int, int]]:
    """Stretches of a page that only a program reads: comments, labels of images and links, elements that are not displayed.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (int, int)
        Half-open ranges of characters, in order, not overlapping; each of some words, without the markup around it.
    """
    if "<" not in text:
        return []
    found = [match.span(1) for match in _COMMENT.finditer(text)]
    for tag in _TAG.finditer(text):
        found += [label.span(label.lastindex or 0) for label in _LABEL.finditer(text, *tag.span(2))]
        if _UNSEEN.search(text, *tag.span(2)):
            end = text.find(f"</{tag[1]}", tag.end(), tag.end() + _MOST)
            found += [(tag.end(), end)] if end > 0 else []
    spans: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if (not spans or start >= spans[-1][1]) and len(_WORD.findall(text, start, end)) >= _MIN_WORDS:
            spans.append((start, end))
    return spans
