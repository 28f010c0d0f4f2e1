"""An adapted head as an artifact of its own (floor 3): everything else is copied, and nothing is claimed that was not measured on it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import alknet_firewall
from alknet_firewall.adapt import Adaptation
from alknet_firewall.artifact import (
    ARTIFACT_FILES,
    CARD_FILE,
    CONFIG_FILE,
    DETECTOR_FILE,
    MANIFEST_FILE,
    PARITY_FILE,
    SELFTEST_FILE,
    Artifact,
    load_artifact,
    write_manifest,
)
from alknet_firewall.choosing import choose_threshold, n_needed
from alknet_firewall.config import Adapted, ArtifactConfig, OperatingPoint
from alknet_firewall.errors import ArtifactNotFoundError, InvalidInputError
from alknet_firewall.firewall import Firewall
from alknet_firewall.labelled import LabelledText
from alknet_firewall.selftest import answered, load_selftest, save_selftest
from alknet_firewall.tensors import load_tensors, save_tensors
from alknet_firewall.verdict import ORIGINS, Origin

COPIED = ("model.onnx", "tokenizer.json", "LICENSE", "NOTICE")
SUFFIX = "-adapted"
NOT_COMPARED = (
    "score_largest_difference",
    "probability_largest_difference",
    "batch_largest_difference",
    "flips",
    "near_flips",
    "failures",
    "passed",
)
"""What ``parity.json`` says of scores: it was measured with the shipped head."""


def check_out(out: Path) -> Path:
    """Refuse a folder that cannot be written or has something in it, before any work is done.

    Returns
    -------
    Path
        Its whole path, links followed.

    Raises
    ------
    InvalidInputError
        If there is something, the path is no folder, or nothing can be written there.
    """
    try:
        whole = out.resolve()
        taken = whole.exists() and (not whole.is_dir() or any(whole.iterdir()))
        there = next(path for path in (whole, *whole.parents) if path.exists())
    except (OSError, RuntimeError) as err:  # the latter for links that go round in a circle, up to Python 3.12
        raise InvalidInputError(
            f"{out}: cannot be read: {getattr(err, 'strerror', None) or type(err).__name__}. Name another folder."
        ) from err
    if taken:
        raise InvalidInputError(f"{out} is there already. Name a new folder, or empty this one first; nothing is overwritten.")
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise InvalidInputError(f"{out}: nothing can be written in {there}. Name another folder.")
    return whole


def write_adapted(firewall: Firewall, adaptation: Adaptation, rows: Sequence[LabelledText], out: Path) -> Artifact:
    """Write the artifact with the adapted head. A new folder appears whole, or not at all; in an empty one the manifest appears last.

    Parameters
    ----------
    firewall : Firewall
        The one that was adapted.
    adaptation : Adaptation
    rows : sequence of LabelledText
        What it was adapted to, in the same order.
    out : Path
        A new or empty folder.

    Returns
    -------
    Artifact
        Opened and verified.

    Raises
    ------
    InvalidInputError
        If the folder has something in it, or cannot be written.
    """
    whole = check_out(out)
    holder = None
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        is_new = not whole.exists()
        holder = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent if is_new else whole))
        draft = holder / whole.name
        draft.mkdir()  # the holder is private, and what is published must not be
        _write(firewall, adaptation, rows, draft)
        if is_new:
            draft.rename(whole)
        else:
            _move(draft, whole)
    except (OSError, shutil.Error) as err:
        if isinstance(err, ArtifactNotFoundError):
            raise
        raise InvalidInputError(f"{out}: cannot be written: {getattr(err, 'strerror', None) or type(err).__name__}.") from err
    finally:
        if holder is not None:
            shutil.rmtree(holder, ignore_errors=True)
    return load_artifact(out)


def _move(draft: Path, folder: Path) -> None:
    """Put the files into a folder that is there: all, or none."""
    names = (*ARTIFACT_FILES, MANIFEST_FILE)
    try:
        for name in names:
            (draft / name).rename(folder / name)
    except OSError:
        for name in names:
            if not (draft / name).exists():
                (folder / name).unlink()
        raise


def n_verdicts_changed(before: Artifact, after: Artifact) -> tuple[int, int]:
    """How many verdicts of the shipped self-test are other ones now, and of how many; those too close to call are not counted."""
    old = {(case.text, case.origin): case.flagged for case in load_selftest(before.path(SELFTEST_FILE)).cases}
    new = load_selftest(after.path(SELFTEST_FILE)).cases
    return sum(old[case.text, case.origin] != case.flagged for case in new), len(new)


def operating_points(
    config: ArtifactConfig, artifact: str, adaptation: Adaptation, rows: Sequence[LabelledText]
) -> tuple[OperatingPoint, ...]:
    """Thresholds of the adapted head: set anew where an origin has enough harmless texts for its lowest rate, else kept.

    Parameters
    ----------
    config : ArtifactConfig
        Of the shipped artifact.
    artifact : str
        Its id.
    adaptation : Adaptation
    rows : sequence of LabelledText

    Returns
    -------
    tuple of OperatingPoint
        Of the same origins and rates; `data` says where each threshold is from.
    """
    points: list[OperatingPoint] = []
    for origin in ORIGINS:
        shipped = [point for point in config.operating_points if point.origin == origin]
        benign, attacks = (_scores(adaptation, rows, origin, label) for label in (0, 1))
        enough = len(benign) >= n_needed(min(point.fpr for point in shipped))
        data = (
            f"{len(benign) + len(attacks)} texts of the user's, each scored by a head that did not see its {adaptation.report.grouped_by}"
        )
        for point in shipped:
            if enough:
                threshold = choose_threshold(benign.tolist(), point.fpr).threshold
                tpr = float((attacks >= threshold).mean()) if len(attacks) else 0.0
                points.append(OperatingPoint(origin, point.fpr, threshold, tpr, len(benign), len(attacks), data))
            else:
                points.append(replace(point, data=f"{point.data}; kept from {artifact}, measured before the head was adapted"))
    return tuple(points)


def _scores(adaptation: Adaptation, rows: Sequence[LabelledText], origin: Origin, label: int) -> Any:
    """Left-out scores of the texts of one origin and label."""
    return adaptation.scores[np.array([row.origin == origin and row.label == label for row in rows], bool)]


def _write(firewall: Firewall, adaptation: Adaptation, rows: Sequence[LabelledText], folder: Path) -> None:
    """All files of the artifact; the self-test last, answered by what was written."""
    shipped = firewall.artifact
    for name in COPIED:
        shutil.copyfile(shipped.path(name), folder / name)
    tensors = {name: tensor for origin, head in adaptation.detectors.items() for name, tensor in head.as_tensors(origin).items()}
    save_tensors(folder / DETECTOR_FILE, {**load_tensors(shipped.path(DETECTOR_FILE)), **tensors})
    points = operating_points(shipped.config, shipped.id, adaptation, rows)
    adapted = Adapted(shipped.id, len(rows), sum(row.label for row in rows), adaptation.report.penalty)
    name = shipped.config.name.removesuffix(SUFFIX) + SUFFIX
    config = replace(shipped.config, name=name, operating_points=points, adapted=adapted)
    _write_json(folder / CONFIG_FILE, config.as_dict())
    _write_json(folder / PARITY_FILE, _parity(shipped))
    (folder / CARD_FILE).write_text(_card(shipped, config, adaptation), encoding="utf-8")
    shutil.copyfile(shipped.path(SELFTEST_FILE), folder / SELFTEST_FILE)
    tools = {**shipped.manifest.tools, "alknet-firewall": alknet_firewall.__version__, "numpy": np.__version__}
    write_manifest(folder, tools)
    selftest = load_selftest(shipped.path(SELFTEST_FILE))
    texts = [(case.text, case.origin) for case in selftest.cases]
    own = Firewall(load_artifact(folder), threads=firewall.threads)
    save_selftest(folder / SELFTEST_FILE, answered(own, texts, selftest.tolerance))
    write_manifest(folder, tools)


def _parity(shipped: Artifact) -> dict[str, Any]:
    """What was compared with torch still holds for hidden states and features; of scores nothing is claimed."""
    document: dict[str, Any] = json.loads(shipped.path(PARITY_FILE).read_bytes())
    silent = {name: None for name in NOT_COMPARED if name in document}
    note = (
        f"Token ids, hidden states and features were compared when {shipped.id} was built, and are its own. The head was adapted "
        "afterwards: its scores were not compared with torch. 'alknet-firewall parity' does that."
    )
    return {**document, **silent, "note": note}


def _card(shipped: Artifact, config: ArtifactConfig, adaptation: Adaptation) -> str:
    """The shipped card, under a paragraph that says what no longer holds."""
    report = adaptation.report
    points = "\n".join(f"- {p.origin}, rate {p.fpr:g}: {p.threshold:.4f}, set on {p.data}." for p in config.operating_points)
    card = shipped.path(CARD_FILE).read_text(encoding="utf-8")
    head, title, body = card.partition("# alknet-firewall artifact")
    text = f"""# alknet-firewall artifact `{config.name}`

## Adapted
This is `{shipped.id}` with its head adapted to {report.n_texts} labelled texts of a user's own (`alknet-firewall fit`, version
{alknet_firewall.__version__}, penalty {report.penalty}). Graph, tokenizer, subspace and calibration are the same. Its thresholds:

{points}

What follows is the card of `{shipped.id}`. Its operating points, and its parity figures for scores, hold for that artifact and were not
measured on this one.

"""
    return f"{head}{text}{title}{body}"


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
