"""Stretches that read as language only once they are turned round (floor 1, stdlib only)."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from alknet_firewall.views.words import COMMON, is_common

_WORD = re.compile(r"[^\W\d_]+")
_LINE = re.compile(r"^[^\S\n]*\S[^\n]*", re.MULTILINE)  # anchored, or a long line of white space is searched from each of its places
_SENTENCE = re.compile(r"[^\n.!?:;]{8,}")


class _Counts(NamedTuple):
    """Common words of a stretch as it stands and turned round."""

    forward: int
    flipped: int
    words: int

    def is_flipped(self) -> bool:
        """The other reading clearly has more of them; real prose has a common word in every three or so."""
        return self.flipped >= 2 and self.flipped > 3 * self.forward and self.flipped >= 0.18 * self.words


def flipped_spans(text: str, flip: Callable[[str], str], marks: Container[str], *, by_sentence: bool) -> Iterator[tuple[int, int]]:
    """Find the stretches to turn round: the whole text, else lines, else sentences.

    Parameters
    ----------
    text : str
        Where to look.
    flip : callable
        Turns a word round; applied twice it gives the word again.
    marks : container of str
        Lower-case words that are common once turned round and nothing before.
    by_sentence : bool
        Whether a line may hold a stretch that does not fill it.

    Yields
    ------
    (int, int)
        Half-open ranges, in order, not overlapping.
    """
    whole = _span(text, 0, len(text))
    if whole and _counts(text, flip, marks).is_flipped() and all(_is_no_prose(line, flip, marks) for line in text.splitlines()):
        yield whole
        return
    for line in _LINE.finditer(text):
        here = _counts(line[0], flip, marks)
        if here.flipped < 2:
            continue
        if here.is_flipped() and (not by_sentence or here.forward == 0):
            yield from filter(None, [_span(text, *line.span())])
        elif by_sentence:
            for part in _SENTENCE.finditer(text, *line.span()):
                if _counts(part[0], flip, marks).is_flipped():
                    yield _hidden(part, flip, marks)


def may_be_flipped(words: set[str], marks: frozenset[str]) -> bool:
    """Whether a text has enough of the marks to be worth a second look."""
    return not marks.isdisjoint(words) and len(marks & words) >= 2


def _is_no_prose(line: str, flip: Callable[[str], str], marks: Container[str]) -> bool:
    """Whether a line does not read better as it stands."""
    here = _counts(line, flip, marks)
    return here.forward <= here.flipped


def _counts(text: str, flip: Callable[[str], str], marks: Container[str]) -> _Counts:
    """Count the common words of both readings; a word that is common in both counts for neither."""
    forward = flipped = total = 0
    for word in _WORD.findall(text.lower()):
        total += 1
        if word in marks:
            flipped += 1
        elif word in COMMON and not is_common(flip(word)):
            forward += 1
    return _Counts(forward, flipped, total)


def _span(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The range without the white space at its edges."""
    part = text[start:end]
    if not part.strip():
        return None
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _hidden(part: re.Match[str], flip: Callable[[str], str], marks: Container[str]) -> tuple[int, int]:
    """The range of a sentence between the plain words before and after what is turned round."""
    words = list(_WORD.finditer(part.string, *part.span()))
    hits = [i for i, word in enumerate(words) if word[0].lower() in marks]
    plain = [i for i, word in enumerate(words) if is_common(word[0].lower()) and not is_common(flip(word[0].lower()))]
    first = max((i + 1 for i in plain if i < hits[0]), default=0)
    last = min((i - 1 for i in plain if i > hits[-1]), default=len(words) - 1)
    return words[first].start(), words[last].end()
