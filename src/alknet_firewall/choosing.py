"""Thresholds for a wanted false-positive rate (floor 1), from scores of harmless texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.thresholds import OwnThreshold

LOWEST_RATE = 1e-9
"""False-positive rate below which none is set: it would take more than a billion harmless texts."""

CONFIDENCE = 0.95
"""Of the upper bound on the false-positive rate."""


def choose_threshold(scores: Sequence[float], fpr: float) -> OwnThreshold:
    """Lowest threshold that keeps to a false-positive rate, by these scores of harmless texts.

    It lies just above the ``k + 1``-th highest score, where ``k`` is the largest number with ``(k + 1) / (n + 1) <= fpr``:
    a further text of the same kind ranks among the first ``k + 1`` of ``n + 1`` with at most that chance, whatever the scores'
    distribution (Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world", section 2.2). The plain share
    ``k / n`` would promise too much.

    Parameters
    ----------
    scores : sequence of float
        In [0, 1], of harmless texts.
    fpr : float
        At least :data:`LOWEST_RATE` and below 1.

    Returns
    -------
    OwnThreshold

    Raises
    ------
    InvalidInputError
        If the rate is out of range, there are too few texts for it (the message says how many are needed), or too many texts score 1.
    """
    if not LOWEST_RATE <= fpr < 1.0:
        raise InvalidInputError(f"The false-positive rate must be a number between {LOWEST_RATE:g} and 1, for example 0.01.")
    n = len(scores)
    allowed = min(n, math.floor(fpr * (n + 1) + 1e-9)) - 1  # 0.29 * 100 is 28.999999999999996
    if allowed < 0:
        raise InvalidInputError(_too_few(n, fpr))
    threshold = math.nextafter(sorted(scores, reverse=True)[allowed], 2.0)
    if threshold > 1.0:
        raise InvalidInputError(
            f"{allowed + 1} of {n} harmless texts have the highest score there is, so no threshold keeps to a rate of {fpr:g}. "
            "See whether there are attacks among them."
        )
    flagged = sum(score >= threshold for score in scores)
    return OwnThreshold(threshold, fpr, n, flagged, fpr_upper_bound(flagged, n))


def n_needed(fpr: float) -> int:
    """How many harmless texts a false-positive rate needs at least."""
    return math.ceil(1.0 / max(fpr, LOWEST_RATE) - 1e-9) - 1


def fpr_upper_bound(n_flagged: int, n_texts: int, confidence: float = CONFIDENCE) -> float:
    """Exact upper bound on a rate of which a sample is known, one-sided.

    Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26. For a threshold just above a score of the sample itself it is exact as well: the share of all texts
    above the ``k + 1``-th highest of ``n`` scores has the beta distribution that the bound is a quantile of.

    Parameters
    ----------
    n_flagged, n_texts : int
        ``0 <= n_flagged <= n_texts``, and `n_texts` is positive.
    confidence : float

    Returns
    -------
    float
        The rate at which so few flagged texts, or fewer, come up with probability ``1 - confidence``; 1 when all are flagged.
    """
    if n_flagged >= n_texts:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):  # bisection: the probability falls as the rate rises
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(n_flagged, n_texts, middle) > 1.0 - confidence else (low, middle)
    return high


def _at_most(k: int, n: int, rate: float) -> float:
    """Probability of at most `k` among `n` when each is flagged at `rate`, strictly between 0 and 1."""
    term = n * math.log1p(-rate)  # logarithm of the probability of none
    total = math.exp(term)
    odds = math.log(rate) - math.log1p(-rate)
    for i in range(1, k + 1):
        term += math.log(n - i + 1) - math.log(i) + odds
        total += math.exp(term)
    return total


def _too_few(n: int, fpr: float) -> str:
    """What to say when a rate cannot be kept to with so few texts."""
    least = f"; the lowest rate for {n} is {1.0 / (n + 1):.2g}" if n > 0 else ""
    return (
        f"{n} harmless texts are too few for a false-positive rate of {fpr:g}: at least {n_needed(fpr)} are needed{least}. "
        "Give more texts, or ask for a higher rate."
    )
