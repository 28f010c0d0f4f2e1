"""HTML inside words, and letters written as entities (floor 1, stdlib only)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from alknet_firewall.views.edits import Edit, chained
from alknet_firewall.views.invisible import INVISIBLE

_INLINE = "b|big|code|del|em|font|i|ins|kbd|mark|s|small|span|strong|sub|sup|tt|u"
_TAG = rf"</?(?i:{_INLINE}|wbr)(?:\s[^<>]{{0,200}})?/?>"
_TAGS = re.compile(rf"{_TAG}(?:{_TAG})*")  # begins with a plain character, which the search skips to
_HOLLOW = re.compile(rf"<({_INLINE})(?:\s[^<>]{{0,200}})?></\1>|<wbr", re.IGNORECASE)
_ENTITIES = re.compile(r"(?:&(?:amp;){0,3}#(?:[xX]0*[0-9a-fA-F]{1,6}|0*[0-9]{1,7});?)+")
_ENTITY = re.compile(r"&(?:amp;){0,3}#(?:[xX]0*([0-9a-fA-F]{1,6})|0*([0-9]{1,7}));?")
_NAMED_INVISIBLE = re.compile(r"(?:&(?:amp;)?(?:shy|zwnj|zwj|lrm|rlm|NoBreak|ZeroWidthSpace);)+")


def comment_edits(text: str) -> list[Edit]:
    """Remove HTML comments from inside words.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        Deletions, in order.
    """
    edits = []
    start = text.find("<!--")
    while start >= 0:
        end = _comments_end(text, start)
        if end == start:  # not closed, and so is none after it
            break
        if _in_word(text, start, end):
            edits.append(Edit(start, end, ""))
        start = text.find("<!--", end)
    return edits


def _comments_end(text: str, start: int) -> int:
    """Where the comments that begin at `start`, one right after the other, end."""
    end = start
    while text.startswith("<!--", end):
        close = text.find("-->", end + 4)
        if close < 0:
            break
        end = close + 3
    return end


def _in_word(text: str, start: int, end: int) -> bool:
    """Whether a letter stands right before and right after a range."""
    return start > 0 and end < len(text) and text[start - 1].isalpha() and text[end].isalpha()


def tag_edits(text: str) -> list[Edit]:
    """Remove inline tags that cut words into bits: empty elements, three or more with a few letters between them, or one a word.

    Emphasis on a part of a word, a large first letter and H<sub>2</sub>O stay.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        Deletions, in order.
    """
    if "<" not in text:
        return []
    tags = list(_TAGS.finditer(text))
    inside = [i for i, match in enumerate(tags) if _in_word(text, *match.span())]
    cuts = (Edit(*tags[i].span(), "") for i in inside)
    chains = chained(cuts, lambda last, cut: cut.start - last.end <= 3 and text[last.end : cut.start].isalpha())
    return sorted({edit for chain in chains for edit in _cutting(text, chain)}.union(_scattered(text, tags, inside)))


def _scattered(text: str, tags: list[re.Match[str]], inside: list[int]) -> Iterator[Edit]:
    """Tags where word after word has one inside, five or more, with those that open or close them."""
    single = (i for i in inside if tags[i][0].count("<") == 1)  # several stand between the entries of a menu
    for chain in chained(single, lambda last, i: _is_next_word(text[tags[last].end() : tags[i].start()])):
        if len(chain) >= 5:
            yield from (Edit(*match.span(), "") for match in tags[max(0, chain[0] - 1) : chain[-1] + 2])


def _is_next_word(between: str) -> bool:
    """Whether the next tag stands in the next word or the one after it."""
    return 2 <= len(_TAGS.sub("", between).split()) <= 3


def _cutting(text: str, chain: list[Edit]) -> list[Edit]:
    """Those tags of a word that serve only to cut it."""
    if len(chain) >= 3:
        return chain
    return [edit for edit in chain if _HOLLOW.match(text, edit.start, edit.end)]


def entity_edits(text: str) -> list[Edit]:
    """Read character references that spell letters or digits, and drop those that put invisible characters into words.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order. References to signs, and single ones to letters beyond ASCII, are ordinary HTML and stay.
    """
    if "&" not in text:
        return []
    edits = [edit for match in _ENTITIES.finditer(text) for edit in _spelled(text, match)]
    edits += [Edit(*match.span(), "") for match in _NAMED_INVISIBLE.finditer(text) if _in_word(text, *match.span())]
    return sorted(edits)


def _spelled(text: str, run: re.Match[str]) -> list[Edit]:
    """What references in a row spell, or nothing when they are ordinary."""
    parts = [(match, _character(match)) for match in _ENTITY.finditer(text, *run.span())]
    letters = [character for _, character in parts if character.isalnum()]
    hidden = all(INVISIBLE.fullmatch(character) for _, character in parts)
    if hidden and _in_word(text, *run.span()):
        return [Edit(*run.span(), "")]
    if len(letters) < 4 and not any(letter.isascii() for letter in letters):
        return []
    return [Edit(*match.span(), character if character.isprintable() or character.isspace() else "") for match, character in parts]


def _character(match: re.Match[str]) -> str:
    """The character of one reference; an unprintable one where there is none."""
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\0"
