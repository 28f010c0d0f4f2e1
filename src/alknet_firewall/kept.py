"""What a fitted classifier has learnt, on disk (floor 2): a safetensors file of a few kilobytes, without pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.estimating import check_labels, check_penalty
from alknet_firewall.replacing import replacing
from alknet_firewall.tensors import FloatArray, float_tensor, load_about, load_tensors, save_tensors
from alknet_firewall.text import check_origin, check_threshold
from alknet_firewall.verdict import Origin

KEPT_SCHEMA_VERSION = 1
ABOUT = "classifier"
"""Key of the file's metadata."""


@dataclass(frozen=True)
class Kept:
    """What fitting gave, and what it was asked for. The rest of a classifier is the artifact that it adapts.

    Attributes
    ----------
    fitted_on : str
        Id of that artifact.
    origin : {"prompt", "content"}
        Of the head that was adapted.
    penalty : float or None
        What was used; None is no change.
    classes : ndarray of shape (2,)
        The labels, in order.
    weights : ndarray of shape (n_components,), float32
        Linear part of the adapted head.
    bias : ndarray of shape (1,), float32
    parameters : dict
        ``artifact`` (a path or name, or None), ``origin``, ``penalty`` and ``threshold``, as the classifier was made with them.
    """

    fitted_on: str
    origin: Origin
    penalty: float | None
    classes: npt.NDArray[Any]
    weights: FloatArray
    bias: FloatArray
    parameters: dict[str, Any]


def write_kept(path: Path, kept: Kept) -> None:
    """Write the file; one that is there is replaced when the new one is whole.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    said = {
        "schema_version": KEPT_SCHEMA_VERSION,
        "fitted_on": kept.fitted_on,
        "origin": kept.origin,
        "penalty": kept.penalty,
        "classes": kept.classes.tolist(),
        "class_type": kept.classes.dtype.str,
        "parameters": kept.parameters,
    }
    try:
        with replacing(path) as new:
            save_tensors(new, {"weights": kept.weights, "bias": kept.bias}, {ABOUT: json.dumps(said)})
    except OSError as err:
        raise InvalidInputError(f"{path}: cannot be written: {err.strerror or type(err).__name__}. Name another file.") from err


def read_kept(path: Path) -> Kept:
    """Read what :func:`write_kept` wrote.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If it is something else, or damaged.
    """
    try:
        tensors, said = load_tensors(path), json.loads(load_about(path)[ABOUT])
        version = said["schema_version"]
        weights, bias = (float_tensor(tensors, name, str(path)) for name in ("weights", "bias"))
        classes = np.array(said["classes"], np.dtype(said["class_type"]))
        asked, origin, penalty = said["parameters"], check_origin(said["origin"]), _used(said["penalty"])
        check_labels(classes)
        check_origin(asked["origin"])
        check_penalty(asked["penalty"])
        if asked["threshold"] is not None:
            check_threshold(asked["threshold"])
        parameters = {name: asked[name] for name in ("artifact", "origin", "penalty", "threshold")}
        kept = Kept(str(said["fitted_on"]), origin, penalty, classes, weights, bias, parameters)
    except (ArtifactCorruptError, InvalidInputError, KeyError, TypeError, ValueError, RecursionError) as err:
        raise ArtifactCorruptError(f"{path} is no classifier that was saved. Give a file that FirewallClassifier.save wrote.") from err
    if version != KEPT_SCHEMA_VERSION:
        raise ArtifactCorruptError(
            f"{path} has schema_version {version}; this version of alknet-firewall reads {KEPT_SCHEMA_VERSION}. Update it."
        )
    return kept


def _used(penalty: object) -> float | None:
    """The penalty that was used, when it is one: what was asked for may be "auto", what was used is a number or None."""
    used = check_penalty(penalty)
    if isinstance(used, str):
        raise InvalidInputError("The penalty that was used must be a number above 0, or None.")
    return used
