"""The graph in int8: every matrix multiplication with weights runs on integers.

The recipe (``docs/adr/003-int8-recipe.md`` has the measurements):

- Activations: unsigned 8 bit, symmetric around 128, one scale a *row* (a token). ONNX Runtime's dynamic quantisation
  takes one scale a tensor, so a text's score would depend on what shares its batch and on padding. Per row it cannot.
- Weights: signed 8 bit, one scale an output channel.
- A long inner dimension (``down_proj``) is cut into blocks with scales of their own, for its inputs have outliers even
  after the rotation of the stream.
- The embedding table: signed 8 bit, one scale a row.

How it is computed (``docs/adr/013-speed.md``): whatever is one factor a row never touches the row itself. A norm does not change the
integers of a row, only its scale. The row scale of ``up_proj``'s output goes into the scales of the next matrix, and the 1/127 of
every row into the weights' scales. What several matrices read is quantised once, and all blocks of a row together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from export.fused import MICROSOFT, Array, Floats, Matrix

RECIPE = "rotated stream; activations u8 per row, down_proj in blocks of 128; weights s8 per channel; embeddings s8 per row"
LEVELS = 127
LONG, BLOCK = 1024, 128
"""An inner dimension longer than LONG is cut into blocks of BLOCK."""

LARGEST = 1e-9
"""Least value that stands for a row's largest one: a row of zeros has no scale."""


def quantize_rows(weights: npt.NDArray[np.float32], levels: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric integers with one scale a row.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, n_columns), float32
    levels : int
        Largest integer, at most 127.

    Returns
    -------
    integers : ndarray of shape (n_rows, n_columns), int8
    scales : ndarray of shape (n_rows, 1), float32
        ``integers * scales`` is `weights` to half a scale.
    """
    scales = np.maximum(np.abs(weights).max(axis=1, keepdims=True), 1e-12) / levels
    return np.round(weights / scales).astype(np.int8), scales.astype(np.float32)


@dataclass
class Integers(Floats):
    """A graph while it is being written, with matrices in int8."""

    levels: int = LEVELS
    block: int = BLOCK
    quantised: dict[str, tuple[str, str]] = field(default_factory=dict)

    def embedding(self, table: Matrix) -> str:
        """Integers and scales of the rows, multiplied."""
        integers, scales = quantize_rows(table, LEVELS)
        rows = self.node("Gather", [self.constant("table.integers", integers), "input_ids"], "embedding.rows")
        row_scales = self.node("Gather", [self.constant("table.scales", scales), "input_ids"], "embedding.row_scales")
        return self.node("Mul", [self.node("Cast", [rows], "embedding.float", to=TensorProto.FLOAT), row_scales], "embedding")

    def normed(self, stream: str, change: str, gain: Array, epsilon: float, name: str) -> tuple[str, str]:
        """The stream, and a name for its norm, of which only the integers and row scales are computed."""
        if not np.all(gain == 1.0):
            raise ValueError(f"{name} has a gain of its own: fold it into the weights first (export.rotate).")
        stream = self.node("Add", [stream, change], f"{name}.stream") if change else stream
        integers, largest = self.rows(stream)
        self.quantised[f"{name}.normed"] = integers, self.node("Div", [largest, self.size(stream, epsilon, name)], f"{name}.largest")
        return stream, f"{name}.normed"

    def projection(self, source: str, matrix: Matrix, output: str) -> str:
        """``source @ matrix``, each row by its own scale."""
        rows, largest = self.rows(source)
        return self.node("Mul", [self.product(rows, matrix, f"{output}.unscaled"), largest], output)

    def feed_forward(self, source: str, gate: Matrix, up: Matrix, down: Matrix, name: str) -> str:
        """The gated product, in which the row scale of `up` waits for the scales of its blocks."""
        rows, largest = self.rows(source)
        gated = self.silu(self.projection(source, gate, f"{name}.gate"), f"{name}.silu")
        inner = self.node("Mul", [gated, self.product(rows, up, f"{name}.up.unscaled")], f"{name}.inner")
        return self.blocks(inner, largest, down, f"{name}.down")

    def blocks(self, source: str, factor: str, matrix: Matrix, output: str) -> str:
        """``factor * source @ matrix``, each block of a row by its own scale; `factor` is one number a row."""
        size = self.block if len(matrix) > LONG else len(matrix)
        n_blocks = len(matrix) // size
        integers, largest = self.rows(self.shaped(source, (0, 0, n_blocks, size), f"{source}.blocks"))
        integers = self.shaped(integers, (0, 0, len(matrix)), f"{output}.integers")
        scales = self.node("Mul", [self.shaped(largest, (0, 0, n_blocks), f"{output}.largest"), factor], f"{output}.scales")
        pieces = self.split("Split", [integers], [f"{output}.in{i}" for i in range(n_blocks)], axis=-1, num_outputs=n_blocks)
        factors = self.split("Split", [scales], [f"{output}.scale{i}" for i in range(n_blocks)], axis=-1, num_outputs=n_blocks)
        parts = [self.product(piece, matrix[i * size : (i + 1) * size], f"{output}.out{i}") for i, piece in enumerate(pieces)]
        parts = [self.node("Mul", [part, scale], f"{part}.scaled") for part, scale in zip(parts, factors, strict=True)]
        total = parts[0]
        for i, part in enumerate(parts[1:]):  # ONNX Runtime adds in place; its Sum takes more memory and time
            total = self.node("Add", [total, part], output if i == n_blocks - 2 else f"{output}.sum{i}")
        return total

    def product(self, rows: str, matrix: Matrix, output: str) -> str:
        """Integer rows times a matrix in int8, in units of each row's largest value."""
        integers, scales = quantize_rows(matrix.T, self.levels)
        weight = self.constant(f"{output}.weight", integers.T)
        scale = self.constant(f"{output}.scale", scales[:, 0] / np.float32(LEVELS))
        one = self.constant("q.one", np.array(1.0, np.float32))
        # The last is a place for the weights' zero point, which is none: ONNX Runtime 1.25 to 1.29 look there without asking.
        inputs = [rows, weight, one, scale, self._zero_point(), ""]
        return self.node("MatMulIntegerToFloat", inputs, output, domain=MICROSOFT)

    def rows(self, source: str) -> tuple[str, str]:
        """Integers and largest absolute values of a tensor's rows; computed once for all that read it."""
        if source not in self.quantised:
            axis = self.constant("last_axis", np.array([-1], np.int64))
            magnitude = self.node("ReduceMax", [self.node("Abs", [source], f"{source}.abs"), axis], f"{source}.max", keepdims=1)
            largest = self.node("Max", [magnitude, self.constant("q.floor", np.array(LARGEST, np.float32))], f"{source}.largest")
            inverse = self.node("Div", [self.constant("q.levels", np.array(LEVELS, np.float32)), largest], f"{source}.inverse")
            scaled = self.node("Mul", [source, inverse], f"{source}.scaled")
            one = self.constant("q.one", np.array(1.0, np.float32))
            self.quantised[source] = self.node("QuantizeLinear", [scaled, one, self._zero_point()], f"{source}.integers"), largest
        return self.quantised[source]

    def _zero_point(self) -> str:
        """The integer that stands for 0."""
        return self.constant("q.zero_point", np.array(128, np.uint8))
