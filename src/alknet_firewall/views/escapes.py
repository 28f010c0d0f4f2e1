"""Letters written as escapes of programs and addresses (floor 1, stdlib only)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from urllib.parse import unquote_to_bytes

from alknet_firewall.views.edits import Edit
from alknet_firewall.views.octets import as_text
from alknet_firewall.views.words import COMMON, is_plausible, looks_like_words

_PLAIN = r"\w.~!*'(),;:@$/\-"
_PERCENT = re.compile(rf"(?<![{_PLAIN}%])[{_PLAIN}]*%[0-9A-Fa-f]{{2}}(?:%[0-9A-Fa-f]{{2}}|[{_PLAIN}])*")
_PERCENT_ANY = re.compile("%[0-9A-Fa-f]{2}")
_PERCENT_LETTER = re.compile(r"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])")
_ADDRESS = re.compile(r"(?:://|www\.|mailto:|[?&=])\S*\Z")
_WORD = re.compile(r"[^\W\d_]{2,}")

_ESCAPE = (
    r"\\{1,2}u\{[0-9a-fA-F]{1,6}\}|\\{1,2}u[0-9a-fA-F]{4}|%u[0-9a-fA-F]{4}|\\{1,2}U[0-9a-fA-F]{8}|[Uu]\+[0-9a-fA-F]{4,5}"
    r"|\\{1,2}x[0-9a-fA-F]{2}|\\{1,2}[01][0-7]{2}"
)
_ESCAPES = re.compile(rf"(?:(?:{_ESCAPE})[ ]?)*(?:{_ESCAPE})")
_ONE = re.compile(_ESCAPE)
_HINT = re.compile(r"\\[uUx01]")
_TOUCHING = re.compile(r"[A-Za-z]*\Z")


def percent_edits(text: str) -> list[Edit]:
    """Read percent-encoding that hides letters or whole phrases; addresses with a few spaces or accents stay.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order.
    """
    if len(_PERCENT_ANY.findall(text)) < 3:
        return []
    return [Edit(*match.span(), said) for match in _PERCENT.finditer(text) if (said := _percent(text, match))]


def _percent(text: str, match: re.Match[str]) -> str:
    """What a percent-encoded stretch says, nothing if it is ordinary."""
    decoded = as_text(unquote_to_bytes(match[0]))
    if len(match[0]) < 12 or "%" in decoded:
        decoded = as_text(unquote_to_bytes(decoded))
    hidden = len(_PERCENT_LETTER.findall(match[0])) * 3 >= 0.3 * len(match[0])
    words = len(_WORD.findall(decoded))
    in_address = "://" in match[0] or bool(_ADDRESS.search(text, max(0, match.start() - 300), match.start()))
    enough = words >= 6 if in_address else words >= 3 or not decoded.isascii()
    return decoded if len(decoded) >= 6 and (hidden or enough) and looks_like_words(decoded) else ""


def escape_edits(text: str) -> list[Edit]:
    """Read escapes that spell letters: in a row, or in words of which they are a part.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        In order. Single letters beyond ASCII, signs and ranges in patterns stay.
    """
    if "U+" not in text and "u+" not in text and "%u" not in text and not _HINT.search(text):
        return []
    runs = [(match, _unescaped(match[0])) for match in _ESCAPES.finditer(text)]
    kept = [(match, said) for match, said in runs if said]
    spelled = [(match, said) for match, said in kept if _spells(text, match, said)]
    inside = [(match, said) for match, said in kept if _is_inside(text, match, said)]
    chosen = {match.span(): said for match, said in spelled}
    if len(inside) >= 2:
        chosen.update((match.span(), said) for match, said in inside)
    return [Edit(start, end, said) for (start, end), said in sorted(chosen.items())]


def _unescaped(run: str) -> str:
    """The text of escapes in a row, each read by its own kind; nothing if they are no text."""
    escapes = (escape.lstrip("\\") for escape in _ONE.findall(run))
    said = "".join(_bytes(part) if is_byte else _characters(part) for is_byte, part in groupby(escapes, _is_byte))
    shown = "".join(character for character in said if character.isprintable() or character.isspace())
    return shown if len(shown) >= 0.8 * len(said) else ""


def _is_byte(escape: str) -> bool:
    """Whether an escape stands for a byte, in hexadecimal or octal, and not for a character."""
    return escape[0] == "x" or escape[0].isdigit()


def _bytes(escapes: Iterable[str]) -> str:
    """The text of escaped bytes."""
    return as_text(bytes(int(escape[1:], 16) if escape[0] == "x" else int(escape, 8) for escape in escapes))


def _characters(escapes: Iterable[str]) -> str:
    """The text of escaped characters, two surrogates as one; without what is no character."""
    codes = (int(escape.strip("%uU+{}"), 16) for escape in escapes)
    joined = "".join(chr(code) for code in codes if 0 < code <= 0x10FFFF)
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\ufffd", "")


def _spells(text: str, match: re.Match[str], said: str) -> bool:
    """Whether escapes in a row make words, with the letters that touch them."""
    letters = sum(map(str.isalpha, said))
    if letters < 4 or letters < 0.6 * len(said):
        return False
    if not said.isascii():
        return letters >= 6
    before = _TOUCHING.search(text, max(0, match.start() - 20), match.start())
    words = _WORD.findall((before[0] if before else "") + said)
    return any(word.lower() in COMMON or (len(word) >= 4 and is_plausible(word)) for word in words)


def _is_inside(text: str, match: re.Match[str], said: str) -> bool:
    """Whether escaped ASCII letters stand among plain ones."""
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return said.isascii() and said.isalpha() and (before.isalpha() or after.isalpha())
