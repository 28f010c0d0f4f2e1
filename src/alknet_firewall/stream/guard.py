"""The guard of one stream (floor 3): wiring, no maths."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO

from alknet_firewall.detector import Detector
from alknet_firewall.encoder import Past
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.judging import Judge, Rated, rate
from alknet_firewall.reader import Reader, Segment
from alknet_firewall.stream.chunks import Chunks
from alknet_firewall.stream.readings import ArrivingViews
from alknet_firewall.stream.tally import Tally
from alknet_firewall.stream.tokens import ArrivingTokens
from alknet_firewall.stream.windows import ArrivingWindows
from alknet_firewall.tokenizer import Tokens
from alknet_firewall.verdict import Verdict

EXACT_CHARACTERS = 1_000_000
"""Up to this length a stream's text is kept, and its last verdict is that of a scan. A longer one is read on but no longer kept, so
what is hidden in it is read in stretches only (:mod:`alknet_firewall.stream.readings`)."""

TOGETHER = 32
"""Tokens that are read at a time at first, a few segments: fewer cost nearly as much. Later up to an eighth of what has been read waits."""


class StreamGuard:
    """Judges one text while it arrives. Made by :meth:`alknet_firewall.firewall.Firewall.stream`.

    Many guards share one firewall. A guard's own calls go one after the other, from whatever thread.

    Attributes
    ----------
    verdict : Verdict
        What is known so far. Until anything has been read it has a score of 0.0 and no windows, and is not flagged.
    flagged_at : int or None
        How many characters had arrived when it was first flagged. It stays, though a later verdict may take the flag back: a score falls
        as harmless text follows, and the end of what has arrived is read anew with what comes after it.
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
        self.verdict = judge.nothing_read()
        self.flagged_at: int | None = None
        self._reader, self._detector, self._judge, self._past = reader, detector, judge, past
        self._tokens = ArrivingTokens(reader.tokenizer, TOGETHER)
        self._windows = ArrivingWindows(reader, judge.origin, past)
        self._views = ArrivingViews(reader, judge.origin, past) if with_views else None
        self._plain, self._hidden = Tally(judge), Tally(judge)
        self._n_shown: int | None = None  # known when the text has ended
        self._text: StringIO | None = StringIO()
        self._chunks = Chunks()
        self._state = "open"
        self._lock = threading.Lock()

    @property
    def n_characters(self) -> int:
        """How many characters have arrived."""
        return self._chunks.n_characters

    def feed(self, chunk: str | bytes) -> Verdict:
        """Take more text.

        Parameters
        ----------
        chunk : str or bytes
            May be empty, and may end anywhere: within a word, an emoji, an escape, and, in bytes, within a character. Bytes are UTF-8; a
            mark of that at their start is none of the text.

        Returns
        -------
        Verdict
            What is known so far. Tokens wait until there are enough to be worth a look, so the last 32 or so have not been read yet; in a
            long text the last 128.

        Raises
        ------
        InvalidInputError
            If the chunk cannot be judged, or the stream is closed. A stream that had such a chunk gives no verdict any more.
        """
        with self._lock, self._unless_broken():
            text = self._chunks.feed(chunk)
            self._keep(text)
            tokens, hidden = self._tokens.feed(text), self._views.feed(text) if self._views else []
            if len(tokens) or hidden:
                self._read(tokens)
                self._find(hidden)
                self._judge_so_far(rate(self._windows.open, self._detector))
            return self.verdict

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
            if self._state == "closed":
                return self.verdict
            with self._unless_broken():
                self._read_end()
                return self.verdict

    def _read_end(self) -> None:
        """Read what waits, and the text as a whole."""
        self._chunks.close()
        self._read(self._tokens.close())
        self._add(self._windows.close())
        if self._text is not None:
            self._read_again(self._text.getvalue())
        self._judge_so_far([])
        self._state, self._text = "closed", None

    @contextmanager
    def _unless_broken(self) -> Iterator[None]:
        """Let nothing follow what went wrong: part of the text would be missing."""
        if self._state == "broken":
            raise InvalidInputError("A chunk of this stream could not be judged, so the stream has no verdict. Begin another one.")
        if self._state == "closed":
            raise InvalidInputError("The stream is closed. Begin another one for another text.")
        try:
            yield
        except BaseException:
            self._state = "broken"
            raise

    def _keep(self, text: str) -> None:
        """Keep the text while it is short enough."""
        if self.n_characters > EXACT_CHARACTERS:
            self._text = None
            self._plain.shrink()
            self._hidden.shrink()
        elif self._text is not None:
            self._text.write(text)

    def _read(self, tokens: Tokens) -> None:
        """Read tokens as they stand."""
        for window in self._windows.feed(tokens):
            self._add(window)

    def _add(self, window: list[Segment]) -> None:
        """Count a window of the text itself."""
        if window:
            self._plain.add(rate(window, self._detector), self._plain.n_segments)

    def _find(self, windows: Iterable[list[Segment]]) -> None:
        """Count windows of views."""
        for window in windows:
            self._hidden.add(rate(window, self._detector), self._n_shown or self._plain.n_segments)

    def _read_again(self, text: str) -> None:
        """Put in place of what was read in parts what only the whole text shows."""
        if not self._tokens.is_exact:
            self._plain = Tally(self._judge)
            for _, window in self._reader.segments([text], [self._judge.origin], pasts={self._judge.origin: self._past}):
                self._add(window)
        if self._views:
            self._hidden = Tally(self._judge)
            windows = self._views.close(text)
            self._n_shown = self._reader.n_shown(text, self._plain.n_segments) if windows else None
            self._find(windows)

    def _judge_so_far(self, open_window: list[Rated]) -> None:
        """Renew the verdict."""
        rated = [*self._plain.kept, *self._hidden.kept, *open_window]
        if rated:
            n_windows = self._plain.n_windows + self._hidden.n_windows + bool(open_window)
            n_segments = max(1, self._plain.n_segments + len(open_window))
            self.verdict = self._judge.verdict(rated, n_segments, n_windows, self._n_shown)
        if self.verdict.flagged and self.flagged_at is None:
            self.flagged_at = self.n_characters
