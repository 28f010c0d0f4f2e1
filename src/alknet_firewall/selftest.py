"""Texts with known scores, carried by every artifact (floor 3): a load that goes wrong in silence shows here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alknet_firewall.errors import ArtifactCorruptError
from alknet_firewall.integrity import read_file
from alknet_firewall.schema import parse
from alknet_firewall.text import check_origin

if TYPE_CHECKING:
    from alknet_firewall.firewall import Firewall


@dataclass(frozen=True)
class SelfTestCase:
    """One text, what it is judged as, and what this artifact answers."""

    text: str
    origin: str
    score: float
    flagged: bool


@dataclass(frozen=True)
class SelfTest:
    """``selftest.json``. Scores may differ by `tolerance` between processors; verdicts may not."""

    tolerance: float
    cases: tuple[SelfTestCase, ...]


def load_selftest(path: Path) -> SelfTest:
    """Read ``selftest.json``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    SelfTest

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If it cannot be read, or is not what it should be.
    """
    raw = read_file(path)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise ArtifactCorruptError(f"{path} is not valid JSON. Fetch or build the artifact again.") from err
    selftest = parse(SelfTest, document, str(path))
    if not selftest.cases or not all(0.0 <= case.score <= 1.0 for case in selftest.cases):
        raise ArtifactCorruptError(f"{path} needs at least one case, and scores from 0 to 1. Fetch or build the artifact again.")
    return selftest


def answered(firewall: Firewall, texts: Iterable[tuple[str, str]], tolerance: float) -> SelfTest:
    """The self-test that a firewall answers with its own scores.

    Parameters
    ----------
    firewall : Firewall
    texts : iterable of (str, str)
        Texts and their origins.
    tolerance : float
        Most that a score may differ elsewhere.

    Returns
    -------
    SelfTest
        Without the texts so near their threshold that rounding could turn them over, unless that leaves none.
    """
    default = firewall.artifact.config.default_fpr
    cases, sure = [], []
    for text, origin in texts:
        verdict = firewall.scan(text, check_origin(origin), fpr=default)
        cases.append(SelfTestCase(text, origin, verdict.score, verdict.flagged))
        sure.append(abs(verdict.score - verdict.threshold) > tolerance)
    return SelfTest(tolerance, tuple(case for case, keep in zip(cases, sure, strict=True) if keep or not any(sure)))


def save_selftest(path: Path, selftest: SelfTest) -> None:
    """Write ``selftest.json``."""
    path.write_text(json.dumps(asdict(selftest), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class SelfTestResult:
    """How far this machine's scores are from the artifact's own."""

    n_cases: int
    largest_difference: float
    n_flips: int
    passed: bool


def run_selftest(firewall: Firewall, selftest: SelfTest) -> SelfTestResult:
    """Score the known texts.

    Parameters
    ----------
    firewall : Firewall
    selftest : SelfTest

    Returns
    -------
    SelfTestResult
        Passed when every score is within the tolerance and no verdict differs.
    """
    default = firewall.artifact.config.default_fpr  # the artifact's threshold, whatever the user's is
    verdicts = [firewall.scan(case.text, check_origin(case.origin), fpr=default) for case in selftest.cases]
    largest = max(abs(verdict.score - case.score) for verdict, case in zip(verdicts, selftest.cases, strict=True))
    n_flips = sum(verdict.flagged != case.flagged for verdict, case in zip(verdicts, selftest.cases, strict=True))
    return SelfTestResult(len(verdicts), largest, n_flips, largest <= selftest.tolerance and n_flips == 0)
