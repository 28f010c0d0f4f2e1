"""Features to scores (floor 2, numpy only): a truncated-SVD subspace, and in it a linear head beside a perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.config import Calibration
from alknet_firewall.errors import ArtifactCorruptError, ShapeError
from alknet_firewall.perceptron import Perceptron
from alknet_firewall.tensors import Array, FloatArray, float_tensor

SHARED = {"mean": "float32", "scale": "float32", "components": "float16"}
"""Tensors that the heads of all origins have in common, and what they are stored as: standardisation and subspace."""

OWN = ("weights", "bias")
"""Tensors of each origin's linear part, stored as float32."""


@dataclass(frozen=True)
class Detector:
    """The fitted head of one origin: a linear part and a perceptron, both on coordinates in a subspace that all origins share.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,), float32
        What features are standardised with; `scale` is positive.
    components : ndarray of shape (n_components, n_features), float32
        Orthonormal rows: right singular vectors of the standardised features. Truncated SVD: nothing more is centred.
    weights : ndarray of shape (n_components,), float32
        Linear part on the coordinates.
    bias : ndarray of shape (1,), float32
        Its intercept.
    perceptron : Perceptron or None
        What else the coordinates say; None for a head that is linear.
    """

    mean: FloatArray
    scale: FloatArray
    components: FloatArray
    weights: FloatArray
    bias: FloatArray
    perceptron: Perceptron | None = None

    def __post_init__(self) -> None:
        n_components, n_features = self.components.shape if self.components.ndim == 2 else (-1, -1)
        expected = {"mean": (n_features,), "scale": (n_features,), "weights": (n_components,), "bias": (1,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"Detector tensor {name} has shape {getattr(self, name).shape}, expected {shape} beside its components.")
        if not all(np.isfinite(getattr(self, name)).all() for name in (*SHARED, *OWN)) or not (self.scale > 0).all():
            raise ShapeError("Detector tensors must be finite, and scale positive.")
        if self.perceptron is not None and self.perceptron.n_inputs != n_components:
            raise ShapeError(f"A perceptron of {self.perceptron.n_inputs} inputs does not fit {n_components} components.")

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return int(self.components.shape[1])

    def project(self, features: FloatArray) -> FloatArray:
        """Coordinates in the subspace.

        Parameters
        ----------
        features : ndarray of shape (n_segments, n_features), float32

        Returns
        -------
        ndarray of shape (n_segments, n_components), float32

        Raises
        ------
        ShapeError
            If the features have another length.
        """
        return np.asarray(((_fitting(features, self) - self.mean) / self.scale) @ self.components.T, np.float32)

    def logits(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Logits of segments.

        Parameters
        ----------
        features : ndarray of shape (n_segments, n_features), float32

        Returns
        -------
        ndarray of shape (n_segments,), float64
            Finite, higher = more suspicious; see :func:`calibrated` for scores.

        Raises
        ------
        ShapeError
            If the features have another length, or are not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below, not warned about
            return self.logits_at(self.project(features))

    def logits_at(self, coordinates: FloatArray) -> npt.NDArray[np.float64]:
        """Logits of segments whose coordinates are at hand.

        Parameters
        ----------
        coordinates : ndarray of shape (n_segments, n_components), float32
            As :meth:`project` gives them.

        Returns
        -------
        ndarray of shape (n_segments,), float64
            As :meth:`logits`.

        Raises
        ------
        ShapeError
            If they are not finite.
        """
        logits = (coordinates @ self.weights + self.bias[0]).astype(np.float64)
        if self.perceptron is not None:
            logits += self.perceptron.logits(coordinates)
        if not np.isfinite(logits).all():
            raise ShapeError("Features must be finite numbers. The graph gave none: verify the artifact.")
        return np.asarray(logits, np.float64)

    def listening(self, weight: float) -> Detector:
        """The head with one more feature that adds to the logit, as a coordinate of its own that the perceptron does not see.

        Parameters
        ----------
        weight : float
            What the logit rises by when that feature rises by 1.

        Returns
        -------
        Detector
            Of one feature and one component more.
        """
        n_components, n_features = self.components.shape
        components = np.zeros((n_components + 1, n_features + 1), np.float32)
        components[:-1, :-1], components[-1, -1] = self.components, 1.0
        mean, scale, weights = (
            np.append(array, np.float32(value)) for array, value in ((self.mean, 0.0), (self.scale, 1.0), (self.weights, weight))
        )
        return Detector(mean, scale, components, weights, self.bias, None if self.perceptron is None else self.perceptron.widened())

    def as_tensors(self, origin: str) -> dict[str, Array]:
        """Named arrays for :func:`alknet_firewall.tensors.save_tensors`; those in :data:`SHARED` have the same name for every origin."""
        shared = {f"detector.{name}": getattr(self, name).astype(stored) for name, stored in SHARED.items()}
        own = {f"detector.{origin}.{name}": getattr(self, name) for name in OWN}
        return {**shared, **own, **({} if self.perceptron is None else self.perceptron.as_tensors(f"detector.{origin}"))}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], origin: str, where: str) -> Detector:
        """Build from named arrays.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            What :meth:`as_tensors` gave for a head with a perceptron.
        origin : str
        where : str
            File they came from, for the error.

        Returns
        -------
        Detector

        Raises
        ------
        ArtifactCorruptError
            If a tensor is missing, of another type than it is stored as, or of a shape that does not fit.
        """
        shared = {name: float_tensor(tensors, f"detector.{name}", where, stored) for name, stored in SHARED.items()}
        own = {name: float_tensor(tensors, f"detector.{origin}.{name}", where) for name in OWN}
        perceptron = Perceptron.from_tensors(tensors, f"detector.{origin}", where)
        try:
            return cls(**shared, **own, perceptron=perceptron)
        except ShapeError as err:
            raise ArtifactCorruptError(f"{where}: {err} Fetch or build the artifact again.") from err


