"""How well scores tell attacks from harmless texts, and how sure that is (floor 1, numpy only)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Interval = tuple[float, float]

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""

SMALL_STRATUM = 10
"""Strata with fewer texts are resampled together: a single text drawn from itself would vary by nothing."""


@dataclass(frozen=True)
class Ranking:
    """Scores of texts of both labels, sorted once so that each resample costs a pass and no sort.

    Attributes
    ----------
    benign, attacks : ndarray of float64
        Scores, highest first; neither is empty.
    above, at_least : ndarray of shape (n_benign,)
        How many attacks score above, and at or above, each harmless text.
    """

    benign: Scores
    attacks: Scores
    above: Counts
    at_least: Counts

    @classmethod
    def of(cls, scores: Scores, labels: Labels) -> Ranking:
        """Sort scores with labels 1 for an attack and 0 for a harmless text; both occur."""
        benign, attacks = (np.sort(scores[labels == label].astype(np.float64))[::-1] for label in (0, 1))
        above, at_least = (np.searchsorted(-attacks, -benign, side) for side in ("left", "right"))
        return cls(benign, attacks, above, at_least)

    def roc_auc(self, benign_weights: Counts | None = None, attack_weights: Counts | None = None) -> float:
        """Area under the ROC curve: the chance that an attack scores above a harmless text, a tie counting half.

        Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", Radiology 143, section "The Wilcoxon
        statistic".

        Parameters
        ----------
        benign_weights, attack_weights : ndarray of int64, optional
            How often each text counts, in the order of `benign` and `attacks`; by default once.

        Returns
        -------
        float
            In [0, 1].
        """
        benign, found = self._weights(benign_weights, attack_weights)
        pairs = benign @ (found[self.above] + found[self.at_least])
        return float(0.5 * pairs / (benign.sum() * found[-1]))

    def tpr(self, fpr: float, benign_weights: Counts | None = None, attack_weights: Counts | None = None) -> float:
        """Share of attacks found by the lowest threshold that flags at most the share `fpr` of the harmless texts.

        Weights are as for :meth:`roc_auc`.
        """
        benign, found = self._weights(benign_weights, attack_weights)
        first = int(np.searchsorted(np.cumsum(benign), n_allowed(fpr, int(benign.sum())), side="right"))
        return float(found[self.above[first]] / found[-1]) if first < len(benign) else 1.0

    def curve(self, most: int = 200) -> tuple[tuple[float, float], ...]:
        """Points (FPR, TPR) of the ROC curve, denser where the FPR is low, which is where a firewall works.

        Parameters
        ----------
        most : int
            About how many points.

        Returns
        -------
        tuple of (float, float)
            From FPR 0 to (1, 1); between them the TPR never falls.
        """
        n = len(self.benign)
        allowed = np.unique(np.concatenate([[0], np.rint(np.geomspace(1, n, most)).astype(np.int64)]))
        found = np.append(self.above, len(self.attacks))[allowed] / len(self.attacks)
        return tuple((float(k / n), float(tpr)) for k, tpr in zip(allowed, found, strict=True))

    def _weights(self, benign: Counts | None, attacks: Counts | None) -> tuple[Counts, Counts]:
        """The weights of the harmless texts, and the summed weight of the first 0, 1, 2, ... attacks."""
        benign = np.ones(len(self.benign), np.int64) if benign is None else benign
        attacks = np.ones(len(self.attacks), np.int64) if attacks is None else attacks
        return benign, np.concatenate([[0], np.cumsum(attacks)])


def threshold_at(benign: Scores, fpr: float) -> float:
    """Lowest threshold that flags at most the share `fpr` of harmless texts with these scores.

    It is the next float above the highest score that may not be flagged, so it exceeds 1 where only that flags few enough.
    """
    allowed = n_allowed(fpr, len(benign))
    return float(np.nextafter(np.sort(benign)[::-1][allowed], np.inf)) if allowed < len(benign) else 0.0


def n_allowed(fpr: float, n_benign: int) -> int:
    """How many of the harmless texts a rate allows to be flagged."""
    return math.floor(fpr * n_benign + 1e-9)  # 0.29 * 100 is 28.999999999999996


def bootstrap(
    scores: Scores, labels: Labels, strata: Labels, rates: tuple[float, ...], resamples: int = 1000, seed: int = 0
) -> tuple[Interval, tuple[Interval, ...]]:
    """95 % intervals of the ROC AUC and of the TPR at each rate: percentile bootstrap, stratified.

    Texts are drawn with replacement within their label and stratum, and the threshold is set anew on each draw. So the
    intervals hold for other texts of these sources, not for other sources. Efron and Tibshirani 1993, "An introduction to
    the bootstrap", sections 8.4 (several samples) and 13.3 (percentile interval).

    Parameters
    ----------
    scores, labels : ndarray of shape (n_texts,)
        Both labels, 0 and 1, occur.
    strata : ndarray of shape (n_texts,), int64
        Number of each text's source, from 0; those with fewer than :data:`SMALL_STRATUM` texts of a label are drawn together.
    rates : tuple of float
        False-positive rates.
    resamples : int
    seed : int

    Returns
    -------
    roc_auc : (float, float)
    tpr : tuple of (float, float)
        One a rate. Where all resamples found every attack, or none, they say nothing, and Wilson's interval is given.
    """
    ranking, rng = Ranking.of(scores, labels), np.random.default_rng(seed)
    draws = [_Strata.of(scores[labels == label], strata[labels == label]) for label in (0, 1)]
    areas, found = np.empty(resamples), np.empty((resamples, len(rates)))
    for i in range(resamples):
        weights = [draw.weights(rng) for draw in draws]
        areas[i] = ranking.roc_auc(*weights)
        found[i] = [ranking.tpr(rate, *weights) for rate in rates]
    tpr = tuple(_proportion(column, len(ranking.attacks)) for column in found.T)
    return _percentiles(areas), tpr


def wilson(n_found: int, n: int) -> Interval:
    """95 % interval of a share; unlike the textbook one it is right for few texts and for shares of 0 and 1.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22; as in Brown, Cai and
    DasGupta 2001, "Interval estimation for a binomial proportion", equation 4.

    Parameters
    ----------
    n_found, n : int
        ``0 <= n_found <= n``, and `n` is positive.

    Returns
    -------
    low, high : float
        In [0, 1].
    """
    share, z2 = n_found / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return (0.0 if n_found == 0 else low), (1.0 if n_found == n else high)


@dataclass(frozen=True)
class _Strata:
    """Texts of one label, ready to be drawn: `order` has the strata one after another; `starts` and `sizes` are each text's stratum's."""

    order: Counts
    starts: Counts
    sizes: Counts

    @classmethod
    def of(cls, scores: Scores, strata: Labels) -> _Strata:
        """Take texts as :class:`Ranking` sorts them, highest score first."""
        highest_first = np.argsort(scores.astype(np.float64), kind="stable")[::-1]
        counts = np.bincount(strata)
        pooled = np.where(counts[strata] < SMALL_STRATUM, len(counts), strata)[highest_first]
        order = np.argsort(pooled, kind="stable")
        _, first, inverse, size = np.unique(pooled[order], return_index=True, return_inverse=True, return_counts=True)
        return cls(order, first[inverse], size[inverse])

    def weights(self, rng: np.random.Generator) -> Counts:
        """How often each text was drawn."""
        picked = self.starts + (rng.random(len(self.order)) * self.sizes).astype(np.int64)
        return np.bincount(self.order[picked], minlength=len(self.order))


def _proportion(resampled: Scores, n: int) -> Interval:
    """Percentiles of a share, or Wilson's interval where it never left 0 or 1."""
    if resampled.min() == resampled.max() and resampled[0] in (0.0, 1.0):
        return wilson(round(resampled[0] * n), n)
    return _percentiles(resampled)


def _percentiles(resampled: Scores) -> Interval:
    """The middle 95 %."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)
