"""How good an artifact is on labelled texts (floor 3): figures with their uncertainty, and why a figure is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alknet_firewall.config import OperatingPoint
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.figures import (
    Bin,
    Detection,
    Estimate,
    Evaluation,
    Histogram,
    Judged,
    Mistake,
    OriginEvaluation,
    PointCheck,
    SourceRates,
)
from alknet_firewall.ranking import Flags, Labels, Ranking, Scores, bootstrap, n_allowed, threshold_at, wilson
from alknet_firewall.verdict import ORIGINS, Origin

DEFAULT_RATES = (0.001, 0.01, 0.05)
"""False-positive rates at which the share of attacks found is given."""

SOURCE_FPR = 0.01
"""False-positive rate whose threshold, set on the evaluated texts, the sources are compared at."""

MIN_TEXTS = 10
"""Fewer texts of a label than this give no ROC AUC and no TPR."""

N_BINS = 10
N_HISTOGRAM_BINS = 20
MIN_BINNED = 5 * N_BINS
"""Fewer texts than this say nothing about reliability."""

N_WORST = 10
"""How many misses and false alarms are listed."""


def evaluate(
    texts: Sequence[Judged],
    points: Sequence[OperatingPoint],
    artifact: str,
    rates: tuple[float, ...] = DEFAULT_RATES,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compare judgements with labels.

    Parameters
    ----------
    texts : sequence of Judged
        Not those that the artifact was fitted on: on these every figure flatters.
    points : sequence of OperatingPoint
        The artifact's, ``artifact.config.operating_points``.
    artifact : str
        Name of the artifact that judged.
    rates : tuple of float
        False-positive rates, between 0 and 1.
    resamples, seed : int
        Of the bootstrap; the same texts give the same figures.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If there is no text or a rate is out of range.
    """
    if not texts:
        raise InvalidInputError("There is no text to evaluate. Give labelled rows.")
    if not all(0.0 < rate < 1.0 for rate in rates):
        raise InvalidInputError("A false-positive rate must be a number between 0 and 1, for example 0.01.")
    parts = [(origin, [t for t in texts if t.origin == origin]) for origin in ORIGINS]
    origins = tuple(
        _origin(origin, part, [p for p in points if p.origin == origin], rates, resamples, seed) for origin, part in parts if part
    )
    return Evaluation(artifact, len(texts), resamples, seed, origins)


def calibration(probabilities: Scores, labels: Labels) -> tuple[float, tuple[Bin, ...]]:
    """Expected calibration error, and the bins it is computed in.

    The mean over texts of the distance between their bin's mean probability and its share of attacks: Guo, Pleiss, Sun and
    Weinberger 2017, "On calibration of modern neural networks", ICML, equation 3; with bins of equal count as in Nguyen and
    O'Connor 2015, "Posterior calibration and exploratory analysis for natural language processing models", EMNLP. Both labels have the
    same total weight, whatever their numbers: a probability is what it would be were attacks as common as harmless texts.

    Parameters
    ----------
    probabilities : ndarray of shape (n_texts,), float64
        In [0, 1]; not empty.
    labels : ndarray of shape (n_texts,), int64

    Returns
    -------
    error : float
        In [0, 1].
    bins : tuple of Bin
        At most :data:`N_BINS`, by rising probability, about equal in count: equal ones stay together.
    """
    ordered = np.sort(probabilities)
    owner = N_BINS * np.searchsorted(ordered, probabilities) // len(labels)  # by the first of equals, so the order of texts is no matter
    weights = 1.0 / np.bincount(labels, minlength=2)[labels]
    error, bins = 0.0, []
    for number in np.unique(owner):
        own = owner == number
        total = math.fsum(weights[own])  # exact sums, so that the order of texts is no matter
        mean, share = (math.fsum(weights[own] * values[own]) / total for values in (probabilities, labels))
        error += total * abs(mean - share)
        bins.append(Bin(int(own.sum()), mean, share))
    return error / math.fsum(weights), tuple(bins)


def _origin(
    origin: Origin, texts: list[Judged], points: list[OperatingPoint], rates: tuple[float, ...], resamples: int, seed: int
) -> OriginEvaluation:
    """The part of one origin."""
    scores, probabilities = np.array([(t.score, t.probability) for t in texts], np.float64).T
    labels = np.array([t.label for t in texts], np.int64)
    limits = np.array([t.threshold for t in texts], np.float64)
    flagged = scores >= limits
    area, curve, detection = _detection(texts, scores, labels, rates, resamples, seed)
    error, bins = _reliability(probabilities, labels)
    benign_flagged, attacks_flagged = flagged[labels == 0], flagged[labels == 1]
    misses = [t for t, hit in zip(texts, flagged, strict=True) if t.label and not hit]
    alarms = [t for t, hit in zip(texts, flagged, strict=True) if hit and not t.label]
    return OriginEvaluation(
        origin,
        n_benign=len(benign_flagged),
        n_attack=len(attacks_flagged),
        threshold=float(limits[0]) if (limits == limits[0]).all() else None,
        fpr=_share(benign_flagged, "harmless texts"),
        tpr=_share(attacks_flagged, "attacks"),
        roc_auc=area,
        curve=curve,
        detection=detection,
        points=tuple(_point(p, scores, labels) for p in sorted(points, key=lambda p: p.fpr)),
        sources=_sources(texts, scores, flagged, labels),
        calibration_error=error,
        reliability=bins,
        histogram=_histogram(scores, labels),
        n_misses=len(misses),
        n_false_alarms=len(alarms),
        worst_misses=tuple(_mistake(t) for t in sorted(misses, key=lambda t: t.score)[:N_WORST]),
        worst_false_alarms=tuple(_mistake(t) for t in sorted(alarms, key=lambda t: -t.score)[:N_WORST]),
    )


