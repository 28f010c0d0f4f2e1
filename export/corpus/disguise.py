"""Ways in which a text hides from a reader that matches words. Each takes a text and a random generator."""

from __future__ import annotations

import base64
import codecs
import random
import unicodedata
import urllib.parse
from collections.abc import Callable

LEET = str.maketrans("aeiostAEIOST", "43105743105 7".replace(" ", ""))
HOMOGLYPHS = str.maketrans("aceopxyiAEOPCTXH", "асеорхуіАЕОРСТХН")
ZERO_WIDTH = ("\u200b", "\u200c", "\u2060", "\u00ad")


def _base64(text: str, _: random.Random) -> str:
    return base64.b64encode(text.encode()).decode()


def _hex(text: str, _: random.Random) -> str:
    return text.encode().hex()


def _url(text: str, _: random.Random) -> str:
    return urllib.parse.quote(text)


def _rot13(text: str, _: random.Random) -> str:
    return codecs.encode(text, "rot13")


def _reversed(text: str, _: random.Random) -> str:
    return text[::-1]


def _leet(text: str, _: random.Random) -> str:
    return text.translate(LEET)


def _spaced(text: str, _: random.Random) -> str:
    return "   ".join(" ".join(word) for word in text.split())


def _zero_width(text: str, rng: random.Random) -> str:
    return "".join(c + rng.choice(ZERO_WIDTH) if rng.random() < 0.4 else c for c in text)


def _tags(text: str, _: random.Random) -> str:
    return "".join(chr(0xE0000 + ord(c)) if 0x20 <= ord(c) < 0x7F else c for c in text)


def _homoglyphs(text: str, _: random.Random) -> str:
    return text.translate(HOMOGLYPHS)


def _full_width(text: str, _: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if 0x21 <= ord(c) < 0x7F else c for c in text)


def _upper(text: str, _: random.Random) -> str:
    return text.upper()


def _lower(text: str, _: random.Random) -> str:
    return text.lower()


def _typos(text: str, rng: random.Random) -> str:
    letters = list(text)
    for i in range(1, len(letters) - 1):
        if letters[i].isalpha() and rng.random() < 0.06:
            letters[i], letters[i - 1] = rng.choice([(letters[i - 1], letters[i]), (letters[i], ""), (letters[i] * 2, letters[i - 1])])
    return "".join(letters)


def _no_accents(text: str, _: random.Random) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _split_lines(text: str, rng: random.Random) -> str:
    return "".join(word + ("\n" if rng.random() < 0.3 else " ") for word in text.split())


def _dashes(text: str, _: random.Random) -> str:
    return " ".join("-".join(word) if len(word) > 3 else word for word in text.split())


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "base64": _base64,
    "hex": _hex,
    "url": _url,
    "rot13": _rot13,
    "reversed": _reversed,
    "leet": _leet,
    "spaced": _spaced,
    "zero_width": _zero_width,
    "tags": _tags,
    "homoglyphs": _homoglyphs,
    "full_width": _full_width,
    "upper": _upper,
    "lower": _lower,
    "typos": _typos,
    "no_accents": _no_accents,
    "split_lines": _split_lines,
    "dashes": _dashes,
}
"""Every disguise by name."""

READABLE = ("upper", "lower", "typos", "no_accents", "split_lines")
"""Disguises that people use by accident too; the others are unusual in themselves, so both classes must wear them."""
