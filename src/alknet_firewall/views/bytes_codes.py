"""Codes for bytes or letters, each a function from a text to the stretches it decodes (floor 1, stdlib only)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from alknet_firewall.views.octets import as_text
from alknet_firewall.views.words import COMMON, is_plausible

Found = Iterator[tuple[int, int, str]]
"""Start, end and decoded text of stretches; whether it says anything is for the caller to judge."""

_BASE64 = r"[A-Za-z0-9+/_-]"
_BASE64_BLOCK = re.compile(rf"(?<!{_BASE64}){_BASE64}{{16,}}={{0,2}}(?:\r?\n[ \t>]*{_BASE64}{{4,}}={{0,2}}(?=[ \t\r]*(?:\n|\Z)))*")
_BASE64_PARTS = (re.compile(rf"{_BASE64}{{16,}}={{0,2}}"), re.compile(r"[A-Za-z0-9+]{16,}={0,2}"))
_BASE32 = re.compile(r"[A-Z2-7](?<![A-Za-z0-9].)[A-Z2-7]{23,}={0,6}")
_HEX = re.compile(r"[2-7c-fC-F](?<![0-9A-WYZa-wyz#].)[0-9A-Fa-f](?:[\s:,;-]{0,2}(?:0x|\\x)?[0-9A-Fa-f]{2}){7,}")
# A class first, for the search then skips to it; nothing after the repeated part, or it is tried at every length from every place.
_HEX_FILL = re.compile(r"0x|\\x|[\s:,;-]")
_BINARY = re.compile(r"[01](?<![0-9A-Za-z].)[01]{7}(?:[\s,]{0,2}[01]{8}){5,}")
_DECIMAL = re.compile(r"[0-9](?<![\w.].)[0-9]{1,2}(?:[\s,;]{1,3}[0-9]{2,3}){7,}(?!\w|\.[0-9])")
_MORSE_SIGN = "[.\u00b7\u2022\u2013-]"
_MORSE = re.compile(rf"{_MORSE_SIGN}(?<!{_MORSE_SIGN}.)(?<!\w.){_MORSE_SIGN}{{0,4}}(?:[ /|\n]{{1,7}}{_MORSE_SIGN}{{1,5}}){{5,}}(?![\w.-])")
_MORSE_SIGNS = str.maketrans("\u00b7\u2022\u2013", "..-")
_MORSE_GAP = re.compile(r" ?[/|\n] ?| {2,}")
_MORSE_ALPHABET = ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
_MORSE_LETTERS = dict(
    zip(
        _MORSE_ALPHABET.split(),
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
)


def find_base64(text: str) -> Found:
    """Find base64, standard or for URLs, also wrapped over lines."""
    if max(map(len, text.split()), default=0) < 16:  # cheaper than the search
        return
    for block in _BASE64_BLOCK.finditer(text):
        whole = _base64(block[0])
        if whole:
            yield *block.span(), whole
            continue
        for pattern in _BASE64_PARTS:
            for part in pattern.finditer(text, *block.span()):
                decoded = _base64(part[0])
                if decoded:
                    yield *part.span(), decoded


def _base64(code: str) -> str:
    """The text of a base64 string, or nothing."""
    dense = re.sub(r"[\s>=]", "", code).replace("-", "+").replace("_", "/")
    if len(dense) % 4 == 1:  # one letter too many, which holds no whole byte
        dense = dense[:-1]
    try:
        return as_text(base64.b64decode(dense + "=" * (-len(dense) % 4)))
    except binascii.Error:
        return ""


def find_base32(text: str) -> Found:
    """Find base32."""
    for match in _BASE32.finditer(text):
        dense = match[0].rstrip("=")
        dense = dense[: len(dense) - (len(dense) % 8 in (1, 3, 6))]  # one letter too many, which holds no whole byte
        decoded = as_text(base64.b32decode(dense + "=" * (-len(dense) % 8)))
        if decoded:
            yield *match.span(), decoded


def find_hex(text: str) -> Found:
    """Find bytes in hexadecimal, in one piece, spaced, or with 0x or backslash x."""
    for match in _HEX.finditer(text):
        dense = _HEX_FILL.sub("", match[0])
        decoded = as_text(bytes.fromhex(dense))
        if decoded:
            prefix = 2 * (text[max(0, match.start() - 2) : match.start()] in ("0x", "\\x"))
            yield match.start() - prefix, match.end(), decoded


def find_binary(text: str) -> Found:
    """Find bytes in binary."""
    for match in _BINARY.finditer(text):
        dense = re.sub(r"[\s,]", "", match[0])
        decoded = as_text(bytes(int(dense[i : i + 8], 2) for i in range(0, len(dense), 8)))
        if decoded:
            yield *match.span(), decoded


def find_decimal(text: str) -> Found:
    """Find codes of characters in decimal; measurements in the same range make no words."""
    for match in _DECIMAL.finditer(text):
        codes = [int(code) for code in re.findall("[0-9]+", match[0])]
        decoded = as_text(bytes(min(code, 255) for code in codes))  # 255 is no UTF-8
        if any(word.lower() in COMMON for word in re.findall("[A-Za-z]{3,}", decoded)) or len(decoded.split()) > 2:
            yield *match.span(), decoded


def find_morse(text: str) -> Found:
    """Find Morse; rules and tables drawn with hyphens and dots make no words."""
    for match in _MORSE.finditer(text):
        words = _MORSE_GAP.split(match[0].translate(_MORSE_SIGNS).strip())
        letters = ["".join(_MORSE_LETTERS.get(sign, "\0") for sign in word.split()) for word in words]
        decoded = " ".join(filter(None, letters))
        unknown = decoded.count("\0")
        decoded = decoded.replace("\0", "")
        if unknown <= 0.1 * len(decoded) and len(set(decoded)) >= 4 and _are_morse_words(decoded.split()):
            yield *match.span(), decoded


def _are_morse_words(words: list[str]) -> bool:
    """Whether nearly all of what stands in Morse could be words."""
    return sum(len(word) < 3 or word in COMMON or is_plausible(word) for word in words) >= 0.8 * len(words)


CODES: tuple[Callable[[str], Found], ...] = (find_binary, find_decimal, find_hex, find_base32, find_base64, find_morse)
"""The most special alphabet first: what is hexadecimal is base64 too, but says nothing as such."""
