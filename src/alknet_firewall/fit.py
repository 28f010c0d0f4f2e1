"""Labelled texts to a detector (floor 3). scikit-learn is imported only inside functions: scanning never needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.detector import Detector
from alknet_firewall.errors import InvalidInputError, ShapeError
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS

Scores = npt.NDArray[np.float64]

TAIL = 0.97
"""Quantile of harmless texts that is held flat over length: as far out as a few hundred texts allow."""

MIN_TAIL = 100
"""With fewer harmless texts nothing is said about length."""

UNKNOWN = -1
"""Label of a segment of which only the text's label is known."""

HEAD = "truncated SVD, multiple-instance logistic regression"
"""Name of this head in an artifact's config."""


@dataclass(frozen=True)
class FitOptions:
    """How a head is fitted.

    Attributes
    ----------
    n_components : int
        Rank of the truncated SVD.
    regularization : float
        Inverse strength of the L2 penalty (scikit-learn's ``C``).
    rounds : int
        Times that the attack segments of a text are chosen anew.
    share : float
        Share of an attack's segments, the worst ones, that count as attack from the second round on; always at least one.
    seed : int
        Of the randomized SVD and of the order of rows.
    """

    n_components: int = 256
    regularization: float = 0.0003
    rounds: int = 4
    share: float = 0.34
    seed: int = 0


def fit_detector(
    features: FloatArray,
    texts: IntArray,
    labels: IntArray,
    weights: npt.NDArray[np.float64],
    options: FitOptions | None = None,
    known: IntArray | None = None,
) -> Detector:
    """Fit the subspace and the head on segments of labelled texts.

    A text is an attack when some of its segments are, and which ones is not known: multiple-instance learning. The
    first round takes all segments of an attack as attack, each later one only those the last head found worst (MI-SVM:
    Andrews, Tsochantaridis, Hofmann 2002, NeurIPS 15, equation 6, with a share instead of one witness). Every segment
    of a harmless text is harmless. Where it is known which segments carry the attack, nothing is chosen.

    Parameters
    ----------
    features : ndarray of shape (n_segments, n_features), float32
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to, from 0, increasing.
    labels : ndarray of shape (n_texts,), int64
        1 for an attack, 0 for a harmless text; both occur.
    weights : ndarray of shape (n_texts,), float64
        How much each text counts, positive.
    options : FitOptions, optional
    known : ndarray of shape (n_segments,), int64, optional
        1 for a segment that carries an attack, 0 for one of an attack's text that does not, :data:`UNKNOWN` where that is not known.

    Returns
    -------
    Detector

    Raises
    ------
    ShapeError
        If the arrays do not fit together.
    InvalidInputError
        If only one class is given.
    """
    options = options or FitOptions()
    if len(features) != len(texts) or len(labels) != len(weights) or (len(texts) and int(texts.max()) + 1 != len(labels)):
        raise ShapeError(
            f"{len(features)} segments, {len(texts)} owners, {len(labels)} labels and {len(weights)} weights do not fit together."
        )
    if len(set(labels.tolist())) != 2:
        raise InvalidInputError("Fitting needs attacks and harmless texts. Give rows of both labels, 1 and 0.")
    mean, scale = features.mean(axis=0, dtype=np.float64), np.maximum(features.std(axis=0, dtype=np.float64), 1e-6)
    mean, scale = mean.astype(np.float32), scale.astype(np.float32)
    components = _components((features - mean) / scale, options)
    projected = ((features - mean) / scale) @ components.T
    known = np.full(len(texts), UNKNOWN, np.int64) if known is None else known
    truth, chosen = _segment_labels(texts, labels, known), np.ones(len(texts), bool)
    chosen &= truth != UNKNOWN
    coefficients, intercept = np.zeros(len(components)), 0.0
    for _ in range(options.rounds):
        share = weights[texts] / np.maximum(1, np.bincount(texts[chosen], minlength=len(labels)))[texts]
        coefficients, intercept = _logistic(projected[chosen], truth[chosen], share[chosen], options)
        chosen = (truth != UNKNOWN) & _witnesses(projected @ coefficients, texts, labels, known, options.share)
    return Detector(mean, scale, components, coefficients.astype(np.float32), np.array([intercept], np.float32))


