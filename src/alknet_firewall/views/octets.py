"""Bytes read as text, a few bad ones left out (floor 1, stdlib only)."""

from __future__ import annotations

import re

_BAD = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")  # but for what begins a command to a terminal
_TOLERATED = 0.2  # a model reads over a bad byte a word; what is no text has more, or makes no words
_SAMPLE = 4096  # bytes that tell what is no text, for reading over bad ones is slow


def as_text(data: bytes) -> str:
    """Read bytes as UTF-8, or as UTF-16 where every other one is zero.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    str
        Without control characters and what could not be read; empty if that is more than a fifth. Whether it says anything is for the
        caller to judge.
    """
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if not _is_readable(data[:_SAMPLE].decode(encoding, "replace")):
            return ""
        text = data.decode(encoding, "replace")
    return _BAD.sub("", text) if _is_readable(text) else ""


def _encoding(data: bytes) -> str:
    """UTF-16 of the order in which the zeros of Latin letters show, or UTF-8."""
    if len(data) > 8:
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if data[first::2].count(0) > 0.4 * len(data):
                return encoding
    return "utf-8"


def _is_readable(text: str) -> bool:
    """Whether few characters are bad ones."""
    return len(_BAD.findall(text)) <= _TOLERATED * len(text)
