"""Examples -> a fitted head and its operating points, on the features of the very graph that ships."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from alknet_firewall.bags import Values, worst_segments
from alknet_firewall.calibration import fit_calibration, operating_points
from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.detector import Detector, calibrated
from alknet_firewall.encoder import Encoder
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions, fit_detector, taught_segments
from alknet_firewall.tensors import Array, FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS, Origin
from alknet_firewall.wording import Wording
from export.data import Example, sample_examples
from export.features import LONGEST_CHARACTERS, FeatureSet, Words, extract, read_words, reading_with
from export.perceptron import LabelledSegments, PerceptronOptions, fit_perceptron
from export.wording import fit_wording, wording_logits

FOLDS = 5
SHARPNESS = 0.16
"""Logits are softened by this after calibration: a score may be no sharper than the arithmetic behind it, so that what
int8 rounds moves it by at most 0.02 (docs/adr/003). Neither the order of texts nor a verdict depends on it."""

MOST_LENGTH: dict[Origin, float] = {"prompt": 0.2, "content": float("inf")}
"""Limit of the correction for length. In prompts attacks are long themselves: uncapped (0.69) it found 0.34 of the left-out
attacks at 1 % false positives and no long jailbreak of one source; with 0.2 it finds 0.49 and all of them, and 1.6 % of
long harmless prompts are flagged."""

ROUNDED_TEXTS, ROUNDED_CHARACTERS = 800, 800
"""How many texts, and how much of each, show what rounding does: 20,000 differences of 1,152 numbers."""


@dataclass(frozen=True)
class Shares:
    """What the parts of a head count.

    Attributes
    ----------
    linear : float
        Of the linear head on hidden states.
    perceptron : float
        Standard deviation of the perceptron's evidence, relative to that of the linear head before it got its share.
    wording : float
        What the logit rises by when that of a segment's words rises by 1.
    """

    linear: float
    perceptron: float
    wording: float


SHARES: dict[Origin, Shares] = {"prompt": Shares(1.0, 0.5, 0.8), "content": Shares(0.0, 1.0, 0.25)}
"""Chosen on left-out texts, docs/adr/016. What people type is told by its words, and a perceptron alone learns the corpus by heart there;
what an application has read is told by what stands in what."""

WORDS_OF: dict[Origin, tuple[Origin, ...]] = {"prompt": ("prompt", "content"), "content": ("content",)}
"""Texts of which origins the words of each are fitted on. Prompts are judged better with those of both, content with its own
(docs/adr/015)."""


@dataclass(frozen=True)
class Part:
    """What gives segments of one origin their logits."""

    detector: Detector
    wording: Wording

    def logits(self, features: FloatArray, pieces: Sequence[Sequence[str]]) -> Values:
        """Logits of segments, from what their hidden states say and the words of their windows."""
        words = wording_logits(self.wording, pieces)
        return self.detector.logits(np.concatenate([features, words[:, None]], axis=1))


@dataclass(frozen=True)
class Scorer:
    """What gives segments their logits: for each origin a head, and weights of n-grams."""

    parts: Mapping[Origin, Part]

    def texts(self, data: FeatureSet, examples: Sequence[Example]) -> Values:
        """Logit of the worst segment of each example."""
        logits = np.zeros(len(examples))
        for origin, part in self.parts.items():
            chosen = of_origin(examples, (origin,))
            if len(chosen):
                own = data.subset(chosen)
                logits[chosen] = worst_segments(part.logits(own.features, own.pieces), own.texts)
        return logits

    def as_tensors(self) -> dict[str, Array]:
        """Named arrays for :func:`alknet_firewall.tensors.save_tensors`."""
        tensors: dict[str, Array] = {}
        for origin, part in self.parts.items():
            tensors |= {**part.detector.as_tensors(origin), **part.wording.as_tensors(origin)}
        return tensors


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

    Raises
    ------
    ClickException
        If an origin has no rows of one of the labels.
    """
    options = options or FitOptions()
    data = extract(firewall, examples, LONGEST_CHARACTERS, cache=cache)
    for origin in ORIGINS:
        if len({e.label for e in examples if e.origin == origin}) < 2:
            raise click.ClickException(f"The head of origin {origin} needs attacks and harmless texts of it. Give rows of both.")
    words = (read_words(firewall, worded, LONGEST_CHARACTERS), worded) if worded else None
    rounding = None if exact is None else rounding_differences(firewall, exact, sample_examples(examples, ROUNDED_TEXTS, options.seed))
    scorer = fit_scorer(data, examples, options, rounding, words)
    if held_out:
        watched, judged = extract(firewall, held_out, with_views=True, cache=cache), held_out
        logits = scorer.texts(watched, held_out)
        described = left_out(held_out)
    else:
        watched, judged, logits = data, examples, out_of_fold_logits(data, examples, options)
        described = f"{len(examples)} texts, each scored by a head that saw no text of its source ({FOLDS} folds)"
    return Head(scorer, *calibrate_head(logits, watched.lengths, judged, rates, described))