def _detection(
    texts: list[Judged], scores: Scores, labels: Labels, rates: tuple[float, ...], resamples: int, seed: int
) -> tuple[Estimate, tuple[tuple[float, float], ...], tuple[Detection, ...]]:
    """ROC AUC, ROC curve, and the TPR at each rate."""
    why = _too_few(labels)
    if why:
        missing = Estimate(None, why=why)
        return missing, (), tuple(Detection(rate, None, missing) for rate in rates)
    numbers = {source: number for number, source in enumerate(sorted({t.source for t in texts}))}
    strata = np.array([numbers[t.source] for t in texts], np.int64)
    area, intervals = bootstrap(scores, labels, strata, rates, resamples, seed)
    ranking = Ranking.of(scores, labels)
    detection = []
    for rate, interval in zip(rates, intervals, strict=True):
        why = _unmeasurable(rate, len(ranking.benign))
        tpr = Estimate(None, why=why) if why else Estimate(ranking.tpr(rate), *interval)
        detection.append(Detection(rate, None if why else threshold_at(ranking.benign, rate), tpr))
    return Estimate(ranking.roc_auc(), *area), ranking.curve(), tuple(detection)


def _sources(texts: list[Judged], scores: Scores, flagged: Flags, labels: Labels) -> tuple[SourceRates, ...]:
    """Each source's attacks, then its harmless texts."""
    benign = scores[labels == 0]
    why = _unmeasurable(SOURCE_FPR, len(benign))
    limit = None if why else threshold_at(benign, SOURCE_FPR)
    owners = np.array([t.source for t in texts], object)
    rows = []
    for source, label in sorted({(t.source, t.label) for t in texts}, key=lambda key: (key[0], -key[1])):
        own = (owners == source) & (labels == label)
        at_fpr = Estimate(None, why=why) if limit is None else _share(scores[own] >= limit, "texts")
        rows.append(SourceRates(source, label, int(own.sum()), _share(flagged[own], "texts"), at_fpr))
    return tuple(rows)


def _point(point: OperatingPoint, scores: Scores, labels: Labels) -> PointCheck:
    """What an operating point of the artifact gives here."""
    flagged = scores >= point.threshold
    fpr, tpr = _share(flagged[labels == 0], "harmless texts"), _share(flagged[labels == 1], "attacks")
    return PointCheck(point.fpr, point.threshold, fpr, tpr)


def _reliability(probabilities: Scores, labels: Labels) -> tuple[Estimate, tuple[Bin, ...]]:
    """Expected calibration error and its bins, where the texts allow it."""
    why = _one_label(labels)
    if not why and len(labels) < MIN_BINNED:
        why = f"{len(labels)} texts are too few for {N_BINS} bins; at least {MIN_BINNED} are needed"
    if why:
        return Estimate(None, why=why), ()
    error, bins = calibration(probabilities, labels)
    return Estimate(error), bins


def _histogram(scores: Scores, labels: Labels) -> Histogram:
    """Counts of scores by label; the last step includes 1."""
    counts = [np.histogram(scores[labels == label], N_HISTOGRAM_BINS, (0.0, 1.0))[0] for label in (0, 1)]
    edges = tuple(step / N_HISTOGRAM_BINS for step in range(N_HISTOGRAM_BINS + 1))
    return Histogram(edges, tuple(counts[0].tolist()), tuple(counts[1].tolist()))


def _mistake(text: Judged) -> Mistake:
    """What may be said of a text."""
    return Mistake(text.place, text.source, text.score, text.threshold, text.length, text.text)


def _share(flagged: Flags, of_what: str) -> Estimate:
    """Share that is flagged, with Wilson's interval."""
    if not len(flagged):
        return Estimate(None, why=f"there are no {of_what}")
    n_flagged = int(flagged.sum())
    return Estimate(n_flagged / len(flagged), *wilson(n_flagged, len(flagged)))


def _one_label(labels: Labels) -> str | None:
    """Why nothing can be compared, when a label is missing."""
    for label, name in ((0, "harmless texts"), (1, "attacks")):
        if not (labels == label).any():
            return f"there are no {name}"
    return None


def _too_few(labels: Labels) -> str | None:
    """Why a ranking would say nothing, when it would not."""
    why = _one_label(labels)
    for label, name in ((0, "harmless texts"), (1, "attacks")):
        n = int((labels == label).sum())
        if not why and n < MIN_TEXTS:
            why = f"{n} {name} are too few; at least {MIN_TEXTS} are needed"
    return why


def _unmeasurable(rate: float, n_benign: int) -> str | None:
    """Why a false-positive rate cannot be set on so few harmless texts, when it cannot."""
    if n_allowed(rate, n_benign):
        return None
    return f"{n_benign} harmless texts are too few for this rate; at least {math.ceil(1 / rate - 1e-9)} are needed"
