"""Features of labelled segments -> what gives segments their logits: for each origin a head, and weights of n-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alknet_firewall.bags import Values, worst_segments
from alknet_firewall.detector import Detector
from alknet_firewall.fit import FitOptions, fit_detector, taught_segments
from alknet_firewall.tensors import Array, FloatArray, IntArray
from alknet_firewall.verdict import Origin
from alknet_firewall.wording import Wording
from export.data import Example, is_corpus
from export.features import FeatureSet, Words
from export.perceptron import LabelledSegments, PerceptronOptions, fit_perceptron
from export.wording import fit_wording, wording_logits


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


SHARES: dict[Origin, Shares] = {"prompt": Shares(1.0, 0.5, 0.8), "content": Shares(0.0, 1.0, 0.15)}
"""Chosen on left-out texts, docs/adr/018. What people type is told by its words, and a perceptron alone learns the corpus by heart there;
what an application has read is told by what stands in what."""

PUBLIC = 3.0
"""How much more often a perceptron meets texts of others than texts of our own corpus, which are joined from parts and easier to learn by
heart. Chosen on left-out texts, docs/adr/017."""

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
    projected = replace(data, features=linear.project(data.features))
    said = linear.logits_at(projected.features)
    differences = None if rounding is None else (rounding / linear.scale) @ linear.components.T
    parts = {}
    for origin, shares in SHARES.items():
        chosen = of_origin(examples, (origin,))
        if len(set(labels[chosen].tolist())) < 2:
            continue
        wording = _wording(origin, data.words, examples, said, options, words)
        own = projected.subset(chosen)
        weights = perceptron_weights([examples[i] for i in chosen])
        segments = LabelledSegments(own.features, own.texts, own.known, labels[chosen], weights)
        perceptron = fit_perceptron(segments, PerceptronOptions(seed=options.seed), differences)
        evidence = said[np.isin(data.texts, chosen)].std() / max(float(perceptron.logits(own.features).std()), 1e-6)
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
    read: Words,
    examples: Sequence[Example],
    logits: Values,
    options: FitOptions,
    words: tuple[Words, Sequence[Example]] | None,
) -> Wording:
    """Weights of n-grams for an origin, fitted on the segments that the linear head takes for attacks, and on more texts.

    `logits` are that head's, of the segments that were `read`.
    """
    chosen = of_origin(examples, WORDS_OF[origin])
    own, rows = read.subset(chosen), [examples[i] for i in chosen]
    truth, taught = taught_segments(logits[np.isin(read.texts, chosen)], own.texts, labels_of(rows), own.known, options)
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


def source_weights(examples: Sequence[Example]) -> Values:
    """Weight of each example: a source counts as the root of its size, so that large ones do not drown the others."""
    counts = Counter(e.source for e in examples)
    return np.array([counts[e.source] ** -0.5 for e in examples])


def perceptron_weights(examples: Sequence[Example]) -> Values:
    """How often a perceptron meets each example."""
    return source_weights(examples) * np.array([1.0 if is_corpus(e.source) else PUBLIC for e in examples])


def labels_of(examples: Sequence[Example]) -> IntArray:
    """Label of each example."""
    return np.array([e.label for e in examples], np.int64)


def of_origin(examples: Sequence[Example], origins: Collection[Origin]) -> IntArray:
    """Which examples are of some origins."""
    return np.array([i for i, e in enumerate(examples) if e.origin in origins], np.int64)
