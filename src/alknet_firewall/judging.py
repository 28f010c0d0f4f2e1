"""Segments to a verdict (floor 3), for whole texts and for those still arriving."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alknet_firewall.config import ArtifactConfig, Calibration
from alknet_firewall.detector import Detector, calibrated, probabilities
from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.reader import Reader, Segment
from alknet_firewall.tensors import IntArray
from alknet_firewall.text import check_origin, check_threshold
from alknet_firewall.thresholds import OwnThreshold
from alknet_firewall.verdict import PLAIN, Origin, Span, Verdict, merge_spans


@dataclass(frozen=True)
class Rated:
    """A segment and what the head says of it.

    Attributes
    ----------
    start, end : int
        Half-open range of characters in the text.
    logit : float
        Higher = more suspicious; the same however long the text is.
    view : str
        Which view of the text it was read in.
    """

    start: int
    end: int
    logit: float
    view: str = PLAIN


def rate(segments: Sequence[Segment], detector: Detector) -> list[Rated]:
    """Segments with their logits, in the same order."""
    if not segments:
        return []
    logits = detector.logits(np.stack([segment.features for segment in segments]))
    return [Rated(s.start, s.end, float(logit), s.view) for s, logit in zip(segments, logits, strict=True)]


@dataclass(frozen=True)
class Judge:
    """What the segments of a text are held against.

    Attributes
    ----------
    origin : {"prompt", "content"}
    threshold : float
        In [0, 1].
    calibration : Calibration
        Of this origin.
    artifact : str
        Name and manifest hash of the artifact.
    revision : str or None
        Commit it came from, when it is the Hub's.
    """

    origin: Origin
    threshold: float
    calibration: Calibration
    artifact: str
    revision: str | None = None

    def spans(self, rated: Sequence[Rated], n_segments: int, n_shown: int | None = None) -> list[Span]:
        """Segments with their scores, in the same order, for a text of `n_segments` segments; see :meth:`verdict`.

        Raises
        ------
        ArtifactCorruptError
            If a score is not a number: it would be below every threshold.
        """
        lengths = lengths_of([segment.view for segment in rated], n_segments, n_segments if n_shown is None else n_shown)
        scores = calibrated(np.array([segment.logit for segment in rated]), lengths, self.calibration)
        if not np.isfinite(scores).all():
            raise ArtifactCorruptError(
                f"{self.artifact}: its calibration for origin {self.origin} gives a score that is not a number. "
                "Fetch or build the artifact again."
            )
        return [Span(s.start, s.end, float(score), s.view) for s, score in zip(rated, scores, strict=True)]

    def is_suspicious(self, span: Span) -> bool:
        """Whether a segment is enough to flag its text. The one comparison with a threshold is here."""
        return span.score >= self.threshold

    def nothing_read(self) -> Verdict:
        """The verdict before any of a text has been read."""
        return Verdict(
            flagged=False,
            score=0.0,
            probability=0.0,
            threshold=self.threshold,
            origin=self.origin,
            spans=(),
            windows=0,
            artifact=self.artifact,
            revision=self.revision,
        )

    def verdict(self, rated: Sequence[Rated], n_segments: int, n_windows: int, n_shown: int | None = None) -> Verdict:
        """The verdict on a text, which is as suspicious as its worst segment.

        Parameters
        ----------
        rated : sequence of Rated
            Its segments, at least the worst and all that reach the threshold.
        n_segments : int
            How many it has, those of views not counted.
        n_windows : int
            How many windows were read, views included.
        n_shown : int, optional
            How many it would have without characters that show nothing (:meth:`alknet_firewall.reader.Reader.n_shown`); by default as
            many. Segments of views are corrected for this length: it would not do to be let off for hiding.

        Returns
        -------
        Verdict

        Raises
        ------
        ArtifactCorruptError
            If a score is not a number.
        """
        spans = self.spans(rated, n_segments, n_shown)
        flagged = [span for span in spans if self.is_suspicious(span)]
        score = max(span.score for span in spans)
        return Verdict(
            flagged=bool(flagged),
            score=score,
            probability=float(probabilities(np.array([score]), self.calibration)[0]),
            threshold=self.threshold,
            origin=self.origin,
            spans=merge_spans(flagged),
            windows=n_windows,
            artifact=self.artifact,
            revision=self.revision,
        )


def judge_texts(
    texts: Sequence[str],
    judges: Sequence[Judge],
    reader: Reader,
    detectors: Mapping[Origin, Detector],
    stop: threading.Event | None,
    **options: Any,
) -> list[Verdict]:
    """Read whole texts and judge them.

    Parameters
    ----------
    texts : sequence of str
    judges : sequence of Judge
        One a text.
    reader : Reader
    detectors : mapping of origin to Detector
    stop : threading.Event or None
        Once it is set, nothing further is read or computed.
    **options
        As for :meth:`alknet_firewall.reader.Reader.segments`.

    Returns
    -------
    list of Verdict
        In the order of the texts.

    Raises
    ------
    CancelledError
        If it was told to stop.
    """
    n_windows = [0] * len(texts)
    rated: list[list[Rated]] = [[] for _ in texts]
    for index, window in reader.segments(texts, [judge.origin for judge in judges], stop=stop, **options):
        n_windows[index] += 1
        rated[index] += rate(window, detectors[judges[index].origin])
    verdicts = []
    for text, judge, own, n in zip(texts, judges, rated, n_windows, strict=True):
        n_segments, n_shown = counts_of(text, [segment.view for segment in own], reader)
        verdicts.append(judge.verdict(own, n_segments, n, n_shown))
    return verdicts


def counts_of(text: str, views: Sequence[str], reader: Reader) -> tuple[int, int]:
    """How many segments a whole text has, and for its views, from the views that its segments were read in; see :meth:`Judge.verdict`."""
    n_segments = sum(view == PLAIN for view in views)
    return n_segments, n_segments if n_segments == len(views) else reader.n_shown(text, n_segments)


def lengths_of(views: Sequence[str], n_segments: int, n_shown: int) -> IntArray:
    """What each segment is corrected for, by the view that it was read in: the length of the text, in segments."""
    return np.array([n_segments if view == PLAIN else n_shown for view in views], np.int64)


def threshold_for(
    config: ArtifactConfig, own: Mapping[Origin, OwnThreshold], origin: Origin, threshold: float | None = None, fpr: float | None = None
) -> float:
    """The threshold that a caller asks for.

    Parameters
    ----------
    config : ArtifactConfig
        Has the operating points.
    own : mapping of origin to OwnThreshold
        Thresholds set on the user's own texts, which go before the artifact's.
    origin : {"prompt", "content"}
    threshold : float, optional
        In [0, 1]; goes before all others.
    fpr : float, optional
        Operating point of the artifact; goes before `own`.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If both are given, or one cannot be used; for a rate, the message lists those there are.
    """
    if threshold is not None and fpr is not None:
        raise InvalidInputError("Give a threshold or a false-positive rate, not both.")
    if threshold is not None:
        return check_threshold(threshold)
    if fpr is None and check_origin(origin) in own:
        return own[origin].threshold
    point = config.operating_point(check_origin(origin), fpr)
    if point is None:
        rates = ", ".join(sorted({f"{p.fpr:g}" for p in config.operating_points}, key=float))
        raise InvalidInputError(f"The artifact has no operating point at this false-positive rate. It has: {rates}.")
    return point.threshold
