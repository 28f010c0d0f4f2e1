"""A user's labelled texts adapt the head (floor 3): by how much is chosen, and what it brings is measured, on texts left out."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from alknet_firewall.bags import Values, worst_segments
from alknet_firewall.config import ArtifactConfig
from alknet_firewall.detector import Detector, length_correction
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.firewall import Firewall
from alknet_firewall.judging import counts_of, lengths_of
from alknet_firewall.labelled import LabelledText
from alknet_firewall.leftout import Comparison, compare, objections
from alknet_firewall.offset import Bags, Change, fit_change, losses, no_change
from alknet_firewall.reader import Segment
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.text import copies_key
from alknet_firewall.verdict import ORIGINS, Origin

MIN_TEXTS = 20
MIN_EACH = 5
"""Different texts of each label, so that every part that is left out has some and the rest has too."""

FOLDS = 5
PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0)
"""Tried, strongest first; no change at all is tried as well. A weaker one gains more on these texts and forgets more of others:
below 1 the ROC AUC on other sources was seen to fall by several points."""

PLAY = 0.05
"""Differences of the mean loss up to this do not count: where left-out texts lie well on the right side, further away is no better."""

CHUNK = 32
"""Texts whose features are held at a time."""


@dataclass(frozen=True)
class Report:
    """What adapting brought.

    Attributes
    ----------
    n_texts : int
    grouped_by : {"source", "text"}
        What was left out together.
    penalty : float or None
        Chosen on all texts; None is no change.
    fold_penalties : tuple of (float or None)
        Chosen without each fold.
    comparisons : tuple of Comparison
    objections : tuple of str
        Why the adapted head should not be used; empty when it may.
    """

    n_texts: int
    grouped_by: str
    penalty: float | None
    fold_penalties: tuple[float | None, ...]
    comparisons: tuple[Comparison, ...]
    objections: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Adaptation:
    """The heads after adapting, what is known of them, and the scores of the texts by heads that did not see them.

    An origin that none of the texts is of keeps the head it had.
    """

    detectors: dict[Origin, Detector]
    report: Report
    scores: Values


def read_bags(firewall: Firewall, rows: Iterable[LabelledText]) -> Bags:
    """Labelled texts as the head sees them, their views included.

    Parameters
    ----------
    firewall : Firewall
    rows : iterable of LabelledText
        At least one.

    Returns
    -------
    Bags
        In the order of the rows, each with weight 1.
    """
    projected: list[FloatArray] = []
    logits: list[Values] = []
    labels: list[int] = []
    rows = iter(rows)
    while part := list(islice(rows, CHUNK)):
        segments: list[list[Segment]] = [[] for _ in part]
        for index, own in firewall.reader.segments([row.text for row in part], [row.origin for row in part], with_views=True):
            segments[index] += own
        for row, own in zip(part, segments, strict=True):
            features, detector = np.stack([segment.features for segment in own]), firewall.detectors[row.origin]
            read_in = [segment.view for segment in own]
            lengths = lengths_of(read_in, *counts_of(row.text, read_in, firewall.reader))
            projected.append(detector.project(features))
            logits.append(_flat(detector.logits_at(projected[-1]), lengths, firewall.artifact.config, row.origin))
            labels.append(row.label)
    owners = np.repeat(np.arange(len(labels)), [len(own) for own in logits])
    return Bags(np.concatenate(projected), np.concatenate(logits), owners, np.array(labels, np.int64), np.ones(len(labels)))


def adapt(firewall: Firewall, rows: Sequence[LabelledText], bags: Bags | None = None) -> Adaptation:
    """Adapt the head, and compare it with the shipped one on texts left out.

    How strongly the change is held back is chosen by cross-validation. The figures come from a second one around it: each
    text is judged by a head that was fitted, and whose penalty was chosen, without the fold it is in.

    Parameters
    ----------
    firewall : Firewall
    rows : sequence of LabelledText
        At least :data:`MIN_TEXTS`, and :data:`MIN_EACH` different ones of each label.
    bags : Bags, optional
        What :func:`read_bags` gave for them, to save the time.

    Returns
    -------
    Adaptation

    Raises
    ------
    InvalidInputError
        If there are too few texts.
    """
    check_enough(rows)
    bags = bags or read_bags(firewall, rows)
    fold, grouped_by = folds(rows)
    left_out, fold_penalties = np.zeros(len(rows)), []
    for number in sorted(set(fold.tolist())):
        kept, out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fold_penalties.append(choose_penalty(bags.subset(kept), fold[kept]))
        left_out[out] = _worst(change_by(bags.subset(kept), fold_penalties[-1]), bags.subset(out))
    penalty = choose_penalty(bags, fold)
    origins = np.array([row.origin for row in rows])
    config = firewall.artifact.config
    before, after = (_scores(logits, origins, config) for logits in (_worst(no_change(bags.projected.shape[1]), bags), left_out))
    thresholds = {origin: firewall.threshold(origin, config.default_fpr) for origin in ORIGINS}
    comparisons = compare(before, after, bags.labels, origins, fold, thresholds)
    against = tuple(objections(comparisons, pays=penalty is not None))
    report = Report(len(rows), grouped_by, penalty, tuple(fold_penalties), comparisons, against)
    change = change_by(bags, penalty)
    heads = {origin: changed(head, change) if origin in origins else head for origin, head in firewall.detectors.items()}
    return Adaptation(heads, report, after)


def choose_penalty(bags: Bags, fold: IntArray) -> float | None:
    """The strongest penalty that does about as well as the best on the folds that were left out; None when no change does.

    "About" is :data:`PLAY`, or one standard error of the difference between the losses of the same texts (Breiman, Friedman,
    Olshen and Stone 1984, "Classification and regression trees", section 3.4.3): what cannot be told apart stays close to the shipped head.

    Parameters
    ----------
    bags : Bags
    fold : ndarray of shape (n_texts,), int64
        Both labels occur outside every fold.

    Returns
    -------
    float or None
        Of :data:`PENALTIES`.
    """
    parts = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in sorted(set(fold.tolist()))]
    found: dict[float | None, Values] = {None: losses(_worst(no_change(bags.projected.shape[1]), bags), bags.labels, bags.weights)}
    for penalty in PENALTIES:
        logits = np.zeros(len(bags.labels))
        for kept, out in parts:
            logits[out] = _worst(fit_change(bags.subset(kept), penalty), bags.subset(out))
        found[penalty] = losses(logits, bags.labels, bags.weights)
    best = min(found.values(), key=np.mean)
    play = {penalty: max(PLAY, (own - best).std() / np.sqrt(len(own))) for penalty, own in found.items()}
    return next(penalty for penalty, own in found.items() if own.mean() - best.mean() <= play[penalty])


def folds(rows: Sequence[LabelledText]) -> tuple[IntArray, str]:
    """Fold of each text, and what is left out together: a source where there are enough, else copies of a text."""
    labels = [row.label for row in rows]
    by_source = _spread([row.source for row in rows], labels)
    enough = len(set(by_source.tolist())) == FOLDS and all(
        len({f for f, own in zip(by_source.tolist(), labels, strict=True) if own == label}) > 2 for label in (0, 1)
    )
    return (by_source, "source") if enough else (_spread([copies_key(row.text) for row in rows], labels), "text")


def change_by(bags: Bags, penalty: float | None) -> Change:
    """The change under a penalty; none when there is none."""
    return no_change(bags.projected.shape[1]) if penalty is None else fit_change(bags, penalty)


def changed(detector: Detector, change: Change) -> Detector:
    """The head with a change added to its linear part."""
    weights = (detector.weights + change.weights).astype(np.float32)
    return replace(detector, weights=weights, bias=(detector.bias + change.bias).astype(np.float32))


def check_enough(rows: Sequence[LabelledText]) -> None:
    """Refuse texts that are too few to learn from and to measure on, with an :class:`alknet_firewall.InvalidInputError`."""
    different = Counter(label for _, label in {(copies_key(row.text), row.label) for row in rows})
    if len(rows) < MIN_TEXTS or min(different[0], different[1]) < MIN_EACH:
        raise InvalidInputError(
            f"{len(rows)} texts, {different[0]} different harmless ones and {different[1]} different attacks, are too few to adapt to: at "
            f"least {MIN_TEXTS} are needed, and {MIN_EACH} of each label. More is better: a few hundred, from several sources."
        )


def _spread(keys: Sequence[Hashable], labels: Sequence[int]) -> IntArray:
    """A fold for each key, large ones first, so that every fold gets its share of each label; the same on every machine."""
    members: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for key, label in zip(keys, labels, strict=True):
        members[key][label] += 1
    total, filled, chosen = Counter(labels), [Counter[int]() for _ in range(FOLDS)], {}
    for key in sorted(members, key=lambda k: (-members[k].total(), zlib.crc32(str(k).encode("utf-8", "surrogatepass")))):
        own = members[key]
        fold = min(range(FOLDS), key=lambda f: (sum(own[n] * filled[f][n] / total[n] for n in own), filled[f].total()))
        filled[fold] += own
        chosen[key] = fold
    return np.array([chosen[key] for key in keys], np.int64)


def _flat(logits: Values, n_segments: IntArray, config: ArtifactConfig, origin: Origin) -> Values:
    """Logits made independent of length and centred as the artifact's calibration does, at the head's own scale."""
    own = config.calibration[origin]
    return np.asarray(logits + (own.shift - length_correction(n_segments, own)) / own.slope, np.float64)


def _scores(logits: Values, origins: Any, config: ArtifactConfig) -> Values:
    """Scores of texts from what :func:`_flat` gave of their worst segments."""
    slopes = np.array([config.calibration[origin].slope for origin in origins])
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * slopes * logits)), np.float64)


def _worst(change: Change, bags: Bags) -> Values:
    """Logit of each text's worst segment."""
    return worst_segments(change.logits(bags), bags.texts)
