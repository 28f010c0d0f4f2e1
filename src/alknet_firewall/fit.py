"""Labelled texts to a detector (floor 3). scikit-learn is imported only inside functions: scanning never needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alknet_firewall.bags import UNKNOWN, Values, balanced, ranks
from alknet_firewall.detector import Detector
from alknet_firewall.errors import InvalidInputError, ShapeError
from alknet_firewall.tensors import FloatArray, IntArray, in_half_precision

HEAD = "truncated SVD, multiple-instance logistic regression and perceptron"
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
    caution : float
        How much what rounding does to the features is held against a direction, beside its variance.
    seed : int
        Of the randomized SVD and of the order of rows.
    """

    n_components: int = 256
    regularization: float = 0.0003
    rounds: int = 4
    share: float = 0.34
    caution: float = 30_000.0
    seed: int = 0


def fit_detector(
    features: FloatArray,
    texts: IntArray,
    labels: IntArray,
    weights: Values,
    options: FitOptions | None = None,
    known: IntArray | None = None,
    rounding: FloatArray | None = None,
) -> Detector:
    """Fit the subspace and the head on segments of labelled texts.

    A text is an attack when some of its segments are, and which ones is not known: multiple-instance learning. The
    first round takes all segments of an attack as attack, each later one only those the last head found worst (MI-SVM:
    Andrews, Tsochantaridis, Hofmann 2002, NeurIPS 15, equation 6, with a share instead of one witness). Every segment
    of a harmless text is harmless. Where it is known which segments carry the attack, nothing is chosen.

    The head's weights w are held back by ``w' (V + caution * R) w``: V is the diagonal of the projections' variances, so that a
    direction is not punished for being small, and R the second moment of what rounding does to them, so that the head does not listen
    where integers speak (Tikhonov regularisation with the noise's own metric; Bishop 1995, "Training with noise is equivalent to
    Tikhonov regularization", Neural Computation 7).

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
        1 for a segment that carries an attack, 0 for one of an attack's text that does not, where that is not known
        :data:`alknet_firewall.bags.UNKNOWN`.
    rounding : ndarray of shape (n_differences, n_features), float32, optional
        Features of the graph that ships less those of an exact one, of some segments. None when the graph is exact.

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
    truth = _segment_labels(texts, labels, known)
    chosen = truth != UNKNOWN
    metric = _metric(projected, None if rounding is None else (rounding / scale) @ components.T, options)
    coefficients, intercept = np.zeros(len(components)), 0.0
    for _ in range(options.rounds):
        share = weights[texts] / np.maximum(1, np.bincount(texts[chosen], minlength=len(labels)))[texts]
        coefficients, intercept = _logistic(projected[chosen], truth[chosen], share[chosen], metric, options)
        _, chosen = taught_segments(projected @ coefficients, texts, labels, known, options)
    return Detector(mean, scale, components, coefficients.astype(np.float32), np.array([intercept], np.float32))


def taught_segments(
    logits: Values, texts: IntArray, labels: IntArray, known: IntArray, options: FitOptions
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """What each segment is taught as, and whether it is.

    Parameters
    ----------
    logits : ndarray of shape (n_segments,)
        By the last head.
    texts, labels, known, options
        As for :func:`fit_detector`.

    Returns
    -------
    truth : ndarray of shape (n_segments,), int64
    chosen : ndarray of shape (n_segments,), bool
        All segments of harmless texts and all known ones, and the worst share of every other attack's.
    """
    truth = _segment_labels(texts, labels, known)
    return truth, (truth != UNKNOWN) & _witnesses(logits, texts, labels, known, options.share)


def _components(standardised: FloatArray, options: FitOptions) -> FloatArray:
    """Right singular vectors as they are stored, in C order: scikit-learn gives another, which a raw copy to disk would scramble."""
    from sklearn.decomposition import TruncatedSVD

    rank = min(options.n_components, standardised.shape[1] - 1)
    svd = TruncatedSVD(rank, algorithm="randomized", n_iter=4, random_state=options.seed).fit(standardised)
    return np.ascontiguousarray(in_half_precision(svd.components_))


def _metric(projected: FloatArray, rounding: FloatArray | None, options: FitOptions) -> Values:
    """What the weights' length is measured with."""
    metric = np.diag(projected.var(axis=0, dtype=np.float64) + 1e-12)
    if rounding is not None:
        metric += options.caution * (rounding.T.astype(np.float64) @ rounding) / len(rounding)
    return np.asarray(metric, np.float64)


def _logistic(projected: FloatArray, labels: IntArray, weights: Values, metric: Values, options: FitOptions) -> tuple[Values, float]:
    """Logistic regression, both classes with the same total weight."""
    from sklearn.linear_model import LogisticRegression

    root = np.linalg.cholesky(metric)  # in these coordinates the metric is the identity, which is what scikit-learn penalises with
    model = LogisticRegression(C=options.regularization, max_iter=300, random_state=options.seed)
    model.fit(np.linalg.solve(root, projected.T).T, labels, sample_weight=balanced(labels, weights))
    return np.linalg.solve(root.T, model.coef_[0]), float(model.intercept_[0])


def _segment_labels(texts: IntArray, labels: IntArray, known: IntArray) -> IntArray:
    """Labels of segments: what is known, else that of their text; UNKNOWN where others of the same text are known and they are not."""
    told = np.zeros(len(labels), bool)
    told[texts[known != UNKNOWN]] = True
    return np.where(told[texts] & (labels[texts] == 1), known, labels[texts])


def _witnesses(logits: Values, texts: IntArray, labels: IntArray, known: IntArray, share: float) -> npt.NDArray[np.bool_]:
    """All segments of harmless texts and all known ones, and the worst share of every other attack's."""
    keep = np.maximum(1, np.ceil(share * np.bincount(texts, minlength=len(labels)))).astype(np.int64)
    chosen: npt.NDArray[np.bool_] = (labels[texts] == 0) | (known != UNKNOWN) | (ranks(logits, texts) < keep[texts])
    return chosen
