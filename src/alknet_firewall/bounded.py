"""Bytes of a stream, never more of them than can be a text (floor 1): a device or a pipe may have no end."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.text import MAX_CHARACTERS

MAX_BYTES = 4 * MAX_CHARACTERS
"""Most bytes that can be a text: UTF-8 has at most four a character."""

MAX_OBJECT_BYTES = 16 * MAX_CHARACTERS
"""Most bytes of a line that is read as a JSON object: an escaped character has at most twelve, and other fields want room too."""

MAX_SKIPPED = 50
"""The end of a line that is too long is looked for within so many times the limit."""

MARK = len(codecs.BOM_UTF8)
LINE_END = len(b"\r\n")

TOO_LONG = f"There are more bytes than in any text within the limit of {MAX_CHARACTERS} characters. Split it into parts and judge each."


def read_at_most(stream: IO[bytes], most: int) -> bytes | None:
    """All that a stream holds, or None when that is more than `most` bytes and a byte order mark."""
    content = stream.read(most + MARK + 1)
    return content if len(content) <= most + MARK else None


def bounded_lines(stream: IO[bytes], most: int) -> Iterator[bytes | None]:
    """Lines of a stream, with their ends.

    Parameters
    ----------
    stream : binary stream
    most : int
        Longest line, in bytes, without its end and a byte order mark.

    Yields
    ------
    bytes or None
        None for a longer line, which is passed over and not kept in memory.

    Raises
    ------
    InvalidInputError
        If a line seems to have no end.
    """
    most += MARK + LINE_END
    while raw := stream.readline(most + 1):
        if len(raw) <= most:
            yield raw
            continue
        yield None
        n_skipped = 0
        while raw and not raw.endswith(b"\n"):
            if n_skipped == MAX_SKIPPED:
                raise InvalidInputError("A line seems to have no end. What may come after it was not read; check the input.")
            raw, n_skipped = stream.readline(most), n_skipped + 1


def whole_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Lines of a stream where none may be left out: one that is too long to be an object of a text raises InvalidInputError.

    `name` is what to call the stream in the message.
    """
    for number, raw in enumerate(bounded_lines(stream, MAX_OBJECT_BYTES), 1):
        if raw is None:
            raise InvalidInputError(f"{name}:{number}: {TOO_LONG}")
        yield raw
