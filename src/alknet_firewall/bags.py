"""Texts as bags of segments (floor 1, numpy only): multiple-instance learning knows labels of texts, and of some segments."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from alknet_firewall.tensors import IntArray

Values = npt.NDArray[np.float64]

UNKNOWN = -1
"""Label of a segment of which only the text's label is known."""

ENOUGH = 0.4
"""A segment carries an attack when it shares at least this much of the shorter of the two."""


def known_labels(ranges: Iterable[tuple[int, int]], injected: tuple[int, int] | None) -> list[int]:
    """Labels of a text's segments, from the stretch that makes it an attack.

    Before the stretch a segment is harmless, and one that holds much of it is an attack. One that only grazes it is
    neither, and what follows it may well look suspicious: a decoder has read the attack by then.

    Parameters
    ----------
    ranges : iterable of (int, int)
        Half-open ranges of the segments, none empty.
    injected : (int, int) or None
        The stretch, in the same unit (characters, tokens); None where it is not known.

    Returns
    -------
    list of int
        0, 1 or :data:`UNKNOWN`.
    """
    if injected is None:
        return [UNKNOWN for _ in ranges]
    first, last = injected
    labels = []
    for start, end in ranges:
        enough = min(end, last) - max(start, first) >= ENOUGH * min(end - start, last - first)
        labels.append(0 if end <= first else 1 if enough else UNKNOWN)
    return labels


def renumbered(texts: IntArray, chosen: IntArray, n_texts: int) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """The segments of some of the texts, which are counted from 0 again.

    Parameters
    ----------
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to.
    chosen : ndarray of int64
        The texts to keep.
    n_texts : int
        How many there are.

    Returns
    -------
    kept : ndarray of shape (n_segments,), bool
    texts : ndarray of int64
        Of the kept segments: position of their text in `chosen`.
    """
    position = np.full(n_texts, -1, np.int64)
    position[chosen] = np.arange(len(chosen))
    found = position[texts]
    return found >= 0, found[found >= 0]


def ranks(logits: Values, texts: IntArray) -> IntArray:
    """Rank of each segment among those of its text, 0 for the highest logit.

    Parameters
    ----------
    logits : ndarray of shape (n_segments,)
    texts : ndarray of shape (n_segments,), int64

    Returns
    -------
    ndarray of shape (n_segments,), int64
    """
    order = np.lexsort((-logits, texts))
    starts = np.concatenate([[0], np.cumsum(np.bincount(texts))[:-1]])
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts)) - starts[texts[order]]
    return rank


def worst_segments(logits: Values, texts: IntArray) -> Values:
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
    worst: Values = np.full(int(texts.max()) + 1, -np.inf, logits.dtype)
    np.maximum.at(worst, texts, logits)
    return worst


def balanced(labels: IntArray, weights: Values) -> Values:
    """Weights with the same total for both labels, and one each on average.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        0 and 1; both have some weight.
    weights : ndarray of shape (n,), float64

    Returns
    -------
    ndarray of shape (n,), float64
    """
    result = weights.astype(np.float64)
    for label in (0, 1):
        result[labels == label] *= len(labels) / (2.0 * weights[labels == label].sum())
    return result
