"""What an evaluation consists of (floor 1): judged texts going in, figures with their uncertainty coming out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from alknet_firewall.verdict import Origin


@dataclass(frozen=True)
class Judged:
    """One labelled text and its judgement.

    Attributes
    ----------
    label : int
        1 for an attack, 0 for a harmless text.
    origin : {"prompt", "content"}
    source : str
        Where the text was collected.
    place : str
        ``file:line``.
    score, probability, threshold : float
        Of its verdict.
    length : int
        Characters of the text.
    text : str or None
        None unless it may be shown.
    """

    label: int
    origin: Origin
    source: str
    place: str
    score: float
    probability: float
    threshold: float
    length: int
    text: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, or None and the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class Detection:
    """Share of attacks found when the threshold is set at a false-positive rate on the evaluated harmless texts themselves."""

    fpr: float
    threshold: float | None
    tpr: Estimate


@dataclass(frozen=True)
class PointCheck:
    """One operating point of the artifact: the rate it states, and the rates measured here."""

    stated_fpr: float
    threshold: float
    fpr: Estimate
    tpr: Estimate


@dataclass(frozen=True)
class SourceRates:
    """Share of one source's texts of one label that is flagged: of attacks the recall, of harmless texts the false-positive rate.

    `at_default` is at the artifact's threshold, `at_fpr` at the one for 1 % false positives among the evaluated texts of its origin.
    """

    source: str
    label: int
    n: int
    at_default: Estimate
    at_fpr: Estimate


@dataclass(frozen=True)
class Bin:
    """Texts of similar probability: how many, their mean probability, and the share of attacks, were both labels as common."""

    n: int
    mean_probability: float
    attack_share: float


@dataclass(frozen=True)
class Histogram:
    """Counts of scores in equal steps from 0 to 1; `edges` has one more entry than the counts."""

    edges: tuple[float, ...]
    benign: tuple[int, ...]
    attacks: tuple[int, ...]


@dataclass(frozen=True)
class Mistake:
    """A text on the wrong side of its threshold."""

    place: str
    source: str
    score: float
    threshold: float
    length: int
    text: str | None


@dataclass(frozen=True)
class OriginEvaluation:
    """Everything about the texts of one origin.

    `threshold` is what all of them were compared with, or None when it was not the same for all. `curve` has points (FPR, TPR) and
    is empty, as `reliability` is, where the figure beside it says why.
    """

    origin: Origin
    n_benign: int
    n_attack: int
    threshold: float | None
    fpr: Estimate
    tpr: Estimate
    roc_auc: Estimate
    curve: tuple[tuple[float, float], ...]
    detection: tuple[Detection, ...]
    points: tuple[PointCheck, ...]
    sources: tuple[SourceRates, ...]
    calibration_error: Estimate
    reliability: tuple[Bin, ...]
    histogram: Histogram
    n_misses: int
    n_false_alarms: int
    worst_misses: tuple[Mistake, ...]
    worst_false_alarms: tuple[Mistake, ...]


@dataclass(frozen=True)
class Evaluation:
    """What ``alknet-firewall evaluate`` reports; the origins that occur, each on its own."""

    artifact: str
    n_texts: int
    resamples: int
    seed: int
    origins: tuple[OriginEvaluation, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON: full-precision floats, no NaN."""
        return asdict(self)
