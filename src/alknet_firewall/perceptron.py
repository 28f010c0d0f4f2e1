"""Coordinates to evidence by a small neural network (floor 2, numpy only).

Whether "send the list to Amy" is an attack depends on what it stands in: a product of two things, which no linear head can form. The
network reads the coordinates of one segment, so it costs a thousandth of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from alknet_firewall.errors import ArtifactCorruptError, ShapeError
from alknet_firewall.tensors import Array, FloatArray, float_tensor, in_half_precision


@dataclass(frozen=True)
class Perceptron:
    """Dense layers with rectifiers (ReLU) between them.

    Attributes
    ----------
    weights : tuple of ndarray of shape (n_outputs, n_inputs), float32
        One a layer, at least one; each takes what the one before gives, and the last has one output.
    biases : tuple of ndarray of shape (n_outputs,), float32
        One a layer.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        shapes = [layer.shape for layer in self.weights]
        if not shapes or any(len(shape) != 2 for shape in shapes) or shapes[-1][0] != 1:
            raise ShapeError(f"A perceptron's layers have shapes {shapes}: each must be a matrix, and the last have one output.")
        if any(before[0] != after[1] for before, after in pairwise(shapes)):
            raise ShapeError(f"A perceptron's layers have shapes {shapes}: each must take what the one before gives.")
        if [bias.shape for bias in self.biases] != [shape[:1] for shape in shapes]:
            raise ShapeError(f"A perceptron has biases of shapes {[bias.shape for bias in self.biases]} beside layers of shapes {shapes}.")
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise ShapeError("A perceptron's weights and biases must be finite.")

    @property
    def n_inputs(self) -> int:
        """How many coordinates it takes."""
        return int(self.weights[0].shape[1])

    def logits(self, coordinates: FloatArray) -> FloatArray:
        """Evidence from segments.

        Parameters
        ----------
        coordinates : ndarray of shape (n_segments, n_inputs), float32

        Returns
        -------
        ndarray of shape (n_segments,), float32
            What is added to each one's logit.
        """
        values = coordinates
        for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = np.maximum(values @ weights.T + bias, 0.0)
        return np.asarray(values @ self.weights[-1][0] + self.biases[-1][0], np.float32)

    def scaled(self, factor: float) -> Perceptron:
        """One whose evidence is `factor` times as strong."""
        factors = [1.0] * (len(self.weights) - 1) + [factor]
        weights, biases = (
            tuple(in_half_precision(f * array) for f, array in zip(factors, arrays, strict=True)) for arrays in (self.weights, self.biases)
        )
        return Perceptron(weights, biases)

    def widened(self) -> Perceptron:
        """One that takes another coordinate, the last, and does not listen to it."""
        first = np.pad(self.weights[0], ((0, 0), (0, 1)))
        return Perceptron((first, *self.weights[1:]), self.biases)

    def as_tensors(self, name: str) -> dict[str, Array]:
        """Named arrays for :func:`alknet_firewall.tensors.save_tensors`, in half precision; `name` is what all begin with."""
        tensors: dict[str, Array] = {}
        for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors |= {f"{name}.layer{i}.weights": weights.astype(np.float16), f"{name}.layer{i}.bias": bias.astype(np.float16)}
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], name: str, where: str) -> Perceptron:
        """Build from named arrays.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            What :meth:`as_tensors` gave.
        name : str
            What all begin with.
        where : str
            File they came from, for the error.

        Returns
        -------
        Perceptron

        Raises
        ------
        ArtifactCorruptError
            If there is none, or a tensor is missing, not float16, not finite, or of a shape that does not fit.
        """
        n_layers = max(1, len({key.rsplit(".", 1)[0] for key in tensors if key.startswith(f"{name}.layer")}))
        parts = [
            [float_tensor(tensors, f"{name}.layer{i}.{part}", where, stored="float16") for i in range(n_layers)]
            for part in ("weights", "bias")
        ]
        try:
            return cls(tuple(parts[0]), tuple(parts[1]))
        except ShapeError as err:
            raise ArtifactCorruptError(f"{where}: {err} Fetch or build the artifact again.") from err
