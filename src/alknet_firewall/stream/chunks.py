"""Chunks of str or bytes to text (floor 2)."""

from __future__ import annotations

import codecs

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.text import check_chunk, check_text

Chunk = str | bytes | bytearray | memoryview

BYTES = (bytes, bytearray, memoryview)
MARK = "\ufeff"
"""What a text in bytes may begin with to say that it is UTF-8."""


class Chunks:
    """Checks the chunks of one text, and puts characters together whose bytes lie in several.

    Attributes
    ----------
    n_characters : int
        How many have come out.
    """

    def __init__(self) -> None:
        self.n_characters = self._n_bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_start = True
        self._kind: type | None = None

    def feed(self, chunk: Chunk) -> str:
        """Take a chunk.

        Parameters
        ----------
        chunk : str, bytes, bytearray or memoryview
            All str, or all bytes of whatever kind. Bytes are UTF-8; a mark of that at their start is dropped.

        Returns
        -------
        str
            Its characters, and those that it ends.

        Raises
        ------
        InvalidInputError
            If it cannot be judged; the message names the place in the whole text.
        """
        kind = bytes if isinstance(chunk, BYTES) else str
        if self._kind not in (None, kind):
            raise InvalidInputError("A stream takes chunks of str or of bytes, not both. Decode the bytes first, or encode the str.")
        self._kind = kind
        text = self._decoded(bytes(chunk), final=False) if isinstance(chunk, BYTES) else chunk
        check_chunk(text, self.n_characters)
        self.n_characters += len(text)
        return text

    def close(self) -> None:
        """Check that the text may end here.

        Raises
        ------
        InvalidInputError
            If it ends within a character, or there was none.
        """
        self._decoded(b"", final=True)
        if not self.n_characters:
            check_text("")

    def _decoded(self, chunk: bytes, *, final: bool) -> str:
        """Bytes as text, as far as characters are complete."""
        start = self._n_bytes - len(self._decoder.getstate()[0])
        self._n_bytes += len(chunk)
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as err:
            raise InvalidInputError(
                f"Not UTF-8 at byte {start + err.start} of the stream. Convert it to UTF-8 first, or give decoded text."
            ) from None
        if text and self._is_start:  # by hand: a decoder that knows the mark counts bytes from behind it
            self._is_start, text = False, text.removeprefix(MARK)
        return text
