"""Characters that show nothing, text written in them, and piles of accents (floor 1, stdlib only)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from alknet_firewall.views.edits import Edit
from alknet_firewall.views.octets import as_text
from alknet_firewall.views.words import looks_like_words

_CONTROLS = "\x01-\x08\x0e-\x1f\x7f"
_HIGH_CONTROLS = "\x80-\x84\x86-\x9f"
_CLASS = (
    f"{_CONTROLS}{_HIGH_CONTROLS}\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
INVISIBLE = re.compile(f"[{_CLASS}]+")
"""A run of invisible characters."""

_CONTROL_BYTES = bytes([*range(0x01, 0x09), *range(0x0E, 0x20), 0x7F])
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_TAG_RUN = re.compile("[\U000e0020-\U000e007e]+|[^\U000e0020-\U000e007e]+")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{3,6}\U000e007f")
_BYTE = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_SELECTOR = re.compile("[\u200d\ufe00-\ufe0f\u20e3]+")
_IDEOGRAPH_VARIANT = re.compile("[\ufe00-\ufe02\U000e0100-\U000e01ef]")
_JOINERS = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u061c\u200c-\u200f\u202a-\u202e\u2066-\u2069\u180b-\u180f\u17b4\u17b5]+"
)
_MISREAD = re.compile(f"[{_HIGH_CONTROLS}]+")  # bytes of UTF-8 or Windows-1252 taken for Latin-1
_LEAD = re.compile("[\u00c2-\u00f4]")  # the first byte of a character in UTF-8
_CONTRACTION = re.compile(r"\x92(?:[dmst]|ll|re|ve)\b")
_BLANK = re.compile("\u2800+")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_BREAKS = re.compile("[\u200b-\u200d\u2060]+")
_COMPLEX = re.compile("[\u0590-\u0dff\u0f00-\u0fff\u1780-\u18af\ua840-\ua8ff\ufb1d-\ufdff\ufe70-\ufefc]")  # Hebrew to Sinhala, ...
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1980-\u1aaf\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Khmer, Han, ...
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

_MARK = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\u20e1\u20e5-\u20ff\ufe20-\ufe2f"
_PILE = re.compile(f"[{_MARK}]{{2,}}")
_STRUCK = re.compile("(?:[\\w .,!?'-][\u0305\u0332-\u0338\u033f\u20d2\u20d3]){3,}")
_STROKE = re.compile("[\u0305\u0332-\u0338\u033f\u20d2\u20d3]")


def invisible_edits(text: str) -> list[Edit]:
    """Remove what cannot be seen, and write out what is spelled in it.

    Joiners and direction marks stay where a script needs them, selectors where they belong to an emoji or an ideograph.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order.
    """
    if text.isascii() and not _has_controls(text):
        return []
    edits: list[Edit] = []
    for match in INVISIBLE.finditer(text):
        edits += _seen(text, *match.span())
    return edits


def _has_controls(text: str) -> bool:
    """Whether an ASCII text has control characters; ten times faster than a search."""
    return len(text.encode().translate(None, _CONTROL_BYTES)) < len(text)


def _seen(text: str, start: int, end: int) -> Iterable[Edit]:
    """What one run of invisible characters reads as, nothing to change if it belongs where it is."""
    flag = _FLAG.match(text, start - 1, end)
    if flag:
        return _seen(text, flag.end(), end) if flag.end() < end else ()
    run = text[start:end]
    message = _smuggled(run)
    if message:
        return [Edit(start, end, message)]
    if _TAGS.search(run):
        return _tagged(text, start, end)
    return () if _belongs(text, start, end) else [Edit(start, end, "")]


def _smuggled(run: str) -> str:
    """Text written in variation selectors, one a byte, with that in tag characters beside it; nothing if the first says nothing."""
    codes = list(map(ord, _BYTE.findall(run)))
    if len(codes) < 6:
        return ""
    text = as_text(bytes(code - 0xFE00 if code < 0x10000 else code - 0xE0100 + 16 for code in codes))
    return f" {text} {_to_ascii(run)}" if looks_like_words(text) else ""


def _tagged(text: str, start: int, end: int) -> Iterable[Edit]:
    """Tag characters as the ASCII they stand for; a phrase of them is set off from the letters around it."""
    edits = [Edit(*part.span(), _to_ascii(part[0])) for part in _TAG_RUN.finditer(text, start, end)]
    if end - start >= 4:
        first, last = edits[0], edits[-1]
        if first.text and text[start - 1 : start].isalnum():
            edits[:1] = [Edit(start, start + 1, " " + first.text[0]), first._replace(start=start + 1, text=first.text[1:])]
        if last.text and text[end : end + 1].isalnum():
            edits[-1:] = [edits[-1]._replace(end=end - 1, text=edits[-1].text[:-1]), Edit(end - 1, end, last.text[-1] + " ")]
    return [edit for edit in edits if edit.start < edit.end]


def _to_ascii(run: str) -> str:
    """Tag characters as ASCII; nothing for others."""
    return "".join(chr(ord(letter) - 0xE0000) for letter in _TAGS.findall(run))


def _belongs(text: str, start: int, end: int) -> bool:
    """Whether invisible characters are ordinary where they stand."""
    run, before, after = text[start:end], text[start - 1 : start] if start else "", text[end : end + 1]
    if not before:
        return run == "\ufeff"
    if _SELECTOR.fullmatch(run):
        kind = unicodedata.category(before)
        if kind in ("So", "Sm", "Sk") or before in "#*" or kind[0] == "P" or (before.isdigit() and after == "\u20e3"):
            return True
    if _IDEOGRAPH_VARIANT.fullmatch(run):
        return bool(_UNSPACED.match(before))
    if _is_of_script(run, before, after):
        return True
    if before.isalnum() and after.isalnum():
        return bool(_MISREAD.fullmatch(run)) and bool(_LEAD.match(before) or _CONTRACTION.match(text, start))
    near_right_to_left = _BIDI.fullmatch(run) and _RIGHT_TO_LEFT.search(text, max(0, start - 500), end + 500)
    return bool(near_right_to_left or _BLANK.fullmatch(run) or _MISREAD.fullmatch(run))


def _is_of_script(run: str, before: str, after: str) -> bool:
    """Whether the script of a neighbour writes with these."""
    if _JOINERS.fullmatch(run) and (_COMPLEX.match(before) or _COMPLEX.match(after)):
        return True
    return bool(_BREAKS.fullmatch(run)) and bool(_UNSPACED.match(before) or _UNSPACED.match(after))


def mark_edits(text: str) -> list[Edit]:
    """Remove piles of combining marks, and lines drawn through letters.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        Deletions, in order. Marks that Unicode composes with their letter, as in decomposed Vietnamese, are no pile.
    """
    if text.isascii():
        return []
    piles = [Edit(*match.span(), "") for match in _PILE.finditer(text) if _is_pile(text, match)]
    taken = {place for edit in piles for place in range(edit.start, edit.end)}
    lines = [match.span() for match in _STRUCK.finditer(text)] if _STROKE.search(text) else []
    strokes = [i for start, end in lines for i in range(start, end) if _STROKE.match(text[i]) and i not in taken]
    return sorted(piles + [Edit(i, i + 1, "") for i in strokes])


def _is_pile(text: str, match: re.Match[str]) -> bool:
    """Whether marks stay apart from their letter, two or more."""
    return len(unicodedata.normalize("NFC", text[max(0, match.start() - 1) : match.end()][:40])) > 2
