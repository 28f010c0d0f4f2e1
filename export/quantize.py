"""An fp32 graph -> an int8 graph in which every matrix multiplication with weights runs on integers.

The recipe (``docs/adr/003-int8-recipe.md`` has the measurements):

- Activations: unsigned 8 bit, symmetric around 128, one scale a *row* (a token). ONNX Runtime's dynamic quantisation
  takes one scale a tensor, so a text's score would depend on what shares its batch and on padding. Per row it cannot.
- Weights: signed 8 bit, one scale an output channel.
- A long inner dimension (``down_proj``) is cut into blocks with scales of their own, for its inputs have outliers even
  after the rotation of the stream.
- The embedding table: signed 8 bit, one scale a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

RECIPE = "rotated stream; activations u8 per row, down_proj in blocks of 128; weights s8 per channel; embeddings s8 per row"
LEVELS = 127
LONG, BLOCK = 1024, 128
"""An inner dimension longer than LONG is cut into blocks of BLOCK."""

KEPT_IN_FP32 = "/norm/"
"""The matrix that turns the output back into the base model's own basis."""

_ZERO_POINT, _LEVELS, _FLOOR, _ONE, _LAST_AXIS = "q.zero_point", "q.levels", "q.floor", "q.one", "q.last_axis"


@dataclass
class _Rewriter:
    """The new graph while it is being written."""

    weights: dict[str, Any]
    nodes: list[Any] = field(default_factory=list)
    tensors: dict[str, Any] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    quantised: dict[str, tuple[str, str]] = field(default_factory=dict)

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add an initializer."""
        self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"q/{output}", **attributes))
        return output


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a graph to int8.

    Parameters
    ----------
    model : ModelProto
        fp32, opset 18 or later; weights are initializers and second inputs of MatMul.

    Returns
    -------
    ModelProto
        A new model; inputs and outputs are the same. Uses ``com.microsoft::MatMulIntegerToFloat``.
    """
    rewriter = _Rewriter({tensor.name: tensor for tensor in model.graph.initializer})
    rewriter.constant(_ZERO_POINT, np.array(128, np.uint8))
    rewriter.constant(_LEVELS, np.array(127.0, np.float32))
    rewriter.constant(_FLOOR, np.array(1e-9, np.float32))
    rewriter.constant(_ONE, np.array(1.0, np.float32))
    rewriter.constant(_LAST_AXIS, np.array([-1], np.int64))
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in rewriter.weights and KEPT_IN_FP32 not in node.name:
            _rewrite_matmul(rewriter, node)
        elif node.op_type == "Gather" and len(getattr(rewriter.weights.get(node.input[0]), "dims", ())) == 2:
            _rewrite_embedding(rewriter, node)
        else:
            rewriter.nodes.append(node)
    return _assemble(model, rewriter)


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


def _rewrite_matmul(rewriter: _Rewriter, node: Any) -> None:
    """One MatMul with weights, in blocks of the inner dimension."""
    source, weight, output = node.input[0], node.input[1], node.output[0]
    matrix = numpy_helper.to_array(rewriter.weights[weight])
    rewriter.replaced.add(weight)
    n_blocks = len(matrix) // BLOCK if len(matrix) > LONG and len(matrix) % BLOCK == 0 else 1
    if n_blocks == 1:
        _integer_matmul(rewriter, source, matrix, output)
        return
    pieces = [f"{output}.in{i}" for i in range(n_blocks)]
    rewriter.nodes.append(helper.make_node("Split", [source], pieces, name=f"q/{output}.split", axis=-1, num_outputs=n_blocks))
    parts = [_integer_matmul(rewriter, piece, matrix[i * BLOCK : (i + 1) * BLOCK], f"{output}.out{i}") for i, piece in enumerate(pieces)]
    rewriter.node("Sum", parts, output)


def _integer_matmul(rewriter: _Rewriter, source: str, matrix: npt.NDArray[np.float32], output: str) -> str:
    """``source @ matrix`` on integers."""
    integers, scales = quantize_rows(matrix.T, LEVELS)
    weight = rewriter.constant(f"{output}.weight", integers.T)
    scale = rewriter.constant(f"{output}.scale", scales[:, 0])
    rows, row_scale = _quantised_rows(rewriter, source)
    rewriter.node("MatMulIntegerToFloat", [rows, weight, _ONE, scale, _ZERO_POINT], f"{output}.unscaled", domain="com.microsoft")
    return rewriter.node("Mul", [f"{output}.unscaled", row_scale], output)


def _quantised_rows(rewriter: _Rewriter, source: str) -> tuple[str, str]:
    """Integers and scales of a tensor's rows; computed once for all that read it."""
    if source not in rewriter.quantised:
        node = rewriter.node
        magnitude = node("ReduceMax", [node("Abs", [source], f"{source}.abs"), _LAST_AXIS], f"{source}.max", keepdims=1)
        bounded = node("Max", [magnitude, _FLOOR], f"{source}.bound")
        scaled = node("Mul", [source, node("Div", [_LEVELS, bounded], f"{source}.inverse")], f"{source}.scaled")
        integers = node("QuantizeLinear", [scaled, _ONE, _ZERO_POINT], f"{source}.integers")
        rewriter.quantised[source] = integers, node("Div", [bounded, _LEVELS], f"{source}.row_scale")
    return rewriter.quantised[source]


def _rewrite_embedding(rewriter: _Rewriter, node: Any) -> None:
    """The embedding lookup: gather integers and scales, then multiply."""
    table, ids, output = node.input[0], node.input[1], node.output[0]
    rewriter.replaced.add(table)
    integers, scales = quantize_rows(numpy_helper.to_array(rewriter.weights[table]), LEVELS)
    rows = rewriter.node("Gather", [rewriter.constant("embedding.integers", integers), ids], "embedding.rows")
    row_scales = rewriter.node("Gather", [rewriter.constant("embedding.scales", scales), ids], "embedding.row_scales")
    rewriter.node("Mul", [rewriter.node("Cast", [rows], "embedding.float", to=TensorProto.FLOAT), row_scales], output)


def _assemble(model: onnx.ModelProto, rewriter: _Rewriter) -> onnx.ModelProto:
    """The new model from the old one's frame."""
    kept = [tensor for name, tensor in rewriter.weights.items() if name not in rewriter.replaced]
    graph = helper.make_graph(rewriter.nodes, model.graph.name, model.graph.input, model.graph.output, [*kept, *rewriter.tensors.values()])
    opsets = [*model.opset_import, helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version, producer_name="alknet-firewall")
