"""Scores of texts that a head has not seen, to what they are worth (floor 3): calibration and thresholds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alknet_firewall.bags import Values
from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.ranking import threshold_at
from alknet_firewall.tensors import IntArray
from alknet_firewall.verdict import ORIGINS

TAIL = 0.97
"""Quantile of harmless texts that is held flat over length: as far out as a few hundred texts allow."""

MIN_TAIL = 100
"""With fewer harmless texts nothing is said about length."""


@dataclass(frozen=True)
class Harmless:
    """Harmless texts, to learn from how their logits rise with length.

    Attributes
    ----------
    logits : ndarray of shape (n_texts,)
        Of the worst segment of each.
    n_segments : ndarray of shape (n_texts,), int64
        How many segments each has.
    """

    logits: Values
    n_segments: IntArray


@dataclass(frozen=True)
class Limits:
    """What a calibration may do.

    Attributes
    ----------
    sharpness : float
        The log-odds of scores are those of probabilities multiplied by this; below 1 when the arithmetic behind them is not worth more.
    length : float
        Most that the logit is lowered by when the number of segments grows by a factor of e, before Platt scaling.
    longest : int
        Segments beyond which it is lowered no further.
    """

    sharpness: float = 1.0
    length: float = np.inf
    longest: int = sys.maxsize


UNLIMITED = Limits()


def fit_calibration(
    logits: Values, n_segments: IntArray, labels: IntArray, limits: Limits = UNLIMITED, lengths: Harmless | None = None
) -> Calibration:
    """What makes the scores of one origin independent of length and as sure as they are right.

    Two steps. The upper tail of harmless texts is made flat over their length: quantile regression of their logits on
    ``ln n_segments`` (Koenker and Bassett 1978, "Regression quantiles", equation 3.1) at :data:`TAIL`. Then Platt scaling (Platt 1999,
    "Probabilistic outputs for support vector machines", equation 1), both classes given the same total weight: a head is
    surer on what it was fitted on than on anything else.

    Parameters
    ----------
    logits : ndarray of shape (n_texts,)
        Of the worst segment of texts that the head was not fitted on.
    n_segments : ndarray of shape (n_texts,), int64
        How many segments each text has.
    labels : ndarray of shape (n_texts,), int64
        1 for an attack; both labels occur.
    limits : Limits, optional
    lengths : Harmless, optional
        What to learn the correction for length from, such as the same documents cut short and long: texts of different lengths
        are mostly texts of different kinds. By default the harmless ones of the texts themselves.

    Returns
    -------
    Calibration
        The slope is positive, so the order of texts of one length stays; 1 and a shift of 0 when the logits do not rise with the labels.
    """
    from sklearn.linear_model import LogisticRegression

    length = min(limits.length, _length_slope(lengths or Harmless(logits[labels == 0], n_segments[labels == 0])))
    flat = logits - length * np.log(np.minimum(n_segments, limits.longest))
    model = LogisticRegression(C=1e6, class_weight="balanced").fit(flat[:, None], labels)
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        slope, shift = 1.0, 0.0
    soft = limits.sharpness
    return Calibration(soft * slope, soft * shift, soft * slope * length, soft, limits.longest)


def operating_points(
    scores: Values, labels: IntArray, origins: Sequence[str], rates: Sequence[float], data: str
) -> tuple[OperatingPoint, ...]:
    """Thresholds at false-positive rates, an origin at a time.

    Parameters
    ----------
    scores : ndarray of shape (n_texts,)
        Of texts that the head was not fitted on.
    labels : ndarray of shape (n_texts,), int64
    origins : sequence of str
        One a text.
    rates : sequence of float
        Wanted false-positive rates.
    data : str
        What the texts are, for the artifact's config.

    Returns
    -------
    tuple of OperatingPoint
        The threshold is just above the highest score that may not be flagged, so at most the wanted share of harmless texts is.
    """
    owner = np.array(origins)
    points = []
    for origin in ORIGINS:
        benign, attacks = (scores[(owner == origin) & (labels == label)].astype(np.float64) for label in (0, 1))
        for rate in rates:
            threshold = min(1.0, threshold_at(benign, rate))
            tpr = float((attacks >= threshold).mean()) if len(attacks) else 0.0
            points.append(OperatingPoint(origin, rate, threshold, tpr, len(benign), len(attacks), data))
    return tuple(points)


def _length_slope(harmless: Harmless) -> float:
    """By how much the logits of harmless texts rise as their number of segments grows by a factor of e, at least 0."""
    from sklearn.linear_model import QuantileRegressor

    logarithms = np.log(harmless.n_segments.astype(np.float64))
    if len(logarithms) < MIN_TAIL or np.ptp(logarithms) == 0:
        return 0.0
    model = QuantileRegressor(quantile=TAIL, alpha=0.0, solver="highs").fit(logarithms[:, None], harmless.logits)
    return max(0.0, float(model.coef_[0]))
