"""Thresholds of the user's own (floor 1): a file beside the artifact, never in it. How they are chosen: :mod:`alknet_firewall.choosing`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.replacing import replacing
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
        path = Path(path).resolve()  # the folder that is held is the file's, not a link's
        with _alone(path):
            kept = load_thresholds(path, artifact) if path.exists() else {}
            document = ThresholdsFile(THRESHOLDS_SCHEMA_VERSION, artifact, {str(o): own for o, own in {**kept, **thresholds}.items()})
            with replacing(path) as new:
                new.write_text(json.dumps(asdict(document), indent=2, sort_keys=True) + "\n", encoding="utf-8")
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
