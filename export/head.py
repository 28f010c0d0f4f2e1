"""Examples -> a fitted head and its operating points, on the features of the very graph that ships."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alknet_firewall.bags import Values, worst_segments
from alknet_firewall.calibration import fit_calibration, operating_points
from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.detector import Detector, calibrated
from alknet_firewall.encoder import Encoder
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions, fit_detector, taught_segments
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS, Origin
from alknet_firewall.wording import Wording
from export.data import Example, sample_examples
from export.features import LONGEST_CHARACTERS, FeatureSet, Words, extract, read_words, reading_with
from export.wording import fit_wording, wording_logits

FOLDS = 5
SHARPNESS = 0.22
"""Logits are softened by this after calibration: a score may be no sharper than the arithmetic behind it, so that what
int8 rounds moves it by at most 0.02 (docs/adr/003). Neither the order of texts nor a verdict depends on it."""

MOST_LENGTH: dict[Origin, float] = {"prompt": 0.2, "content": float("inf")}
"""Limit of the correction for length. In prompts attacks are long themselves: uncapped (0.69) it found 0.34 of the left-out
attacks at 1 % false positives and no long jailbreak of one source; with 0.2 it finds 0.49 and all of them, and 1.6 % of
long harmless prompts are flagged."""

ROUNDED_TEXTS, ROUNDED_CHARACTERS = 800, 800
"""How many texts, and how much of each, show what rounding does: 20,000 differences of 1,152 numbers."""


@dataclass(frozen=True)
class Scorer:
    """What gives segments their logits: weights of n-grams, and a head on hidden states and on what they say."""

    detector: Detector
    wording: Wording

    def texts(self, data: FeatureSet) -> Values:
        """Logit of the worst segment of each example."""
        words = wording_logits(self.wording, data.pieces)
        return worst_segments(self.detector.logits(np.concatenate([data.features, words[:, None]], axis=1)), data.texts)


@dataclass(frozen=True)
class Head:
    """What :func:`fit_head` fits."""

    scorer: Scorer
    calibration: dict[str, Calibration]
    points: tuple[OperatingPoint, ...]


def fit_head(
    firewall: Firewall,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    rates: Sequence[float],
    options: FitOptions | None = None,
    exact: Encoder | None = None,
    worded: Sequence[Example] = (),
    cache: Path | None = None,
) -> Head:
    """Fit the head; calibrate it and set its thresholds on scores of sources that were left out.

    Parameters
    ----------
    firewall : Firewall
        Loaded with the graph that ships; its own head is not used.
    examples : sequence of Example
        What to fit on.
    held_out : sequence of Example
        Other sources, to set the thresholds on. When there are none, the sources of `examples` are left out in turn.
    rates : sequence of float
        False-positive rates of the operating points.
    options : FitOptions, optional
    exact : Encoder, optional
        The same graph in fp32, when the one that ships is not: the head is told what integers do to its features.
    worded : sequence of Example, optional
        More to fit on, of which only the words are read: that takes a hundredth of the time.
    cache : Path, optional
        Folder that keeps features, as for :func:`export.features.extract`.

    Returns
    -------
    Head
    """
    options = options or FitOptions()
    data = extract(firewall, examples, LONGEST_CHARACTERS, cache=cache)
    labels, weights = np.array([e.label for e in examples]), source_weights(examples)
    words = (read_words(firewall, worded, LONGEST_CHARACTERS), source_weights([*examples, *worded])) if worded else None
    rounding = None if exact is None else rounding_differences(firewall, exact, sample_examples(examples, ROUNDED_TEXTS, options.seed))
    scorer = fit_scorer(data, labels, weights, options, rounding, words)
    if held_out:
        watched, judged = extract(firewall, held_out, with_views=True, cache=cache), held_out
        logits = scorer.texts(watched)
        described = left_out(held_out)
    else:
        watched, judged, logits = data, examples, out_of_fold_logits(data, labels, weights, folds(examples), options)
        described = f"{len(examples)} texts, each scored by a head that saw no text of its source ({FOLDS} folds)"
    return Head(scorer, *calibrate_head(logits, watched.lengths, judged, rates, described))


def fit_scorer(
    data: FeatureSet,
    labels: IntArray,
    weights: Values,
    options: FitOptions,
    rounding: FloatArray | None = None,
    words: tuple[Words, Values] | None = None,
) -> Scorer:
    """Fit a head on hidden states, then weights of n-grams on the segments that it takes for attacks, and join the two.

    Parameters
    ----------
    data : FeatureSet
    labels : ndarray of shape (n_examples,), int64
    weights : ndarray of shape (n_examples,), float64
        How much each text of `data` counts.
    options : FitOptions
    rounding : ndarray of shape (n_differences, 2 * hidden_size), float32, optional
        As for :func:`alknet_firewall.fit.fit_detector`.
    words : (Words, ndarray of shape (n_examples + n_worded,), float64), optional
        More texts for the weights of n-grams, fitted once more with the segments of these that the first weights take for attacks; and
        how much each text counts then, those of `data` first.

    Returns
    -------
    Scorer
    """
    detector = fit_detector(data.features, data.texts, labels, weights, options, data.known, rounding)
    truth, chosen = taught_segments(detector.logits(data.features), data.texts, labels, data.known, options)
    wording = fit_wording(data.pieces, data.texts, truth, chosen, weights, options)
    if words is not None:
        more, shared = words
        said = wording_logits(wording, more.pieces).astype(np.float64)
        more_truth, more_chosen = taught_segments(said, more.texts, more.labels, more.known, options)
        texts = np.concatenate([data.texts, more.texts + len(labels)])
        truth, chosen = np.concatenate([truth, more_truth]), np.concatenate([chosen, more_chosen])
        wording = fit_wording([*data.pieces, *more.pieces], texts, truth, chosen, shared, options)
    return Scorer(detector.listening(wording_logits(wording, data.pieces), options.wording), wording)


def rounding_differences(firewall: Firewall, exact: Encoder, examples: Sequence[Example]) -> FloatArray:
    """Features of the graph that ships less those of the exact one, of every segment of some examples.

    Parameters
    ----------
    firewall : Firewall
    exact : Encoder
    examples : sequence of Example

    Returns
    -------
    ndarray of shape (n_segments, 2 * hidden_size), float32
        What words say is exact in both.
    """
    other = reading_with(firewall, encoder=exact)
    shipped, expected = (extract(own, examples, ROUNDED_CHARACTERS).features for own in (firewall, other))
    return shipped - expected


def calibrate_head(
    logits: Values, lengths: IntArray, examples: Sequence[Example], rates: Sequence[float], described: str
) -> tuple[dict[str, Calibration], tuple[OperatingPoint, ...]]:
    """Calibration and thresholds, each origin by itself.

    Parameters
    ----------
    logits : ndarray of shape (n_texts,), float64
        Of each text's worst segment.
    lengths : ndarray of shape (n_texts,), int64
        Segments of each text, views not counted.
    examples : sequence of Example
        The texts, none of which the head saw.
    rates : sequence of float
        False-positive rates of the operating points.
    described : str
        What the texts are, for the operating points.

    Returns
    -------
    calibration : dict of str to Calibration
    points : tuple of OperatingPoint
    """
    labels, origins = np.array([e.label for e in examples]), np.array([e.origin for e in examples])
    calibration, scores = {}, np.zeros(len(logits))
    for origin in ORIGINS:
        own = origins == origin
        calibration[str(origin)] = fit_calibration(logits[own], lengths[own], labels[own], SHARPNESS, MOST_LENGTH[origin])
        scores[own] = calibrated(logits[own], lengths[own], calibration[origin])
    return calibration, operating_points(scores, labels, origins.tolist(), rates, described)


def left_out(examples: Sequence[Example]) -> str:
    """What texts that were left out are, for the operating points."""
    return f"{len(examples)} texts of {len({e.source for e in examples})} sources that neither backbone nor head saw"


def folds(examples: Sequence[Example]) -> IntArray:
    """Fold of each example; all examples of a source are in the same, the same on every machine."""
    return np.array([zlib.crc32(e.source.encode()) % FOLDS for e in examples])


def source_weights(examples: Sequence[Example]) -> Values:
    """Weight of each example: a source counts as the root of its size, so that large ones do not drown the others."""
    counts = Counter(e.source for e in examples)
    return np.array([counts[e.source] ** -0.5 for e in examples])


def out_of_fold_logits(data: FeatureSet, labels: IntArray, weights: Values, fold: IntArray, options: FitOptions) -> Values:
    """Logit of every text's worst segment by a head that saw none of its fold."""
    logits = np.zeros(len(labels))
    for left_out in sorted(set(fold.tolist())):
        kept, out = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        fitted, judged = data.subset(kept), data.subset(out)
        logits[out] = fit_scorer(fitted, labels[kept], weights[kept], options).texts(judged)
    return logits
