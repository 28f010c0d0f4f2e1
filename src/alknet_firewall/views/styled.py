"""Letters in fancy dress: mathematical, circled, raised, small capitals, full width (floor 1, stdlib only)."""

from __future__ import annotations

import re
import unicodedata

from alknet_firewall.views.edits import Edit

_SMALL_CAPITALS = dict(
    zip(
        "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d0f\u1d18\ua7af\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22",
        "abcdefghijklmnopqrstuvwyz",
        strict=True,
    )
)
_STYLED = (
    "\u2071\u207f\u2090-\u209c\u02b0-\u02b8\u02e1-\u02e3\u1d2c-\u1d6a\u1d9c\u1da0\u1dbb"  # raised and lowered
    "\u2102\u210a-\u2113\u2115\u2119-\u211d\u2124\u2128\u212c\u212d\u212f-\u2131\u2133\u2134\u2145-\u2149"  # letter-like
    "\u249c-\u24e9\U0001f110-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189\U0001d400-\U0001d7ff" + "".join(_SMALL_CAPITALS)
)
_RUN = re.compile(f"[{_STYLED}]+")
_PHRASE = re.compile(f"[{_STYLED}](?:[ ._-]{{0,3}}[{_STYLED}]){{3}}")
_WIDE = re.compile("[\uff01-\uff5e](?:[\uff01-\uff5e\u3000\\s]*[\uff01-\uff5e])?")
_WIDE_WORD = re.compile("[\uff21-\uff3a\uff41-\uff5a]{2,}")
_WIDE_LETTER = re.compile("[\uff21-\uff3a\uff41-\uff5a]")
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NEAR = 20
_NARROW = str.maketrans({0x3000: " ", **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}})
_INDICATOR = re.compile("(?<![\U0001f1e6-\U0001f1ff])[\U0001f1e6-\U0001f1ff](?![\U0001f1e6-\U0001f1ff])")


def styled_edits(text: str) -> list[Edit]:
    """Write fancy letters plainly in a text that writes words in them, four letters or more; formulas keep theirs.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order.
    """
    if text.isascii() or not _PHRASE.search(text):
        return []
    runs = list(_RUN.finditer(text))
    table = str.maketrans({letter: _plain(letter) for letter in {letter for run in runs for letter in run[0]}})
    return [Edit(*run.span(), run[0].translate(table)) for run in runs]


def _plain(letter: str) -> str:
    """The ASCII letter or digit, or the same where there is none."""
    code = ord(letter)
    for first in (0x1F150, 0x1F170):  # white on black: no compatibility mapping
        if first <= code < first + 26:
            return chr(ord("A") + code - first)
    plain = _SMALL_CAPITALS.get(letter) or unicodedata.normalize("NFKC", letter).strip("()\u3014\u3015")
    return plain if len(plain) == 1 and plain.isascii() and plain.isalnum() else letter


def wide_edits(text: str) -> list[Edit]:
    """Write full-width words in ordinary width; in Chinese, Japanese and Korean only whole phrases of them.

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
    return [Edit(*match.span(), match[0].translate(_NARROW)) for match in _WIDE.finditer(text) if _is_disguise(text, match)]


def _is_disguise(text: str, match: re.Match[str]) -> bool:
    """Whether full-width characters are there for no typographic reason."""
    around = text[max(0, match.start() - _NEAR) : match.start()], text[match.end() : match.end() + _NEAR]
    if _EAST_ASIAN.search("".join(around)):
        words: list[str] = _WIDE_WORD.findall(match[0])
        return sum(word != word.upper() for word in words) >= 3
    return bool(_WIDE_LETTER.search(match[0]))


def indicator_edits(text: str) -> list[Edit]:
    """Read regional indicators that stand alone as the letters they show; in pairs they are flags.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order; none when fewer than four stand alone.
    """
    if text.isascii():
        return []
    edits = [Edit(match.start(), match.end(), chr(ord(match[0]) - 0x1F1E6 + ord("A"))) for match in _INDICATOR.finditer(text)]
    return edits if len(edits) >= 4 else []
