"""How the shipped head is moved towards a user's texts (floor 1, numpy only): a penalised change, and none where it does not pay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alknet_firewall.bags import Values, balanced, ranks, renumbered
from alknet_firewall.tensors import FloatArray, IntArray

ROUNDS = 3
"""Times that the segments which stand for a text are chosen anew."""

HARMLESS_SEGMENTS = 4
"""Segments that stand for a harmless text: all of them must look harmless, and the worst few are the ones that may not."""

MAX_STEPS = 50
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Bags:
    """Labelled texts as bags of segments.

    Attributes
    ----------
    projected : ndarray of shape (n_segments, n_components), float32
        Coordinates in the shipped subspace.
    logits : ndarray of shape (n_segments,), float64
        What the shipped head gives, made independent of the text's length; above 0 is more like an attack than not.
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to, from 0; every text has one.
    labels : ndarray of shape (n_texts,), int64
        1 for an attack, 0 for a harmless text.
    weights : ndarray of shape (n_texts,), float64
        How much each text counts, not negative.
    """

    projected: FloatArray
    logits: Values
    texts: IntArray
    labels: IntArray
    weights: Values

    def subset(self, chosen: IntArray) -> Bags:
        """The chosen texts, which are counted from 0 again."""
        kept, texts = renumbered(self.texts, chosen, len(self.labels))
        return Bags(self.projected[kept], self.logits[kept], texts, self.labels[chosen], self.weights[chosen])


@dataclass(frozen=True)
class Change:
    """What is added to the shipped logit: ``weights @ projected + bias``."""

    weights: Values
    bias: float

    def logits(self, bags: Bags) -> Values:
        """Changed logits of segments."""
        return np.asarray(bags.logits + bags.projected @ self.weights + self.bias, np.float64)


def no_change(n_components: int) -> Change:
    """The shipped head as it is."""
    return Change(np.zeros(n_components), 0.0)


def fit_change(bags: Bags, penalty: float) -> Change:
    """The change that suits the texts best, held back by a penalty.

    Logistic regression with the shipped logit as offset and an L2 penalty on the change, on the segments that stand for
    their text: the worst one of an attack, the worst few of a harmless text, chosen anew with the changed head as in MI-SVM
    (Andrews, Tsochantaridis, Hofmann 2002, NeurIPS 15, equation 6). Coordinates are divided by :func:`spread` and the root
    of their number, so that a penalty means the same for every artifact; both labels get the same total weight.

    Parameters
    ----------
    bags : Bags
        Both labels occur with some weight.
    penalty : float
        Positive; the larger, the closer the result stays to :func:`no_change`.

    Returns
    -------
    Change
    """
    n_components = bags.projected.shape[1]
    scale = spread(bags.projected) * np.sqrt(n_components)
    design = np.column_stack([bags.projected / scale, np.ones(len(bags.projected))]).astype(np.float64)
    weights = balanced(bags.labels, bags.weights)
    solution = np.zeros(n_components + 1)
    before = None
    for _ in range(ROUNDS):
        chosen, share = witnesses(bags.logits + design @ solution, bags.texts, bags.labels)
        if before is not None and np.array_equal(chosen, before):
            break
        before, owners = chosen, bags.texts[chosen]
        solution = _newton(design[chosen], bags.logits[chosen], bags.labels[owners], weights[owners] * share, penalty, solution)
    return Change(solution[:-1] / scale, float(solution[-1]))


def spread(projected: FloatArray) -> Values:
    """What coordinates are divided by: half way between the standard deviation of each and that of all.

    A coordinate that varies little is thus worth less than others, but not as little as its variance. Of the three (each, all,
    half way) this kept most of the shipped knowledge at the same gain, with three sets of texts to adapt to.
    """
    variance = projected.var(axis=0, dtype=np.float64) + 1e-12
    return np.asarray((variance * variance.mean()) ** 0.25, np.float64)


def witnesses(logits: Values, texts: IntArray, labels: IntArray) -> tuple[IntArray, Values]:
    """The segments that stand for their texts.

    Parameters
    ----------
    logits : ndarray of shape (n_segments,), float64
    texts : ndarray of shape (n_segments,), int64
    labels : ndarray of shape (n_texts,), int64

    Returns
    -------
    chosen : ndarray of int64
        The worst segment of each attack, the worst :data:`HARMLESS_SEGMENTS` of each harmless text.
    share : ndarray of float64
        One over the number of segments that stand for the same text.
    """
    chosen = np.flatnonzero(ranks(logits, texts) < np.where(labels == 1, 1, HARMLESS_SEGMENTS)[texts])
    taken = np.bincount(texts[chosen], minlength=len(labels))
    return chosen, 1.0 / taken[texts[chosen]]


def losses(logits: Values, labels: IntArray, weights: Values) -> Values:
    """Logistic loss of each text, both labels with the same total weight; the mean is what is to be low.

    Parameters
    ----------
    logits : ndarray of shape (n_texts,), float64
    labels : ndarray of shape (n_texts,), int64
    weights : ndarray of shape (n_texts,), float64

    Returns
    -------
    ndarray of shape (n_texts,), float64
    """
    signed = np.where(labels == 1, logits, -logits)
    return np.asarray(balanced(labels, weights) * np.logaddexp(0.0, -signed), np.float64)


def _newton(design: Values, offsets: Values, labels: IntArray, weights: Values, penalty: float, start: Values) -> Values:
    """Coefficients of the penalised logistic regression; the problem is strictly convex, so there is one answer, wherever it starts."""
    basis, solution = None, start
    if len(design) < design.shape[1]:  # the answer lies in the span of the rows: solve it there, where it is small
        basis, triangle = np.linalg.qr(design.T)
        design, solution = np.ascontiguousarray(triangle.T), basis.T @ start
    value = _objective(solution, design, offsets, labels, weights, penalty)
    for _ in range(MAX_STEPS):
        chances = _sigmoid(offsets + design @ solution)
        gradient = design.T @ (weights * (chances - labels)) + penalty * solution
        curvature = (design * (weights * chances * (1.0 - chances))[:, None]).T @ design
        step = np.linalg.solve(curvature + penalty * np.eye(len(solution)), gradient)
        size = 1.0
        while (tried := _objective(solution - size * step, design, offsets, labels, weights, penalty)) > value and size > TOLERANCE:
            size /= 2.0
        if tried > value or np.abs(step).max() < TOLERANCE:
            break
        solution, value = solution - size * step, tried
    return solution if basis is None else np.asarray(basis @ solution, np.float64)


def _objective(solution: Values, design: Values, offsets: Values, labels: IntArray, weights: Values, penalty: float) -> float:
    """What is minimised: the weighted logistic loss and half the penalty times the squared length."""
    logits = offsets + design @ solution
    loss = weights @ (np.logaddexp(0.0, logits) - labels * logits)
    return float(loss + 0.5 * penalty * (solution @ solution))


def _sigmoid(logits: Values) -> Values:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float64)
