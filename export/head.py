"""Examples -> a fitted head and its operating points, on the features of the very graph that ships."""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
import numpy.typing as npt

from alknet_firewall.config import OperatingPoint
from alknet_firewall.detector import Detector
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions, Scores, fit_detector, operating_points, platt_scaling, rescale, text_scores
from alknet_firewall.tensors import FloatArray, IntArray
from export.data import Example

FOLDS = 5
SHARPNESS = 0.36
"""Logits are softened by this after calibration: a score may be no sharper than the arithmetic behind it, so that what
int8 rounds moves it by at most 0.02 (docs/adr/003). Neither the order of texts nor a verdict depends on it."""

LONGEST_CHARACTERS = 3_000
"""Texts are fitted on up to here: what follows in a long text is more of the same, and takes most of the time."""

CHUNK = 64


@dataclass(frozen=True)
class FeatureSet:
    """Segments of all examples. `texts` says which example a segment belongs to."""

    features: FloatArray
    texts: IntArray


def fit_head(
    firewall: Firewall,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    rates: Sequence[float],
    options: FitOptions | None = None,
) -> tuple[Detector, tuple[OperatingPoint, ...]]:
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

    Returns
    -------
    Detector, tuple of OperatingPoint
    """
    options = options or FitOptions()
    data = extract(firewall, examples, LONGEST_CHARACTERS)
    labels, weights = np.array([e.label for e in examples]), source_weights(examples)
    detector = fit_detector(data.features, data.texts, labels, weights, options)
    if held_out:
        watched, judged = extract(firewall, held_out), held_out
        scores = text_scores(detector.score(watched.features), watched.texts)
        described = f"{len(held_out)} texts of {len({e.source for e in held_out})} sources that neither backbone nor head saw"
    else:
        scores, judged = out_of_fold_scores(data, labels, weights, folds(examples), options), examples
        described = f"{len(examples)} texts, each scored by a head that saw no text of its source ({FOLDS} folds)"
    judged_labels, origins = np.array([e.label for e in judged]), [e.origin for e in judged]
    slope, shift = (SHARPNESS * value for value in platt_scaling(scores, judged_labels))
    points = operating_points(rescale(scores, slope, shift), judged_labels, origins, rates, described)
    return detector.rescaled(slope, shift), points


def extract(firewall: Firewall, examples: Sequence[Example], longest: int | None = None) -> FeatureSet:
    """Features of every segment of every example, in the order of the examples; of the first `longest` characters, or of all."""
    features: list[FloatArray] = []
    owners: list[IntArray] = []
    with click.progressbar(range(0, len(examples), CHUNK), label="features", file=sys.stderr) as chunks:
        for start in chunks:
            part = examples[start : start + CHUNK]
            rows: list[list[FloatArray]] = [[] for _ in part]
            for index, segments in firewall.reader.segments([e.text[:longest] for e in part], [e.origin for e in part]):
                rows[index] += [segment.features for segment in segments]
            for index, own in enumerate(rows):
                features.append(np.stack(own))
                owners.append(np.full(len(own), start + index, np.int64))
    return FeatureSet(np.concatenate(features), np.concatenate(owners))


def folds(examples: Sequence[Example]) -> IntArray:
    """Fold of each example; all examples of a source are in the same, the same on every machine."""
    return np.array([zlib.crc32(e.source.encode()) % FOLDS for e in examples])


def source_weights(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Weight of each example: a source counts as the root of its size, so that large ones do not drown the others."""
    counts = Counter(e.source for e in examples)
    return np.array([counts[e.source] ** -0.5 for e in examples])


def out_of_fold_scores(data: FeatureSet, labels: IntArray, weights: npt.NDArray[np.float64], fold: IntArray, options: FitOptions) -> Scores:
    """Score of every text by a head that saw none of its fold."""
    scores = np.zeros(len(labels))
    for left_out in sorted(set(fold.tolist())):
        kept, out = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        detector = fit_detector(*_subset(data, kept), labels[kept], weights[kept], options)
        features, texts = _subset(data, out)
        scores[out] = text_scores(detector.score(features), texts)
    return scores


def _subset(data: FeatureSet, chosen: IntArray) -> tuple[FloatArray, IntArray]:
    """Segments of the chosen texts, which are counted from 0 again."""
    position = np.full(int(data.texts.max()) + 1, -1, np.int64)
    position[chosen] = np.arange(len(chosen))
    renumbered = position[data.texts]
    return data.features[renumbered >= 0], renumbered[renumbered >= 0]
