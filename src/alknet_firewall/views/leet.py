"""Words written with digits and signs for letters (floor 1, stdlib only)."""

from __future__ import annotations

import re
from bisect import bisect_left

from alknet_firewall.views.edits import Edit
from alknet_firewall.views.words import COMMON, is_common, is_plausible

_SIGNS = "0134578@$!|"
_READ = str.maketrans("0134578@$!|", "oieastbasil")
_READ_L = str.maketrans("0134578@$!|", "oleastbasll")  # 1 and ! also pass for l
_HINT = re.compile(r"[013457@$!|](?<=[A-Za-z].)[013457@$!|]*[A-Za-z]")
_WORD = re.compile(r"(?<![\w@$!|.+/\\=-])[A-Za-z0-9@$!|]{1,24}(?![\w@$|+/\\=])")
_SIGN = re.compile(f"[{re.escape(_SIGNS)}]")
_LETTERS = re.compile("[A-Za-z]")
_ORDINARY = re.compile(
    r"\d+(?:st|nd|rd|th|s|x|h|m|am|pm|k|d|kb|mb|gb|tb|ms|hz|ghz|mhz|kg|g|km|cm|mm|ml|l|v|w|p|px|em|bit|bits|a|b|c|e|f)|[a-z]{1,4}\d{1,4}"
    r"|[!|$@]+[a-z]+[!|$@]*|[a-z]+[!|$@]+",
    re.IGNORECASE,
)
_NEAR = 200


def leet_edits(text: str) -> list[Edit]:
    """Write words of digits in letters, in a text that has three of them and two that are common words.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order. Versions, hashes, units, dates and names of models stay.
    """
    if len(_HINT.findall(text)) < 2:
        return []
    words = [(match, in_letters(match[0])) for match in _WORD.finditer(text) if _SIGN.search(match[0])]
    spelled = [(match, word) for match, word in words if _is_spelled(match[0], word)]
    telling = {word for match, word in spelled if word in COMMON}
    if len(spelled) < 3 or len(telling) < 2:
        return []
    places = [match.start() for match, word in spelled if word in COMMON]
    near = [(match, word) for match, word in words if _is_near(places, match.start())]
    return [Edit(*match.span(), word) for match, word in near if _is_meant(match[0], word)]


def in_letters(word: str) -> str:
    """Read a word that has digits and signs for letters.

    Parameters
    ----------
    word : str

    Returns
    -------
    str
        In lower case; signs of exclamation at its end stay such.
    """
    body = word.rstrip("!")
    tail = word[len(body) :]
    read, read_l = body.translate(_READ), body.translate(_READ_L)
    known = read_l.lower() if read_l.lower() in COMMON and read.lower() not in COMMON else read.lower()
    return known + tail


def _is_spelled(word: str, letters: str) -> bool:
    """Whether a word of letters and digits is plausibly one in letters."""
    if not _LETTERS.search(word) or len(word) < 3:
        return letters in COMMON and len(word) >= 3 and not word.isdigit()
    return letters in COMMON or (not _ORDINARY.fullmatch(word) and is_plausible(letters.rstrip("!")))


def _is_meant(word: str, letters: str) -> bool:
    """Whether to read a word as letters once the words around it are."""
    letters = letters.rstrip("!")
    if word.rstrip("!").isalpha():
        return False
    return is_common(letters) or letters in "ai" or (bool(_LETTERS.search(word)) and is_plausible(letters))


def _is_near(places: list[int], at: int) -> bool:
    """Whether one of the ordered places is near."""
    after = bisect_left(places, at - _NEAR)
    return after < len(places) and places[after] <= at + _NEAR
