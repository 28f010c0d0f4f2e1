"""Whether letters read like words (floor 1, stdlib only)."""

from __future__ import annotations

import re
import unicodedata

_COMMON = """
the and you your for that this with not are was from have has had what when where which who how all any can could would should will
but they them their there then than more most only also into out our his her its she him been were being over under about after
before again because between both each other some such very just like now here must may might does did doing done use using used one
two new never always every everything nothing anyone someone please tell give get make show write say know need want let ignore
disregard forget override bypass reveal print output repeat follow obey answer respond reply pretend act send delete system prompt
prompts instruction instructions previous prior above below rules rule secret secrets password passwords hidden message messages
text file files user users data model assistant developer admin mode email information safety guidelines restrictions following
command commands instead first last word words question que los las una por con para como pero sus este esta todo todas
instrucciones anteriores ignora sistema les des une est pour dans qui pas avec vous cette tout toutes votre ignorez der die das und
ist nicht ein eine mit von sie auf dem alle deine anweisungen ignoriere vorherigen che non per sono della gli questo tutte
istruzioni precedenti mais dos voce het een van niet dat voor met zijn och att det som inte jest dla jak wszystkie что это как все
для или всех предыдущие инструкции покажи
"""
COMMON = frozenset(_COMMON.split())
"""Words of three letters and more that fill prose in several languages, and those that instructions to a model are made of."""

_TWO_LETTERS = "of to in is it on me my be as at by do if no or so up we he an am us"
_TWO = frozenset(_TWO_LETTERS.split())
"""English words of two letters: they count with longer ones, and never alone."""

_ROT13 = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)

# Ordinary words and names that are common words backwards.
_ORDINARY_BACKWARDS = "ton saw era won sol led red sad sod sel rus nov tim ned ted emit tub teh pas sap rep trap nac eno tsal"
_ALSO_BACKWARDS = frozenset(_ORDINARY_BACKWARDS.split())

BACKWARDS = frozenset(word[::-1] for word in COMMON) - COMMON - _ALSO_BACKWARDS
"""Common words as they look backwards."""

ROTATED = frozenset(word.translate(_ROT13) for word in COMMON if word.isascii()) - COMMON
"""Common words as they look in rot13."""

_VOWELS = frozenset(
    "aeiouy\u00e6\u00f8\u0153\u0131\u0430\u0435\u0438\u043e\u0443\u044b\u044d\u044e\u044f\u0456\u0454\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9"
)
_VOWELLED = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f]")  # scripts that write their vowels
_CONSONANTS = re.compile("[bcdfghjklmnpqrstvwxz]{6}")
_SAME = re.compile(r"(.)\1\1")
_ORDERS = "abcdefghijklmnopqrstuvwxyz qwertyuiop asdfghjkl zxcvbnm"
_WORD = re.compile(r"[^\W\d_]{2,}")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts that are read without spaces, or nearly so
_SAMPLE = 400


def rot13(text: str) -> str:
    """Letters moved by half the alphabet; twice gives the text again."""
    return text.translate(_ROT13)


def is_common(word: str) -> bool:
    """Whether a lower-case word is one that prose is full of."""
    return word in COMMON or word in _TWO


def is_wide(word: str) -> bool:
    """Whether a word is in a script of which one character can be a word."""
    return bool(_WIDE.match(word))


def is_plausible(word: str) -> bool:
    """Whether letters could be a word of some language: vowels and consonants in turn, and no stretch of the alphabet."""
    if not word.isalpha():
        return False
    bare = "".join(unicodedata.normalize("NFD", letter)[0] for letter in word[:60].lower())
    if _SAME.search(bare) or bare in _ORDERS or bare[::-1] in _ORDERS:
        return False
    if not _VOWELLED.match(bare):
        return len(set(bare)) > 1
    share = sum(letter in _VOWELS for letter in bare) / len(bare)
    return 0.15 <= share <= 0.8 and not _CONSONANTS.search(bare)


def looks_like_words(text: str) -> bool:
    """Whether a text that came out of a code is language: printable, mostly letters and spaces, and its words plausible."""
    dense = "".join(text.split())
    if len(text) < 6 or not dense.isprintable():
        return False
    letters = len(re.findall(r"[^\W\d_]", dense))
    if letters < 0.8 * len(dense):
        return False
    if len(_WIDE.findall(dense)) > 0.5 * letters:
        return len(dense) >= 4
    words = [word for word in _WORD.findall(text[: 8 * _SAMPLE]) if len(word) < 40][:_SAMPLE]
    if len(text.split()) < 2 or len(words) < 2:
        return is_telling(dense)
    return sum(word.lower() in COMMON or is_plausible(word) for word in words) >= 0.7 * len(words)


def is_telling(text: str) -> bool:
    """Whether letters in one piece hold words that instructions to a model are made of."""
    letters = text[:_SAMPLE].lower()
    return (
        letters.isalpha()
        and is_plausible(letters)
        and any(letters[i:j] in COMMON for i in range(len(letters)) for j in range(i + 5, i + 14))
    )