def _fitting(features: FloatArray, detector: Detector) -> FloatArray:
    """The features, if they are as long as the detector's."""
    if features.ndim != 2 or features.shape[1] != detector.n_features:
        raise ShapeError(f"Features of shape {features.shape} do not fit a detector of {detector.n_features} features.")
    return features


def calibrated(
    logits: npt.NDArray[np.float64], n_segments: int | npt.NDArray[np.int64], calibration: Calibration
) -> npt.NDArray[np.float64]:
    """Scores of segments or texts.

    Parameters
    ----------
    logits : ndarray of shape (n,), float64
    n_segments : int or ndarray of shape (n,), int64
        How many segments the text of each has, at least 1.
    calibration : Calibration

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1], higher = more suspicious; the formula is in :class:`alknet_firewall.config.Calibration`.
    """
    return _logistic(calibration.slope * logits + calibration.shift - length_correction(n_segments, calibration))


def length_correction(n_segments: int | npt.NDArray[np.int64], calibration: Calibration) -> npt.NDArray[np.float64]:
    """What a calibrated logit is lowered by for the number of segments of its text.

    Parameters
    ----------
    n_segments : int or ndarray of shape (n,), int64
        At least 1.
    calibration : Calibration

    Returns
    -------
    ndarray of shape () or (n,), float64
        At least 0.
    """
    return np.asarray(calibration.length * np.log(np.minimum(n_segments, calibration.longest)), np.float64)


def probabilities(scores: npt.NDArray[np.float64], calibration: Calibration) -> npt.NDArray[np.float64]:
    """What scores say of how likely an attack is, were attacks as common as harmless texts.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        As :func:`calibrated` gives them.
    calibration : Calibration
        The one they were made with.

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1], rising with the score and 0.5 where the score is; the formula is in :class:`alknet_firewall.config.Calibration`.
    """
    with np.errstate(divide="ignore"):  # a score of 0 or 1 has infinite log-odds and keeps its value
        return _logistic((np.log(scores) - np.log1p(-scores)) / calibration.sharpness)


def _logistic(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)
