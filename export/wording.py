"""Labelled segments -> what each bucket of n-grams says. scikit-learn and scipy are imported only inside functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.bags import Values, balanced, ranks
from alknet_firewall.fit import FitOptions
from alknet_firewall.tensors import FloatArray, IntArray, in_half_precision
from alknet_firewall.wording import Wording, contexts

BUCKETS = 1 << 19
"""In half precision that is 1 MB. Twice as many gained nothing on left-out texts; with half as many other languages lost a little."""

REGULARIZATION = 0.3
"""Inverse strength of the L2 penalty (scikit-learn's ``C``)."""

EACH = 6
"""Most segments of a text that weights are fitted on: more of the same text say the same."""


def blank_wording() -> Wording:
    """Wording that says nothing, to load a graph with before there is another."""
    return Wording(np.zeros(2, np.float32))


def wording_logits(wording: Wording, windows: Sequence[Sequence[str]]) -> FloatArray:
    """Evidence from the words of all segments.

    Parameters
    ----------
    wording : Wording
    windows : sequence of sequence of str
        Text of each segment of each window.

    Returns
    -------
    ndarray of shape (n_segments,), float32
    """
    return np.concatenate([wording.logits(pieces) for pieces in windows])


def fit_wording(
    windows: Sequence[Sequence[str]], texts: IntArray, truth: IntArray, chosen: npt.NDArray[np.bool_], weights: Values, options: FitOptions
) -> Wording:
    """Fit the weights of n-grams: logistic regression on their counts.

    A segment's counts are divided by the root of their number and weighted by inverse document frequency, so that the penalty falls
    on what is common (Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval", table 1).

    Parameters
    ----------
    windows : sequence of sequence of str
        Text of each segment of each window.
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to.
    truth : ndarray of shape (n_segments,), int64
        Label of each segment.
    chosen : ndarray of shape (n_segments,), bool
        Segments whose label can be relied upon.
    weights : ndarray of shape (n_texts,), float64
        How much each text counts, positive.
    options : FitOptions

    Returns
    -------
    Wording
    """
    from scipy.sparse import diags
    from sklearn.linear_model import LogisticRegression

    lot = np.where(chosen, np.random.default_rng(options.seed).random(len(texts)), -1.0)
    kept = chosen & (ranks(lot, texts) < EACH)
    counts = _counts(windows, kept)
    frequency = np.log((1 + len(truth[kept])) / (1 + np.bincount(counts.indices, minlength=BUCKETS)))
    share = weights[texts] / np.maximum(1, np.bincount(texts[kept], minlength=len(weights)))[texts]
    model = LogisticRegression(C=REGULARIZATION, max_iter=100)
    model.fit((counts @ diags(frequency.astype(np.float32))).tocsr(), truth[kept], sample_weight=balanced(truth[kept], share[kept]))
    return Wording(in_half_precision(model.coef_[0] * frequency))


def _counts(windows: Sequence[Sequence[str]], kept: npt.NDArray[np.bool_]) -> Any:
    """N-grams of the segments that are kept, as a sparse matrix of shape (n_kept, n_buckets), each row divided by the root of its sum."""
    from scipy.sparse import csr_matrix

    found = [buckets.astype(np.int32) for buckets in _kept(windows, kept)]
    sizes = np.array([len(buckets) for buckets in found])
    values = np.repeat(1.0 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    counts = csr_matrix((values, np.concatenate(found), np.concatenate([[0], np.cumsum(sizes)])), shape=(len(found), BUCKETS))
    counts.sum_duplicates()
    return counts


def _kept(windows: Sequence[Sequence[str]], kept: npt.NDArray[np.bool_]) -> Iterator[IntArray]:
    """Buckets of each segment that is kept."""
    at = 0
    for pieces in windows:
        own = kept[at : at + len(pieces)]
        at += len(pieces)
        if own.any():
            yield from (buckets for buckets, keep in zip(contexts(pieces, BUCKETS), own, strict=True) if keep)
