"""Accents on letter after letter, as no language writes them (floor 1, stdlib only)."""

from __future__ import annotations

import re
import unicodedata

from alknet_firewall.views.edits import Edit

_MARK = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\u20e1\u20e5-\u20ff\ufe20-\ufe2f"
_ACCENTED = "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_ROW = re.compile(
    f"[{_MARK}{_ACCENTED}][{_MARK}]{{0,3}}(?:[\\s.,;:!?'\"-]{{0,2}}(?:[A-Za-z][{_MARK}]{{1,3}}|[{_ACCENTED}][{_MARK}]{{0,3}})){{7,}}"
)
_CONSONANTS = frozenset("bcdfghjklmnpqrstvwxz")


def accent_edits(text: str) -> list[Edit]:
    """Remove the accents of eight letters and more in a row that all have some, four kinds of consonants among them.

    No language writes that: short words of Vietnamese may have as many, all on vowels.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order.
    """
    if text.isascii():
        return []
    rows = (match for match in _ROW.finditer(text) if len(_CONSONANTS & {_bare(character) for character in match[0].lower()}) >= 4)
    return [Edit(i, i + 1, _bare(text[i])) for row in rows for i in range(*row.span())]


def _bare(character: str) -> str:
    """A letter without its accents; nothing for a mark."""
    first = unicodedata.normalize("NFD", character)[0]
    return "" if unicodedata.combining(first) else first
