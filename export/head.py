"""Examples -> a fitted head and its operating points, on the features of the very graph that ships."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from alknet_firewall.bags import Values
from alknet_firewall.calibration import Harmless, Limits, fit_calibration, operating_points
from alknet_firewall.config import Calibration, OperatingPoint
from alknet_firewall.detector import calibrated
from alknet_firewall.encoder import Encoder
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS, Origin
from export.data import Example, long_documents, sample_examples
from export.features import LONGEST_CHARACTERS, FeatureSet, extract, read_words, reading_with
from export.scorer import Scorer, fit_scorer

FOLDS = 5
SHARPNESS = 0.16
"""Logits are softened by this after calibration: a score may be no sharper than the arithmetic behind it, so that what
int8 rounds moves it by at most 0.02 (docs/adr/003). Neither the order of texts nor a verdict depends on it."""

MOST_LENGTH: dict[Origin, float] = {"prompt": 0.2, "content": 0.3}
"""Limit of the correction for length (docs/adr/009): attacks in prompts are long themselves, and one injected line in a long document has
to stand out against it."""

LONGEST = 1024
"""Segments of the longest text that is corrected for its length, some 50,000 characters: in a log without an end an attack must not get
ever harder to see (docs/adr/009)."""

LONG, CUTS = 10_000, (0.1, 0.3, 1.0)
"""Characters of the harmless documents that the correction for content is learnt from, and shares of their segments to cut them at."""

ROUNDED_TEXTS, ROUNDED_CHARACTERS = 800, 800
"""How many texts, and how much of each, show what rounding does: 20,000 differences of 1,152 numbers."""


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
    for origin in ORIGINS:
        if len({e.label for e in examples if e.origin == origin}) < 2:
            raise click.ClickException(f"The head of origin {origin} needs attacks and harmless texts of it. Give rows of both.")
    data = extract(firewall, examples, LONGEST_CHARACTERS, cache=cache)
    words = (read_words(firewall, worded, LONGEST_CHARACTERS), worded) if worded else None
    rounding = None if exact is None else rounding_differences(firewall, exact, sample_examples(examples, ROUNDED_TEXTS, options.seed))
    scorer = fit_scorer(data, examples, options, rounding, words)
    if held_out:
        watched, judged = extract(firewall, held_out, with_views=True, cache=cache), held_out
        logits = scorer.texts(watched, held_out)
        described = left_out(held_out)
        lengths = long_content(firewall, scorer, held_out, cache)
    else:
        watched, judged, logits = data, examples, out_of_fold_logits(data, examples, options)
        described = f"{len(examples)} texts, each scored by a head that saw no text of its source ({FOLDS} folds)"
        lengths = {}
    return Head(scorer, *calibrate_head(logits, watched.lengths, judged, rates, described, lengths))


def long_content(firewall: Firewall, scorer: Scorer, held_out: Sequence[Example], cache: Path | None) -> dict[Origin, Harmless]:
    """What to learn the correction for length from: long harmless documents of left-out sources, cut at several lengths.

    Parameters
    ----------
    firewall : Firewall
        Its own head is not used.
    scorer : Scorer
    held_out : sequence of Example
        Every other document that they make is used; the others are for measuring (``benchmarks/quality.py``).
    cache : Path or None
        As for :func:`export.features.extract`.

    Returns
    -------
    dict of str to Harmless
        Of content, or empty when it is too little for a document.
    """
    documents = long_documents(held_out, LONG)[::2]
    if not documents:
        return {}
    read = extract(firewall, documents, cache=cache)
    logits = scorer.parts["content"].logits(read.features, read.pieces)
    own = [logits[read.texts == text] for text in range(len(documents))]
    cut = [(segments[:n].max(), n) for segments in own for n in (max(1, round(share * len(segments))) for share in CUTS)]
    worst, counts = zip(*cut, strict=True)
    return {"content": Harmless(np.array(worst), np.array(counts, np.int64))}


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
    logits: Values,
    lengths: IntArray,
    examples: Sequence[Example],
    rates: Sequence[float],
    described: str,
    harmless: Mapping[Origin, Harmless],
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
    harmless : dict of str to Harmless
        What the correction for length is learnt from, where not from the texts themselves.

    Returns
    -------
    calibration : dict of str to Calibration
    points : tuple of OperatingPoint
    """
    labels, origins = np.array([e.label for e in examples]), np.array([e.origin for e in examples])
    calibration, scores = {}, np.zeros(len(logits))
    for origin in ORIGINS:
        own = origins == origin
        calibration[str(origin)] = fit_calibration(
            logits[own], lengths[own], labels[own], Limits(SHARPNESS, MOST_LENGTH[origin], LONGEST), harmless.get(origin)
        )
        scores[own] = calibrated(logits[own], lengths[own], calibration[origin])
    return calibration, operating_points(scores, labels, origins.tolist(), rates, described)


def left_out(examples: Sequence[Example]) -> str:
    """What texts that were left out are, for the operating points."""
    return f"{len(examples)} texts of {len({e.source for e in examples})} sources that neither backbone nor head saw"


def folds(examples: Sequence[Example]) -> IntArray:
    """Fold of each example; all examples of a source are in the same, the same on every machine."""
    return np.array([zlib.crc32(e.source.encode()) % FOLDS for e in examples])


def out_of_fold_logits(data: FeatureSet, examples: Sequence[Example], options: FitOptions) -> Values:
    """Logit of every text's worst segment by a head that saw none of its fold."""
    logits, fold = np.zeros(len(examples)), folds(examples)
    for out in sorted(set(fold.tolist())):
        kept, judged = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
        scorer = fit_scorer(data.subset(kept), [examples[i] for i in kept], options)
        logits[judged] = scorer.texts(data.subset(judged), [examples[i] for i in judged])
    return logits
