"""Letters of one script that pass for Latin ones (floor 1, stdlib only)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from alknet_firewall.views.edits import Edit

_EXACT = dict(
    zip(
        "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u051b\u051d\u0501\u04cf\u04af"  # Cyrillic
        "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425\u0423\u04ae\u051a\u051c\u050c\u0474"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03f2\u03f3"  # Greek
        "\u0585\u057d\u0578\u0570\u0581"  # Armenian
        "\u13aa\u13f4\u13df\u13a0\u13ac\u13c0\u13bb\u13a5\u13ab\u13e6\u13de\u13b7\u13e2\u13da\u13d2\u13d9\u13b3\u13c3",  # Cherokee
        "aceopxyijshqwdlyABCEHIJKMOPSTXYYQWGVABEZHIKMNOPTYXovcjounhgABCDEGHiJKLMPSTVWZ",
        strict=True,
    )
)
_CLOSE = dict(
    zip(
        "\u043a\u043c\u0442\u043d\u0432\u043f\u0433\u0438\u044f\u044c\u03b1\u03b5\u03b9\u03ba\u03c1\u03c4\u03c5\u03c7\u03b7\u03c9"
        "\u0251\u0261\u0269\u0185\u2170\u2174\u2179\u217c\u217d\u217e\u217f",
        "kmthbnrurbaeikptuxnwagibivxlcdm",
        strict=True,
    )
)
_LATIN = {**_EXACT, **_CLOSE}
"""Every look-alike and what it passes for; the close ones only among Latin letters."""

_TO_LATIN = str.maketrans(_LATIN)
_ALIEN = "\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u13a0-\u13f5\u0251\u0261\u0269\u0185\u2170-\u217f"
_MIXED = re.compile(f"(?<![A-Za-z{_ALIEN}])(?:[A-Za-z]+[{_ALIEN}]|[{_ALIEN}]+[A-Za-z])[A-Za-z{_ALIEN}]*")
_HINT = re.compile(f"[{_ALIEN}]")
_WHOLE = re.compile(f"(?<![\\w{_ALIEN}])[{''.join(_EXACT)}]+(?!\\w)")
_SWITCH = re.compile(f"[A-Za-z](?=[{_ALIEN}])|[{_ALIEN}](?=[A-Za-z])")
_CLEAR = re.compile(
    "[\u0431\u0434\u0436\u0437\u0439\u043b\u0444\u0446\u0447\u0448\u0449\u044a\u044b\u044d\u044e\u0451\u0454\u0491"
    "\u0411\u0413\u0414\u0416\u0417\u0418\u0419\u041b\u041f\u0424\u0426-\u042f"
    "\u0386\u0388-\u0390\u0393\u0394\u0398\u039b\u039e\u03a0\u03a3\u03a6\u03a8\u03a9\u03ac-\u03af\u03b2-\u03b4\u03b6\u03b8\u03bb\u03bc"
    "\u03be\u03c0\u03c2\u03c3\u03c6\u03c8\u03ca-\u03ce\u0561-\u0577]+"
)  # letters that pass for no Latin one: who uses them writes in their script
_LATIN_WORD = re.compile("[A-Za-z]{2}")
_NEAR = 100


def lookalike_edits(text: str) -> list[Edit]:
    """Write look-alikes in Latin letters where they stand among such, or make up words of a Latin text.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order. Ordinary Russian, Greek and mixed text has none.
    """
    if text.isascii() or not _HINT.search(text) or not _LATIN_WORD.search(text):
        return []
    foreign = [match.start() for match in _CLEAR.finditer(text)]
    words = [match.span() for match in _MIXED.finditer(text) if _is_posing(match[0], _is_near(foreign, match.start()))]
    places = [start for start, _ in words]
    words += [
        match.span()
        for match in _WHOLE.finditer(text)
        if _is_near(places, match.start()) or (len(match[0]) > 1 and _is_in_latin(text, match, foreign))
    ]
    return sorted(Edit(start, end, text[start:end].translate(_TO_LATIN)) for start, end in words)


def _is_near(places: Sequence[int], at: int) -> bool:
    """Whether one of the ordered places is near."""
    after = bisect_left(places, at - _NEAR)
    return after < len(places) and places[after] <= at + _NEAR


def _is_posing(word: str, in_foreign_text: bool) -> bool:
    """Whether a word of two scripts passes for Latin: not a formula, nor a Latin abbreviation with a Russian ending."""
    foreign = [letter for letter in word if not letter.isascii()]
    if any(letter not in _LATIN for letter in foreign):
        return False
    if in_foreign_text:
        return len(word) >= 4 and len(_SWITCH.findall(word)) >= 2
    symbols = any("\u0370" <= letter <= "\u03ff" or letter in "\u0251\u0261\u0269\u0185" for letter in foreign)
    return len(word) >= 4 or not symbols


def _is_in_latin(text: str, match: re.Match[str], foreign: Sequence[int]) -> bool:
    """Whether the text around a word is in Latin letters only."""
    start, end = match.span()
    near_latin = _LATIN_WORD.search(text, max(0, start - _NEAR), start) or _LATIN_WORD.search(text, end, end + _NEAR)
    return bool(near_latin) and not _is_near(foreign, start)
