"""Examples -> a fitted head and its operating points, on the features of the very graph that ships."""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from alknet_firewall.bags import Values, known_labels, renumbered, worst_segments
from alknet_firewall.calibration import fit_calibration, operating_points
from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.detector import Detector, calibrated
from alknet_firewall.encoder import Encoder
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions, fit_detector
from alknet_firewall.reader import Segment
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS, PLAIN, Origin
from export.data import Example, sample_examples

FOLDS = 5
SHARPNESS = 0.17
"""Logits are softened by this after calibration: a score may be no sharper than the arithmetic behind it, so that what
int8 rounds moves it by at most 0.02 (docs/adr/003). Neither the order of texts nor a verdict depends on it."""

MOST_LENGTH: dict[Origin, float] = {"prompt": 0.2, "content": float("inf")}
"""Limit of the correction for length. In prompts attacks are long themselves: uncapped (0.69) it found 0.34 of the left-out
attacks at 1 % false positives and no long jailbreak of one source; with 0.2 it finds 0.49 and all of them, and 1.6 % of
long harmless prompts are flagged."""

LONGEST_CHARACTERS = 3_000
"""Texts are fitted on up to here: what follows in a long text is more of the same, and takes most of the time."""

ROUNDED_TEXTS, ROUNDED_CHARACTERS = 400, 800
"""How many texts, and how much of each, show what rounding does: 10,000 differences of 1,152 numbers."""

CHUNK = 64


@dataclass(frozen=True)
class FeatureSet:
    """Segments of all examples.

    Attributes
    ----------
    features : ndarray of shape (n_segments, n_features), float32
    texts : ndarray of shape (n_segments,), int64
        Which example a segment belongs to.
    known : ndarray of shape (n_segments,), int64
        Label of a segment where the example says which characters are the attack, else :data:`alknet_firewall.bags.UNKNOWN`.
    lengths : ndarray of shape (n_examples,), int64
        Segments of each example's own text, views not counted.
    """

    features: FloatArray
    texts: IntArray
    known: IntArray
    lengths: IntArray

    def subset(self, chosen: IntArray) -> FeatureSet:
        """The segments of the chosen examples, which are counted from 0 again."""
        kept, texts = renumbered(self.texts, chosen, len(self.lengths))
        return FeatureSet(self.features[kept], texts, self.known[kept], self.lengths[chosen])


@dataclass(frozen=True)
class Head:
    """What :func:`fit_head` fits."""

    detector: Detector
    calibration: dict[str, Calibration]
    points: tuple[OperatingPoint, ...]


def fit_head(
    firewall: Firewall,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    rates: Sequence[float],
    options: FitOptions | None = None,
    exact: Encoder | None = None,
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

    Returns
    -------
    Head
    """
    options = options or FitOptions()
    data = extract(firewall, examples, LONGEST_CHARACTERS)
    labels, weights = np.array([e.label for e in examples]), source_weights(examples)
    rounding = None if exact is None else rounding_differences(firewall, exact, sample_examples(examples, ROUNDED_TEXTS, options.seed))
    detector = fit_detector(data.features, data.texts, labels, weights, options, data.known, rounding)
    if held_out:
        watched, judged = extract(firewall, held_out, with_views=True), held_out
        logits = worst_segments(detector.logits(watched.features), watched.texts)
        described = f"{len(held_out)} texts of {len({e.source for e in held_out})} sources that neither backbone nor head saw"
    else:
        watched, judged, logits = data, examples, out_of_fold_logits(data, labels, weights, folds(examples), options)
        described = f"{len(examples)} texts, each scored by a head that saw no text of its source ({FOLDS} folds)"
    return Head(detector, *_calibrate(logits, watched.lengths, judged, rates, described))


def rounding_differences(firewall: Firewall, exact: Encoder, examples: Sequence[Example]) -> FloatArray:
    """Features of the graph that ships less those of the exact one, of every segment of some examples.

    Parameters
    ----------
    firewall : Firewall
    exact : Encoder
    examples : sequence of Example

    Returns
    -------
    ndarray of shape (n_segments, n_features), float32
    """
    other = reading_with(firewall, encoder=exact)
    shipped, expected = (extract(own, examples, ROUNDED_CHARACTERS).features for own in (firewall, other))
    return shipped - expected


def reading_with(firewall: Firewall, **changes: Any) -> Firewall:
    """The same firewall, but for these attributes of its reader; the one given stays as it is."""
    other = copy(firewall)
    other.reader = copy(firewall.reader)
    for name, value in changes.items():
        setattr(other.reader, name, value)
    return other


def _calibrate(
    logits: Values, lengths: IntArray, examples: Sequence[Example], rates: Sequence[float], described: str
) -> tuple[dict[str, Calibration], tuple[OperatingPoint, ...]]:
    """Calibration and thresholds, each origin by itself."""
    labels, origins = np.array([e.label for e in examples]), np.array([e.origin for e in examples])
    calibration, scores = {}, np.zeros(len(logits))
    for origin in ORIGINS:
        own = origins == origin
        calibration[str(origin)] = fit_calibration(logits[own], lengths[own], labels[own], SHARPNESS, MOST_LENGTH[origin])
        scores[own] = calibrated(logits[own], lengths[own], calibration[origin])
    return calibration, operating_points(scores, labels, origins.tolist(), rates, described)


def extract(firewall: Firewall, examples: Sequence[Example], longest: int | None = None, *, with_views: bool = False) -> FeatureSet:
    """Features of every segment of every example, in the order of the examples; of the first `longest` characters, or of all."""
    segments: list[list[Segment]] = []
    with click.progressbar(range(0, len(examples), CHUNK), label="features", file=sys.stderr) as chunks:
        for start in chunks:
            part = examples[start : start + CHUNK]
            rows: list[list[Segment]] = [[] for _ in part]
            texts, origins = [e.text[:longest] for e in part], [e.origin for e in part]
            for index, own in firewall.reader.segments(texts, origins, with_views=with_views):
                rows[index] += own
            segments += rows
    return feature_set(segments, examples)


def feature_set(segments: Sequence[Sequence[Segment]], examples: Sequence[Example]) -> FeatureSet:
    """The segments of each example as arrays."""
    return FeatureSet(
        np.stack([s.features for own in segments for s in own]),
        np.repeat(np.arange(len(segments)), [len(own) for own in segments]),
        np.array(
            [
                label
                for own, e in zip(segments, examples, strict=True)
                for label in known_labels([(s.start, s.end) for s in own], e.injected)
            ]
        ),
        np.array([sum(s.view == PLAIN for s in own) for own in segments]),
    )


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
        detector = fit_detector(fitted.features, fitted.texts, labels[kept], weights[kept], options, fitted.known)
        logits[out] = worst_segments(detector.logits(judged.features), judged.texts)
    return logits
