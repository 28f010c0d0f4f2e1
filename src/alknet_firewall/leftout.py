"""What adapting a head brings (floor 2): figures before and after on texts left out, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alknet_firewall.bags import Values
from alknet_firewall.ranking import Ranking, n_allowed
from alknet_firewall.tensors import IntArray
from alknet_firewall.verdict import ORIGINS, Origin


@dataclass(frozen=True)
class Figures:
    """How well a head tells some texts apart; None where they do not allow to say. `fpr` and `recall` are at the artifact's threshold."""

    roc_auc: float | None
    tpr_at_1: float | None
    tpr_at_5: float | None
    fpr: float | None
    recall: float | None


@dataclass(frozen=True)
class Comparison:
    """The shipped head and the adapted one on texts of one origin that the latter did not see; of one fold, or of all (None)."""

    origin: Origin
    fold: int | None
    n_benign: int
    n_attack: int
    before: Figures
    after: Figures


def compare(
    before: Values, after: Values, labels: IntArray, origins: npt.NDArray[np.str_], fold: IntArray, thresholds: Mapping[Origin, float]
) -> tuple[Comparison, ...]:
    """All left-out texts of each origin that occurs, then fold by fold.

    Parameters
    ----------
    before, after : ndarray of shape (n_texts,), float64
        Scores by the shipped head, and by adapted ones that did not see the text.
    labels : ndarray of shape (n_texts,), int64
    origins : ndarray of shape (n_texts,), str
    fold : ndarray of shape (n_texts,), int64
    thresholds : mapping of {"prompt", "content"} to float
        The artifact's.

    Returns
    -------
    tuple of Comparison
    """
    found = []
    for origin in ORIGINS:
        for number in (None, *sorted(set(fold.tolist()))):
            own = (origins == origin) & (True if number is None else fold == number)
            if own.any():
                truth = labels[own]
                figures = [_figures(scores[own], truth, thresholds[origin]) for scores in (before, after)]
                found.append(Comparison(origin, number, int((truth == 0).sum()), int((truth == 1).sum()), *figures))
    return tuple(found)


def objections(comparisons: Sequence[Comparison], *, pays: bool) -> Iterable[str]:
    """Why the shipped head is the better one, if it is.

    Parameters
    ----------
    comparisons : sequence of Comparison
    pays : bool
        Whether a change was chosen at all.

    Yields
    ------
    str
    """
    if not pays:
        yield "no change of the head judges left-out texts clearly better than none does"
        return
    whole = [(c.origin, _merits(c.before), _merits(c.after)) for c in comparisons if c.fold is None]
    for origin, before, after in whole:
        for name, shipped in before.items():
            if after[name] < shipped:
                yield f"{origin}: {name} of left-out texts falls from {shipped:.4f} to {after[name]:.4f}"
    if not any(after[name] > shipped for _, before, after in whole for name, shipped in before.items()):
        yield "no figure of left-out texts improves"


def _figures(scores: Values, labels: IntArray, threshold: float) -> Figures:
    """The figures that the texts allow."""
    benign, attacks = scores[labels == 0], scores[labels == 1]
    fpr, recall = (float((own >= threshold).mean()) if len(own) else None for own in (benign, attacks))
    if not len(benign) or not len(attacks):
        return Figures(None, None, None, fpr, recall)
    ranking = Ranking.of(scores, labels)
    at_1, at_5 = (ranking.tpr(rate) if n_allowed(rate, len(benign)) else None for rate in (0.01, 0.05))
    return Figures(ranking.roc_auc(), at_1, at_5, fpr, recall)


def _merits(figures: Figures) -> dict[str, float]:
    """What must not fall; the first is absent where one label is."""
    gain = {"recall less false-positive rate at the threshold": (figures.recall or 0.0) - (figures.fpr or 0.0)}
    return gain if figures.roc_auc is None else {"ROC AUC": figures.roc_auc, **gain}
