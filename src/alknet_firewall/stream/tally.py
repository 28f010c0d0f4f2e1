"""What must be kept of the segments of a text that has no end (floor 3)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from alknet_firewall.judging import Judge, Rated

MOST = 10_000
"""Segments in spans that an endless text may have. Of more, the less suspicious half is let go of."""


class Tally:
    """The segments read so far, of which only those are kept that can still matter.

    A segment's score falls as the text grows (ADR 009), so one that is below the threshold never reaches it later; only the worst of all
    is needed beside those above, for the score.

    Attributes
    ----------
    n_segments, n_windows : int
        How many were read.
    """

    def __init__(self, judge: Judge) -> None:
        """Keep what a judge needs."""
        self.n_segments = self.n_windows = 0
        self._judge = judge
        self._worst: list[Rated] = []
        self._suspicious: list[Rated] = []

    @property
    def kept(self) -> list[Rated]:
        """The worst segment, and all that may be in a span."""
        return self._worst + self._suspicious

    def add(self, window: Sequence[Rated], n_segments: int) -> None:
        """Take the segments of a window, of a text that has at least `n_segments` by now."""
        self.n_segments += len(window)
        self.n_windows += 1
        self._worst = [max([*self._worst, *window], key=_logit)]
        spans = self._judge.spans(window, max(1, n_segments))
        self._suspicious += [segment for segment, span in zip(window, spans, strict=True) if self._judge.is_suspicious(span)]

    def shrink(self) -> None:
        """Let go of the least suspicious when there are too many."""
        if len(self._suspicious) > MOST:
            self._suspicious = heapq.nlargest(MOST // 2, self._suspicious, key=_logit)


def _logit(segment: Rated) -> float:
    """What segments are ordered by."""
    return segment.logit