def fit_calibration(
    logits: Scores, n_segments: IntArray, labels: IntArray, sharpness: float = 1.0, most_length: float = np.inf
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
    sharpness : float
        The calibrated logits are multiplied by this; below 1 when the arithmetic behind them is not worth more.

    most_length : float
        Most that the logit is lowered by when the number of segments grows by a factor of e, before Platt scaling.

    Returns
    -------
    Calibration
        The slope is positive, so the order of texts of one length stays; 1 and a shift of 0 when the logits do not rise with the labels.
    """
    from sklearn.linear_model import LogisticRegression

    length = min(most_length, _length_slope(logits[labels == 0], n_segments[labels == 0]))
    flat = logits - length * np.log(n_segments)
    model = LogisticRegression(C=1e6, class_weight="balanced").fit(flat[:, None], labels)
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        slope, shift = 1.0, 0.0
    return Calibration(sharpness * slope, sharpness * shift, sharpness * slope * length)


def worst_segments(logits: Scores, texts: IntArray) -> Scores:
    """A text is as suspicious as its worst segment.

    Parameters
    ----------
    logits : ndarray of shape (n_segments,)
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to, from 0; every text has one.

    Returns
    -------
    ndarray of shape (n_texts,)
    """
    worst: Scores = np.full(int(texts.max()) + 1, -np.inf, logits.dtype)
    np.maximum.at(worst, texts, logits)
    return worst


def operating_points(
    scores: Scores, labels: IntArray, origins: Sequence[str], rates: Sequence[float], data: str
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
        benign = np.sort(scores[(owner == origin) & (labels == 0)].astype(np.float64))[::-1]
        attacks = scores[(owner == origin) & (labels == 1)]
        for rate in rates:
            allowed = int(np.floor(rate * len(benign)))
            threshold = float(min(1.0, np.nextafter(benign[allowed], 2.0))) if allowed < len(benign) else 0.0
            tpr = float((attacks >= threshold).mean()) if len(attacks) else 0.0
            points.append(OperatingPoint(origin, rate, threshold, tpr, len(benign), len(attacks), data))
    return tuple(points)


def _length_slope(logits: Scores, n_segments: IntArray) -> float:
    """By how much the logits of harmless texts rise as their number of segments grows by a factor of e, at least 0."""
    from sklearn.linear_model import QuantileRegressor

    logarithms = np.log(n_segments.astype(np.float64))
    if len(logits) < MIN_TAIL or np.ptp(logarithms) == 0:
        return 0.0
    model = QuantileRegressor(quantile=TAIL, alpha=0.0, solver="highs").fit(logarithms[:, None], logits)
    return max(0.0, float(model.coef_[0]))


def _components(standardised: FloatArray, options: FitOptions) -> FloatArray:
    """Right singular vectors, in C order: scikit-learn gives them in another, which a raw copy to disk would scramble."""
    from sklearn.decomposition import TruncatedSVD

    rank = min(options.n_components, standardised.shape[1] - 1)
    svd = TruncatedSVD(rank, algorithm="randomized", n_iter=4, random_state=options.seed).fit(standardised)
    return np.ascontiguousarray(svd.components_, dtype=np.float32)


def _logistic(
    projected: FloatArray, labels: IntArray, weights: npt.NDArray[np.float64], options: FitOptions
) -> tuple[npt.NDArray[np.float64], float]:
    """Logistic regression, both classes with the same total weight."""
    from sklearn.linear_model import LogisticRegression

    balanced = weights.copy()
    for label in (0, 1):
        balanced[labels == label] *= len(labels) / (2.0 * weights[labels == label].sum())
    scale = projected.std(axis=0).astype(np.float64) + 1e-9  # directions of small variance are not punished for being small
    model = LogisticRegression(C=options.regularization, max_iter=300, random_state=options.seed)
    model.fit(projected / scale, labels, sample_weight=balanced)
    return model.coef_[0] / scale, float(model.intercept_[0])


def _segment_labels(texts: IntArray, labels: IntArray, known: IntArray) -> IntArray:
    """Labels of segments: what is known, else that of their text; UNKNOWN where others of the same text are known and they are not."""
    told = np.zeros(len(labels), bool)
    told[texts[known != UNKNOWN]] = True
    return np.where(told[texts] & (labels[texts] == 1), known, labels[texts])


def _witnesses(logits: npt.NDArray[np.float64], texts: IntArray, labels: IntArray, known: IntArray, share: float) -> npt.NDArray[np.bool_]:
    """All segments of harmless texts and all known ones, and the worst share of every other attack's."""
    order = np.lexsort((-logits, texts))
    counts = np.bincount(texts, minlength=len(labels))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts)) - starts[texts[order]]
    keep = np.maximum(1, np.ceil(share * counts)).astype(np.int64)
    chosen: npt.NDArray[np.bool_] = (labels[texts] == 0) | (known != UNKNOWN) | (rank < keep[texts])
    return chosen