def fit_scorer(
    data: FeatureSet,
    examples: Sequence[Example],
    options: FitOptions,
    rounding: FloatArray | None = None,
    words: tuple[Words, Sequence[Example]] | None = None,
) -> Scorer:
    """Fit a linear head on hidden states, then for each origin weights of n-grams and a perceptron, and join them.

    The linear head sees texts of all origins, and says which segments of an attack are taken for the attack; the perceptron sees those of
    its own origin, and the words those of :data:`WORDS_OF`.

    Parameters
    ----------
    data : FeatureSet
    examples : sequence of Example
        What its features are of.
    options : FitOptions
    rounding : ndarray of shape (n_differences, 2 * hidden_size), float32, optional
        As for :func:`alknet_firewall.fit.fit_detector`.
    words : (Words, sequence of Example), optional
        More texts for the weights of n-grams, fitted once more with the segments of these that the first weights take for attacks.

    Returns
    -------
    Scorer
        With a part for each origin that has texts of both labels.
    """
    labels = labels_of(examples)
    linear = fit_detector(data.features, data.texts, labels, source_weights(examples), options, data.known, rounding)
    differences = None if rounding is None else (rounding / linear.scale) @ linear.components.T
    parts = {}
    for origin, shares in SHARES.items():
        chosen = of_origin(examples, (origin,))
        if len(set(labels[chosen].tolist())) < 2:
            continue
        wording = _wording(origin, data, examples, linear, options, words)
        own = data.subset(chosen)
        segments = LabelledSegments(
            linear.project(own.features), own.texts, own.known, labels[chosen], source_weights([examples[i] for i in chosen])
        )
        perceptron = fit_perceptron(segments, PerceptronOptions(seed=options.seed), differences)
        evidence = linear.logits(own.features).std() / max(float(perceptron.logits(segments.coordinates).std()), 1e-6)
        head = replace(
            linear,
            weights=(shares.linear * linear.weights).astype(np.float32),
            bias=(shares.linear * linear.bias).astype(np.float32),
            perceptron=perceptron.scaled(shares.perceptron * evidence),
        )
        parts[origin] = Part(head.listening(shares.wording), wording)
    return Scorer(parts)


def _wording(
    origin: Origin,
    data: FeatureSet,
    examples: Sequence[Example],
    linear: Detector,
    options: FitOptions,
    words: tuple[Words, Sequence[Example]] | None,
) -> Wording:
    """Weights of n-grams for an origin, fitted on the segments that the linear head takes for attacks, and on more texts."""
    chosen = of_origin(examples, WORDS_OF[origin])
    own, rows = data.subset(chosen), [examples[i] for i in chosen]
    truth, taught = taught_segments(linear.logits(own.features), own.texts, labels_of(rows), own.known, options)
    wording = fit_wording(own.pieces, own.texts, truth, taught, source_weights(rows), options)
    if words is None:
        return wording
    chosen = of_origin(words[1], WORDS_OF[origin])
    more, further = words[0].subset(chosen), [words[1][i] for i in chosen]
    said = wording_logits(wording, more.pieces).astype(np.float64)
    more_truth, more_taught = taught_segments(said, more.texts, labels_of(further), more.known, options)
    texts = np.concatenate([own.texts, more.texts + len(rows)])
    truth, taught = np.concatenate([truth, more_truth]), np.concatenate([taught, more_taught])
    return fit_wording([*own.pieces, *more.pieces], texts, truth, taught, source_weights([*rows, *further]), options)


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


def out_of_fold_logits(data: FeatureSet, examples: Sequence[Example], options: FitOptions) -> Values:
    """Logit of every text's worst segment by a head that saw none of its fold."""
    logits, fold = np.zeros(len(examples)), folds(examples)
    for out in sorted(set(fold.tolist())):
        kept, judged = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
        scorer = fit_scorer(data.subset(kept), [examples[i] for i in kept], options)
        logits[judged] = scorer.texts(data.subset(judged), [examples[i] for i in judged])
    return logits


def labels_of(examples: Sequence[Example]) -> IntArray:
    """Label of each example."""
    return np.array([e.label for e in examples], np.int64)


def of_origin(examples: Sequence[Example], origins: Collection[Origin]) -> IntArray:
    """Which examples are of some origins."""
    return np.array([i for i, e in enumerate(examples) if e.origin in origins], np.int64)
