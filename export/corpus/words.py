"""What a text looks like to a reader that understands nothing: its words, and marks one can count."""

from __future__ import annotations

import math
import re
import string
from collections import Counter

_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+")

MARKS = (*string.punctuation, "\n", "\t", "\u2019", "\u201c", "\u2014", "\u2013", "\u2026", "\u2022", "\u2192", "\ufffd")
"""Marks that are counted, each per hundred characters."""

SHAPES = (
    "characters",
    "words",
    "lines",
    "upper",
    "digit",
    "space",
    "not_ascii",
    "opens_upper",
    "ends_stop",
    "ends_question",
    "ends_letter",
)
"""The other features of :func:`surface`, before the marks."""


_TESTS = (str.isupper, str.isdigit, str.isspace, lambda character: not character.isascii())


def words(text: str) -> list[str]:
    """Lower-case runs of letters, digits and ``_``; where words are not set apart (Chinese, Japanese, Thai), single characters."""
    return _WORD.findall(text.lower())


def surface(text: str) -> list[float]:
    """Length, shape and punctuation: all that can be told without reading a word.

    Parameters
    ----------
    text : str
        Not empty.

    Returns
    -------
    list of float
        One number for each of `SHAPES` and `MARKS`.
    """
    size, last, counts = max(len(text), 1), text.rstrip()[-1:], Counter(text)
    shares = (sum(n for c, n in counts.items() if test(c)) / size for test in _TESTS)
    ends = (text[:1].isupper(), last in {".", "!", "\u3002"}, last in {"?", "\uff1f"}, last.isalnum())
    lengths = (math.log(size), math.log(1 + counts[" "]), math.log(1 + counts["\n"]))
    return [*lengths, *shares, *map(float, ends), *(100 * counts[mark] / size for mark in MARKS)]
