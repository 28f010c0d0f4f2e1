"""Words taken apart letter by letter (floor 1, stdlib only)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from alknet_firewall.views.edits import Edit
from alknet_firewall.views.leet import in_letters
from alknet_firewall.views.words import COMMON, is_plausible, is_wide

_APART = r"[\s\-._*|/\u00b7\u2022~,:;'+^=\u2010-\u2015]{1,7}"
_WHOLE = r"[^\W_]|[\u0300-\u036f\u0483-\u0489\u0590-\u1cff\u1dc0-\u1dff]"  # also the marks that Thai or Hindi write with a letter
_RUN = re.compile(rf"(?<!{_WHOLE})[^\W_](?:{_APART}[^\W_](?!{_WHOLE})){{3,}}")
_LETTER = re.compile(r"[^\W_]")
_SIMPLE = re.compile(r"[ \t\u00a0\u2000-\u200a]|\r?\n|[-._*|/\u00b7\u2022~:;'^,+\u2010-\u2015]| [-._\u00b7\u2022\u2010-\u2015] |, ")
_SAME_SIGN = re.compile(r"(.)([^\s\w])\1")
_CODES = (frozenset("abcdefg"), frozenset("acgtun"), frozenset("nesw"), frozenset("ynxo"), frozenset("mfx"), frozenset("wasd"))
_LOOSE = frozenset([", ", "/", "+", ":", ";", "|"])  # lists are written with these


class _Word(NamedTuple):
    """Letters of a run that belong together, by the place of each."""

    letters: str
    places: tuple[int, ...]


def spelled_edits(text: str) -> list[Edit]:
    """Remove what stands between the letters of words; wider gaps between words become one space.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order. Acronyms, lists of letters, initials, tables and formulas stay.
    """
    return [edit for match in _RUN.finditer(text) for edit in _joined(text, match)]


def _joined(text: str, run: re.Match[str]) -> Iterator[Edit]:
    """The edits for one run of single letters, none if it spells nothing."""
    places = [match.start() for match in _LETTER.finditer(text, *run.span())]
    gaps = [text[a + 1 : b] for a, b in pairwise(places)]
    separator = Counter(gaps).most_common(1)[0][0]
    if not _SIMPLE.fullmatch(separator) or any(gap.startswith(".,") for gap in gaps):  # acronyms in a row
        return
    for words in _phrases(_words(text, places, gaps, separator)):
        if _spell(words, separator):
            yield from _closed(text, [place for word in words for place in word.places], separator)


def _closed(text: str, places: list[int], separator: str) -> Iterator[Edit]:
    """The edits that bring letters together, and the sign that ends them."""
    for at, after in pairwise(places):
        yield Edit(at + 1, after, _between(text[at + 1 : after], separator))
    end = places[-1] + 1
    if text.startswith(separator, end) and re.match(r"[^\w\s]", text[end + len(separator) : end + len(separator) + 1]):
        yield Edit(end, end + len(separator), "")


def _words(text: str, places: list[int], gaps: list[str], separator: str) -> Iterator[_Word]:
    """Group the letters of a run."""
    word = [places[0]]
    for place, gap in zip(places[1:], gaps, strict=True):
        if gap != separator:
            yield _Word("".join(text[i] for i in word), tuple(word))
            word = []
        word.append(place)
    yield _Word("".join(text[i] for i in word), tuple(word))


def _phrases(words: Iterable[_Word]) -> Iterator[list[_Word]]:
    """Group the words of a run; letters that make no word part what is before from what is after."""
    phrase: list[_Word] = []
    for word in words:
        if len(word.letters) < 4 or _is_word(word.letters):
            phrase.append(word)
        elif phrase:
            yield phrase
            phrase = []
    if phrase:
        yield phrase


def _between(gap: str, separator: str) -> str:
    """What stays between two letters."""
    if gap == separator:
        return ""
    if gap.isspace():
        return "\n" if "\n" in gap and separator != "\n" else " "
    return gap[len(separator) : -len(separator)] if gap.startswith(separator) and len(gap) > 2 * len(separator) else gap


def _spell(words: list[_Word], separator: str) -> bool:
    """Whether letters with a separator between them spell words."""
    letters = "".join(word.letters for word in words)
    if len(letters) > 40 and len(set(letters)) < 8:
        return False
    if sum(map(str.isalpha, letters)) < 0.5 * len(letters):
        return False
    long = [word.letters for word in words if len(word.letters) >= 4]
    likely = sum(len(word) for word in long if _is_word(word))
    short = sum(len(word.letters) for word in words if word.letters.lower() in COMMON)
    if likely + short < 0.6 * len(letters) or likely + short < 4:
        return False
    return len(letters) >= _least(words, letters, separator)


def _least(words: list[_Word], letters: str, separator: str) -> int:
    """How many letters it takes: more where people spell names, acronyms and lists that way."""
    if separator in _LOOSE or is_wide(letters):
        return 6
    if letters.isupper() and len(words) == 1:
        return 6 if separator.isspace() else 10
    return 4


def _is_word(letters: str) -> bool:
    """Whether letters make a word, digits read as the letters that they look like."""
    if not letters.isalpha() and len({letter for letter in letters if letter.isalpha()}) < 3:
        return False
    read = in_letters(letters)
    return is_plausible(read) and not any(set(read) <= code for code in _CODES)
