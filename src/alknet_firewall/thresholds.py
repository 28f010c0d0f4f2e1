"""Thresholds of the user's own (floor 1): chosen on their harmless texts, kept in a file beside the artifact, never in it."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.schema import parse
from alknet_firewall.text import check_origin, check_threshold
from alknet_firewall.verdict import Origin

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

THRESHOLDS_SCHEMA_VERSION = 1
"""Version of the file that this code reads and writes."""

VARIABLE = "ALKNET_FIREWALL_THRESHOLDS"
"""Environment variable that names a file of thresholds."""

LOWEST_RATE = 1e-9
"""False-positive rate below which none is set: it would take more than a billion harmless texts."""

CONFIDENCE = 0.95
"""Of the upper bound on the false-positive rate."""

AGAIN = "Make it again with: alknet-firewall calibrate"


@dataclass(frozen=True)
class OwnThreshold:
    """A threshold chosen on harmless texts of one origin.

    Attributes
    ----------
    threshold : float
        In [0, 1]; a text is flagged when its score is at or above it.
    fpr : float
        The false-positive rate that was wanted: of further texts like these, at most this share is flagged on average.
    n_texts : int
        On how many harmless texts it was chosen.
    n_flagged : int
        How many of them reach it.
    fpr_upper : float
        The true rate is at most this, with 95 % confidence.
    """

    threshold: float
    fpr: float
    n_texts: int
    n_flagged: int
    fpr_upper: float


@dataclass(frozen=True)
class ThresholdsFile:
    """The file, whole. `artifact` is the id of the artifact whose scores the thresholds are for; the keys of `thresholds` are origins."""

    schema_version: int
    artifact: str
    thresholds: dict[str, OwnThreshold]


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


def load_thresholds(path: str | Path, artifact: str) -> dict[Origin, OwnThreshold]:
    """Read a file of thresholds for an artifact.

    Parameters
    ----------
    path : str or Path
    artifact : str
        Id of the artifact that is in use, ``name@sha256``.

    Returns
    -------
    dict of {"prompt", "content"} to OwnThreshold
        The origins that the file names, at least one.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, is no such file, or was made with another artifact.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidInputError(f"A file of thresholds is named by its path, not by {type(path).__name__}. {AGAIN}")
    document = _read(Path(path))
    if document.artifact != artifact:
        raise InvalidInputError(
            f"{path} has thresholds for the scores of {document.artifact}, which say nothing about those of {artifact}. "
            "Use that artifact, or choose thresholds for this one and keep them in another file: alknet-firewall calibrate --out FILE"
        )
    return {check_origin(origin): own for origin, own in document.thresholds.items()}


def save_thresholds(path: str | Path, artifact: str, thresholds: Mapping[Origin, OwnThreshold]) -> None:
    """Write a file of thresholds, or put them into one that is there; origins that are not given stay as they are in it.

    Parameters
    ----------
    path : str or Path
    artifact : str
        Id of the artifact whose scores they are for.
    thresholds : mapping of {"prompt", "content"} to OwnThreshold
        Not empty.

    Raises
    ------
    InvalidInputError
        If what is there is no file of thresholds or one of another artifact, or the file cannot be written.
    """
    try:
        path = Path(path).resolve()  # a link stays one
        with _alone(path):
            kept = load_thresholds(path, artifact) if path.exists() else {}
            document = ThresholdsFile(THRESHOLDS_SCHEMA_VERSION, artifact, {str(o): own for o, own in {**kept, **thresholds}.items()})
            _replace(path, json.dumps(asdict(document), indent=2, sort_keys=True) + "\n")
    except OSError as err:
        raise InvalidInputError(f"{path}: cannot be written: {err.strerror or type(err).__name__}. Name another file.") from err


def resolve_thresholds(path: str | Path | None) -> str | Path | None:
    """The file to use: this one, else the one that :data:`VARIABLE` names in the environment, else none."""
    return path or os.environ.get(VARIABLE) or None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the folder of a file, where the system can: another calibration waits, and loses nothing that this one writes."""
    if fcntl is None:
        yield
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks; one calibration at a time is then the user's to see to
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, content: str) -> None:
    """Write a file that a reader sees whole, the old one or the new one, with the permissions that it had."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with beside.open("x", encoding="utf-8") as stream:
            if path.exists():
                shutil.copymode(path, beside)
            stream.write(content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _read(path: Path) -> ThresholdsFile:
    """The file, checked."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        document = parse(ThresholdsFile, raw, "it")
        for origin, own in document.thresholds.items():
            check_origin(origin)
            check_threshold(own.threshold)
    except OSError as err:
        raise InvalidInputError(f"{path}: cannot be read: {err.strerror or type(err).__name__}. Check the path. {AGAIN}") from err
    except ArtifactCorruptError as err:
        raise InvalidInputError(f"{path} is no file of thresholds: {str(err).partition('. ')[0]}. {AGAIN}") from err
    except InvalidInputError as err:
        raise InvalidInputError(f"{path} is no file of thresholds. {err}") from err
    except (ValueError, RecursionError) as err:
        raise InvalidInputError(f"{path} is no file of thresholds: it is not valid JSON. {AGAIN}") from err
    if document.schema_version != THRESHOLDS_SCHEMA_VERSION or not document.thresholds:
        raise InvalidInputError(
            f"{path} has schema_version {document.schema_version} and {len(document.thresholds)} thresholds; this version of "
            f"alknet-firewall reads {THRESHOLDS_SCHEMA_VERSION} and at least one. {AGAIN}"
        )
    return document


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
