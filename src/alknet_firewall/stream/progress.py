"""What has been read of a text that is still arriving, and what it comes to (floor 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alknet_firewall.detector import Detector
from alknet_firewall.encoder import Past
from alknet_firewall.judging import Judge, rate
from alknet_firewall.reader import Reader, Segment
from alknet_firewall.stream.readings import ArrivingViews
from alknet_firewall.stream.tally import Tally
from alknet_firewall.stream.tokens import ArrivingTokens
from alknet_firewall.stream.windows import ArrivingWindows
from alknet_firewall.tokenizer import Tokens
from alknet_firewall.verdict import Verdict

TOGETHER = 32
"""Tokens that are read at a time at first, a few segments: fewer cost nearly as much. Later up to an eighth of what has been read waits."""


class Progress:
    """Reads a text part by part and judges it. The same parts give the same verdicts, to the last bit.

    Attributes
    ----------
    n_read : int
        How many characters of the text have been read as they stand; those after them wait.
    """

    def __init__(self, reader: Reader, detector: Detector, judge: Judge, past: Past, *, with_views: bool) -> None:
        """Read behind a past."""
        self.n_read = 0
        self._reader, self._detector, self._judge, self._past = reader, detector, judge, past
        self._tokens = ArrivingTokens(reader.tokenizer, TOGETHER)
        self._windows = ArrivingWindows(reader, judge.origin, past)
        self._views = ArrivingViews(reader, judge.origin, past) if with_views else None
        self._plain, self._hidden = Tally(judge), Tally(judge)
        self._n_shown: int | None = None  # known when the text has ended

    def step(self, part: str) -> Verdict | None:
        """Take the next part of the text.

        Parameters
        ----------
        part : str

        Returns
        -------
        Verdict or None
            What is known now; None when too little waits to be worth a look.
        """
        tokens, hidden = self._tokens.feed(part), self._views.feed(part) if self._views else []
        if not len(tokens) and not hidden:
            return None
        self._read(tokens)
        self._find(hidden)
        return self._verdict([self._windows.open] if self._windows.open else [])

    def peek(self, part: str) -> Verdict:
        """What would be known with this part and all that waits, which goes on waiting."""
        hidden = self._views.peek(part) if self._views else []
        return self._verdict(self._windows.peek(self._tokens.peek(part)), hidden)

    def close(self, part: str, text: str | None) -> Verdict:
        """Take the last part, and read what only the whole text shows.

        Parameters
        ----------
        part : str
            May be empty.
        text : str or None
            The whole text; None when it was too long to be kept.

        Returns
        -------
        Verdict
        """
        self._read(self._tokens.feed(part))
        self._read(self._tokens.close())
        self._add(self._windows.close())
        if text is None:
            self._find(self._views.peek(part) if self._views else [])
        else:
            self._read_again(text)
        return self._verdict([])

    def shrink(self) -> None:
        """Let go of what matters least, in a text without an end."""
        self._plain.shrink()
        self._hidden.shrink()

    def _read(self, tokens: Tokens) -> None:
        """Read tokens as they stand."""
        for window in self._windows.feed(tokens):
            self._add(window)
        if len(tokens):
            self.n_read = int(tokens.offsets[-1, 1])

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

    def _verdict(self, plain: Sequence[list[Segment]], hidden: Sequence[list[Segment]] = ()) -> Verdict:
        """The verdict with windows of the text and of views that are not counted, or not yet."""
        more = [segment for window in (*plain, *hidden) for segment in window]
        rated = [*self._plain.kept, *self._hidden.kept, *rate(more, self._detector)]
        if not rated:
            return self._judge.nothing_read()
        n_segments = self._plain.n_segments + sum(map(len, plain))
        n_windows = self._plain.n_windows + self._hidden.n_windows + len(plain) + len(hidden)
        return self._judge.verdict(rated, max(1, n_segments), n_windows, self._n_shown)
