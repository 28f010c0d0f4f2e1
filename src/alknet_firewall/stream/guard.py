"""The guard of one stream (floor 3): wiring, no maths."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from alknet_firewall.detector import Detector
from alknet_firewall.encoder import Past
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.judging import Judge
from alknet_firewall.reader import Reader
from alknet_firewall.stream.chunks import Chunk, Chunks
from alknet_firewall.stream.progress import Progress
from alknet_firewall.verdict import Verdict

EXACT_CHARACTERS = 1_000_000
"""Up to this length a stream's text is kept, and its last verdict is that of a scan. A longer one is read on but no longer kept, so
what is hidden in it is read in stretches only (:mod:`alknet_firewall.stream.readings`)."""

STEP = 32
"""Characters that are taken at a time, counted from the start of the text: so what is known, and when, does not depend on the chunks."""


class StreamGuard:
    """Judges one text while it arrives. Made by :meth:`alknet_firewall.firewall.Firewall.stream`.

    Many guards share one firewall. A guard's own calls go one after the other, from whatever thread.

    Attributes
    ----------
    verdict : Verdict
        What is known so far. Until anything has been read it has a score of 0.0 and no windows, and is not flagged.
    judged_at : int
        How many characters had arrived when that was known: a multiple of :data:`STEP` whatever the chunks, unless :meth:`peek` or
        :meth:`close` gave it.
    flagged_at : int or None
        The same of the first verdict that was flagged. It stays, though a later verdict may take the flag back: a score falls as harmless
        text follows, and the end of what has arrived is read anew with what comes after it.
    n_characters : int
        How many have arrived.

    Examples
    --------
    >>> guard = Firewall.from_pretrained().stream("content")  # doctest: +SKIP
    >>> for chunk in response:  # doctest: +SKIP
    ...     if guard.feed(chunk).flagged:
    ...         break
    >>> guard.close().flagged  # doctest: +SKIP
    """

    def __init__(self, reader: Reader, detector: Detector, judge: Judge, past: Past, *, with_views: bool = True) -> None:
        """Judge what arrives behind a past.

        Raises
        ------
        InvalidInputError
            If the artifact's tokenizer cannot read a text in parts.
        """
        if not reader.tokenizer.splits_locally:
            raise InvalidInputError(
                "This artifact's tokenizer needs whole texts. Collect the chunks and use scan, or take another artifact."
            )
        self.judged_at = 0
        self.flagged_at: int | None = None
        self._verdict = judge.nothing_read()
        self._progress = Progress(reader, detector, judge, past, with_views=with_views)
        self._chunks = Chunks()
        self._rest, self._n_taken, self._peeked_at = "", 0, 0
        self._text: StringIO | None = StringIO()
        self._state = "open"
        self._lock = threading.Lock()
        _guards.add(self)

    @property
    def verdict(self) -> Verdict:
        """What is known so far; an InvalidInputError when the stream had a chunk that could not be judged."""
        self._check_unbroken()
        return self._verdict

    @property
    def n_characters(self) -> int:
        """How many characters have arrived."""
        return self._chunks.n_characters

    def feed(self, chunk: Chunk) -> Verdict:
        """Take more text.

        Parameters
        ----------
        chunk : str, bytes, bytearray or memoryview
            May be empty, and may end anywhere: within a word, an emoji, an escape, and, in bytes, within a character. Bytes are UTF-8; a
            mark of that at their start is none of the text.

        Returns
        -------
        Verdict
            What is known so far; when the text was flagged within the chunk and is not at its end, what was known then. Tokens wait until
            there are enough to be worth a look, so the last 32 or so have not been read yet; in a long text the last 128. :meth:`peek`
            reads them.

        Raises
        ------
        InvalidInputError
            If the chunk cannot be judged, or the stream is closed. A stream that had such a chunk gives no verdict any more.
        """
        with self._lock, self._unless_broken():
            text = self._chunks.feed(chunk)
            self._keep(text)
            self._rest += text
            n_now = len(self._rest) - len(self._rest) % STEP
            found = [self._step(self._rest[at : at + STEP]) for at in range(0, n_now, STEP)]
            self._rest = self._rest[n_now:]
            return next((verdict for verdict in (self._verdict, *found) if verdict.flagged), self._verdict)

    def peek(self) -> Verdict:
        """Judge what still waits as well, as if the text ended here, though it may go on.

        For when nothing comes for a while: a line of a log, a message in a conversation. It costs the reading of what waits and a search
        for what is hidden, some ten milliseconds and in a long text up to a hundred, if anything has arrived since the last time.
        It changes no later verdict, except that no flag is taken back before as much has been read.

        Returns
        -------
        Verdict
            What is known of all that has arrived. What is hidden is looked for in the last :data:`.readings.STRETCH` characters.

        Raises
        ------
        InvalidInputError
            If a chunk before could not be judged.
        """
        with self._lock:
            if self._state != "closed":
                with self._unless_broken():
                    if self.n_characters > self._peeked_at:
                        self._peeked_at = self.n_characters
                        self._tell(self._progress.peek(self._rest), self.n_characters)
            return self._verdict

    def close(self) -> Verdict:
        """Read what still waits, as the text ends here.

        Returns
        -------
        Verdict
            That of :meth:`alknet_firewall.firewall.Firewall.scan` on the whole text, up to float rounding
            (:data:`alknet_firewall.firewall.BATCH_TOLERANCE`), if it has at most :data:`EXACT_CHARACTERS` characters. In a longer one,
            what is hidden was read in overlapping stretches. Further calls give the same.

        Raises
        ------
        InvalidInputError
            If nothing arrived, the bytes end within a character, or a chunk before could not be judged.
        """
        with self._lock:
            if self._state != "closed":
                with self._unless_broken():
                    self._chunks.close()
                    whole = self._text.getvalue() if self._text is not None else None
                    self._tell(self._progress.close(self._rest, whole), self.n_characters)
                    self._state, self._text = "closed", None
            return self._verdict

    def _step(self, part: str) -> Verdict:
        """Take the next :data:`STEP` characters."""
        self._n_taken += len(part)
        verdict = self._progress.step(part)
        if self._n_taken > EXACT_CHARACTERS:
            self._progress.shrink()
        if verdict is not None and (verdict.flagged or self._progress.n_read >= self._peeked_at):  # who knows less takes no flag back
            self._tell(verdict, self._n_taken)
        return self._verdict

    def _tell(self, verdict: Verdict, at: int) -> None:
        """Let a verdict be what is known."""
        self._verdict, self.judged_at = verdict, at
        if verdict.flagged and self.flagged_at is None:
            self.flagged_at = at

    def _keep(self, text: str) -> None:
        """Keep the text while it is short enough."""
        if self.n_characters > EXACT_CHARACTERS:
            self._text = None
        elif self._text is not None:
            self._text.write(text)

    @contextmanager
    def _unless_broken(self) -> Iterator[None]:
        """Let nothing follow what went wrong: part of the text would be missing."""
        self._check_unbroken()
        if self._state == "closed":
            raise InvalidInputError("The stream is closed. Begin another one for another text.")
        try:
            yield
        except BaseException:
            self._state = "broken"
            raise

    def _check_unbroken(self) -> None:
        """Say nothing of a text of which a part is missing."""
        if self._state == "broken":
            raise InvalidInputError("The stream has no verdict, as a call before ended with an error. Begin another one.")


_guards: weakref.WeakSet[StreamGuard] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """A guard that another thread was using has that thread no longer: its lock is free, and what was half read is no verdict."""
    for guard in list(_guards):
        if guard._lock.locked() and guard._state == "open":  # noqa: SLF001 - this module's own
            guard._state = "broken"  # noqa: SLF001
        guard._lock = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
