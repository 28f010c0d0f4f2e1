"""Features to scores (floor 2, numpy only): a truncated-SVD subspace and a linear head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.config import Calibration
from alknet_firewall.errors import ArtifactCorruptError, ShapeError
from alknet_firewall.tensors import Array, FloatArray, float_tensor


@dataclass(frozen=True)
class Detector:
    """The fitted head.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,), float32
        What features are standardised with; `scale` is positive.
    components : ndarray of shape (n_components, n_features), float32
        Orthonormal rows: right singular vectors of the standardised features. Truncated SVD: nothing more is centred.
    weights : ndarray of shape (n_components,), float32
        Linear head on the projections.
    bias : ndarray of shape (1,), float32
        Its intercept.
    """

    mean: FloatArray
    scale: FloatArray
    components: FloatArray
    weights: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        n_components, n_features = self.components.shape if self.components.ndim == 2 else (-1, -1)
        expected = {"mean": (n_features,), "scale": (n_features,), "weights": (n_components,), "bias": (1,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"Detector tensor {name} has shape {getattr(self, name).shape}, expected {shape} beside its components.")
        if not all(np.isfinite(getattr(self, field.name)).all() for field in fields(self)) or not (self.scale > 0).all():
            raise ShapeError("Detector tensors must be finite, and scale positive.")

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return int(self.components.shape[1])

    @cached_property
    def direction(self) -> FloatArray:
        """What a feature adds to the logit: subspace, scaling and head as one vector of shape (n_features,), float32."""
        return np.asarray((self.weights.astype(np.float64) @ self.components) / self.scale, np.float32)

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
            logits = ((_fitting(features, self) - self.mean) @ self.direction + self.bias[0]).astype(np.float64)
        if not np.isfinite(logits).all():
            raise ShapeError("Features must be finite numbers. The graph gave none: verify the artifact.")
        return np.asarray(logits, np.float64)

    def listening(self, values: npt.NDArray[Any], weight: float) -> Detector:
        """The head with one more feature that adds to the logit, as a direction of its own in the subspace.

        Parameters
        ----------
        values : ndarray of shape (n_segments,)
            What that feature is like, to standardise it with.
        weight : float
            What the logit rises by when it rises by 1.

        Returns
        -------
        Detector
            Of one feature and one component more.
        """
        mean, scale = float(values.mean()), max(float(values.std()), 1e-6)
        n_components, n_features = self.components.shape
        components = np.zeros((n_components + 1, n_features + 1), np.float32)
        components[:-1, :-1], components[-1, -1] = self.components, 1.0

        def longer(array: FloatArray, value: float) -> FloatArray:
            return np.append(array, np.float32(value))

        bias = (self.bias + weight * mean).astype(np.float32)
        return Detector(longer(self.mean, mean), longer(self.scale, scale), components, longer(self.weights, weight * scale), bias)

    def deaf(self) -> Detector:
        """The head that :meth:`listening` was called on.

        Returns
        -------
        Detector
            Of one feature and one component less.
        """
        bias = (self.bias - self.weights[-1] / self.scale[-1] * self.mean[-1]).astype(np.float32)
        return Detector(self.mean[:-1], self.scale[:-1], np.ascontiguousarray(self.components[:-1, :-1]), self.weights[:-1], bias)

    def as_tensors(self) -> dict[str, Array]:
        """Named arrays for :func:`alknet_firewall.tensors.save_tensors`."""
        return {f"detector.{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], where: str) -> Detector:
        """Build from named arrays.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            What :meth:`as_tensors` gave.
        where : str
            File they came from, for the error.

        Returns
        -------
        Detector

        Raises
        ------
        ArtifactCorruptError
            If a tensor is missing, not float32, or of a shape that does not fit.
        """
        try:
            return cls(**{field.name: float_tensor(tensors, f"detector.{field.name}", where) for field in fields(cls)})
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
    values = calibration.slope * logits + calibration.shift - calibration.length * np.log(n_segments)
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)
