"""What counts as a text (floor 1, stdlib only).

One place decides what may be judged. A text that two readers could read differently is refused rather than guessed at, because
the firewall and the model behind it would then judge different texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.verdict import ORIGINS, Origin

MAX_CHARACTERS = 5_000_000
"""Default limit on the length of one text, about 1.2 million tokens. A longer text is an error, never cut."""

UNORDERED = (Mapping, set, frozenset)
"""What can be gone through, but has no order that answers could be given in; of a mapping only the keys would be seen."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_text(text: object, max_characters: int = MAX_CHARACTERS) -> str:
    """Return the text when it can be judged.

    Parameters
    ----------
    text : object
        What the caller gave.
    max_characters : int
        Longest text to accept, in characters.

    Returns
    -------
    str
        The same string.

    Raises
    ------
    InvalidInputError
        If it is not a str, is empty, is longer than the limit, or contains a NUL or a lone surrogate. The message names the place.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"A text must be str, not {type(text).__name__}. Decode bytes first, for example with .decode('utf-8').")
    if not text:
        raise InvalidInputError("The text is empty, so there is nothing to judge. Leave it out, or scan the text that was meant.")
    if len(text) > max_characters:
        raise InvalidInputError(
            f"The text has {len(text)} characters, more than the limit of {max_characters}. "
            "Split it into parts and judge each; nothing is ever cut."
        )
    return check_chunk(text)


def check_chunk(text: object, start: int = 0) -> str:
    """Return a part of a text when its characters can be judged; it may be empty and of any length.

    Parameters
    ----------
    text : object
        What the caller gave.
    start : int
        Where the part begins, for the places that the message names.

    Returns
    -------
    str
        The same string.

    Raises
    ------
    InvalidInputError
        If it is not a str, or contains a NUL or a lone surrogate.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"A text must be str, not {type(text).__name__}. Decode bytes first, for example with .decode('utf-8').")
    nul = text.find("\0")
    if nul >= 0:
        raise InvalidInputError(
            f"The text has a NUL at character {start + nul}: it is binary, or in another encoding. Decode it properly, or remove the NULs."
        )
    surrogate = _SURROGATE.search(text)
    if surrogate:
        raise InvalidInputError(
            f"The text has a lone surrogate at character {start + surrogate.start()}, which is not a character. "
            "Decode it properly, or replace it: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        )
    return text


def copies_key(text: str) -> str:
    """What a text and its copies have in common; they may differ in case and in spaces."""
    return " ".join(text.casefold().split())


def check_texts(texts: Iterable[str]) -> list[str]:
    """Return the texts as a list, every one of them usable.

    Parameters
    ----------
    texts : iterable of str

    Returns
    -------
    list of str

    Raises
    ------
    InvalidInputError
        If it is no collection or one without an order, or :func:`check_text` refuses one; the message then names its position.
    """
    if isinstance(texts, (str, bytes)):
        raise InvalidInputError("scan_batch takes several texts. For a single one use scan(text), or put it in a list.")
    if not isinstance(texts, Iterable) or isinstance(texts, UNORDERED):
        raise InvalidInputError(f"scan_batch takes several texts in order, for example a list, not {type(texts).__name__}.")
    checked = list(texts)
    for index, text in enumerate(checked):
        try:
            check_text(text, MAX_CHARACTERS)
        except InvalidInputError as err:
            raise InvalidInputError(f"Text {index} of {len(checked)}: {err}" if len(checked) > 1 else str(err)) from None
    return checked


def check_origin(origin: object) -> Origin:
    """Return the origin when it is one.

    Parameters
    ----------
    origin : object
        What the caller gave.

    Returns
    -------
    {"prompt", "content"}

    Raises
    ------
    InvalidInputError
        If it is anything else.
    """
    for known in ORIGINS:
        if isinstance(origin, str) and origin == known:
            return known
    raise InvalidInputError(f"The origin must be one of {', '.join(map(repr, ORIGINS))}: what a user typed, or what was retrieved.")


def check_origins(origin: Origin | Sequence[Origin], n_texts: int) -> list[Origin]:
    """Return one origin a text.

    Parameters
    ----------
    origin : {"prompt", "content"} or sequence of them
        One for all, or one a text.
    n_texts : int

    Returns
    -------
    list of {"prompt", "content"}

    Raises
    ------
    InvalidInputError
        If one is unknown, or their number is another.
    """
    if isinstance(origin, (str, *UNORDERED)) or not isinstance(origin, Iterable):
        return [check_origin(origin)] * n_texts
    origins = [check_origin(o) for o in origin]
    if len(origins) != n_texts:
        raise InvalidInputError(f"There are {n_texts} texts but {len(origins)} origins. Give one origin for all, or one a text.")
    return origins


def check_threshold(threshold: object) -> float:
    """Return the threshold when it is a number in [0, 1].

    Parameters
    ----------
    threshold : object
        What the caller gave.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If it is not a number, is NaN, or lies outside [0, 1].
    """
    is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not is_number or not 0.0 <= threshold <= 1.0:  # type: ignore[operator]  # NaN lies in no range
        raise InvalidInputError("The threshold must be a number from 0 to 1. Scores lie in that range; a text is flagged at or above it.")
    return float(threshold)  # type: ignore[arg-type]
