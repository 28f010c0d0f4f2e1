"""The cut backbone written down node by node, with ONNX Runtime's fused operators and without what a scan never needs.

A traced graph works out shapes, masks and repeated heads anew at every call. This one does not:

- A window's padding stands on its right and a decoder looks only back, so no real token ever sees padding. Causality is the
  only mask; there is no ``attention_mask``.
- The queries of the heads that share keys stand below each other in one matrix, so keys and values are never repeated.
- The score's 1/8 is in the weights of the queries.
- The residual stream and the norm are one operator in fp32, and in int8 the norm is a factor of the row's scale (:mod:`export.quantize`).
  Rotary embedding and SiLU are one operator each.

Every operator is in ONNX Runtime 1.18 and later. :mod:`export.graph` compares the numbers with optimum's graph at every build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.rotate import Rotation

MICROSOFT = "com.microsoft"
OPSET = 18
IR_VERSION = 9
"""Read by ONNX Runtime 1.17 and later."""

POSITIONS = 4096
"""Positions that rotary tables are made for: prefix, context and window together. Others are an error of the graph."""

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama backbone, of its ``config.json``."""

    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    epsilon: float
    theta: float

    @classmethod
    def of(cls, config: Any) -> Shape:
        """From a ``LlamaConfig``."""
        heads = config.num_attention_heads
        size = config.hidden_size // heads
        return cls(config.num_hidden_layers, heads, config.num_key_value_heads, size, config.rms_norm_eps, config.rope_theta)

    @property
    def width(self) -> int:
        """Size of the residual stream."""
        return self.heads * self.head_size


@dataclass
class Floats:
    """A graph while it is being written, with matrices in fp32."""

    nodes: list[Any] = field(default_factory=list)
    tensors: dict[str, Any] = field(default_factory=dict)

    def constant(self, name: str, array: Array) -> str:
        """Add an initializer, once."""
        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.split(op, inputs, [output], **attributes)[0]

    def split(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        self.nodes.append(helper.make_node(op, inputs, outputs, name=f"{outputs[0]}/{op}", **attributes))
        return outputs

    def shaped(self, source: str, shape: tuple[int, ...], output: str) -> str:
        """Reshape; 0 keeps a size, -1 takes what is left."""
        name = self.constant("shape." + "_".join(map(str, shape)), np.array(shape, np.int64))
        return self.node("Reshape", [source, name], output)

    def embedding(self, table: Matrix) -> str:
        """Rows of the embedding table."""
        return self.node("Gather", [self.constant("embedding.table", table), "input_ids"], "embedding")

    def normed(self, stream: str, change: str, gain: Array, epsilon: float, name: str) -> tuple[str, str]:
        """The stream with a block's change added (none if it is empty), and its root-mean-square norm."""
        weight = self.constant(f"{name}.gain", gain)
        if change:
            outputs = [f"{name}.normed", "", "", f"{name}.stream"]
            self.split("SkipSimplifiedLayerNormalization", [stream, change, weight], outputs, domain=MICROSOFT, epsilon=epsilon)
            return outputs[3], outputs[0]
        unit = self.node("Div", [stream, self.size(stream, epsilon, name)], f"{name}.unit")
        return stream, self.node("Mul", [unit, weight], f"{name}.normed")

    def size(self, stream: str, epsilon: float, name: str) -> str:
        """Root mean square of each row, at least the root of `epsilon`."""
        axis = self.constant("last_axis", np.array([-1], np.int64))
        mean = self.node("ReduceMean", [self.node("Mul", [stream, stream], f"{name}.squares"), axis], f"{name}.mean", keepdims=1)
        raised = self.node("Add", [mean, self.constant("epsilon", np.array(epsilon, np.float32))], f"{name}.raised")
        return self.node("Sqrt", [raised], f"{name}.size")

    def projection(self, source: str, matrix: Matrix, output: str) -> str:
        """``source @ matrix``."""
        return self.node("MatMul", [source, self.constant(f"{output}.weight", matrix)], output)

    def feed_forward(self, source: str, gate: Matrix, up: Matrix, down: Matrix, name: str) -> str:
        """``(silu(source @ gate) * (source @ up)) @ down``."""
        gated = self.silu(self.projection(source, gate, f"{name}.gate"), f"{name}.silu")
        inner = self.node("Mul", [gated, self.projection(source, up, f"{name}.up")], f"{name}.inner")
        return self.projection(inner, down, f"{name}.down")

    def silu(self, source: str, output: str) -> str:
        """``x * sigmoid(x)``."""
        return self.node("QuickGelu", [source], output, domain=MICROSOFT, alpha=1.0)


def write_graph(shape: Shape, weights: Mapping[str, Array], writer: Floats, rotation: Rotation | None = None) -> onnx.ModelProto:
    """Write the graph of a backbone.

    Parameters
    ----------
    shape : Shape
    weights : mapping of str to ndarray
        State of a Transformers ``LlamaModel``, matrices of shape (n_out, n_in).
    writer : Floats
        A new one; its class decides the precision.
    rotation : Rotation, optional
        What the weights' residual stream was rotated by; the output is turned back.

    Returns
    -------
    ModelProto
        Inputs ``input_ids`` and ``position_ids`` of shape (batch, n_tokens), int64, and the past keys and values of each block; outputs
        ``last_hidden_state`` and the present keys and values. A row's tokens beyond its own end must stand on the right.
    """
    _tables(writer, shape)
    stream, change = writer.embedding(weights["embed_tokens.weight"]), ""
    for number in range(shape.layers):
        own = {name.removeprefix(f"layers.{number}."): array for name, array in weights.items() if name.startswith(f"layers.{number}.")}
        stream, normed = writer.normed(stream, change, own["input_layernorm.weight"], shape.epsilon, f"{number}.attention_in")
        change = _attention(writer, shape, normed, own, number)
        stream, normed = writer.normed(stream, change, own["post_attention_layernorm.weight"], shape.epsilon, f"{number}.mlp_in")
        matrices = (_transposed(own[f"mlp.{part}_proj.weight"]) for part in ("gate", "up", "down"))
        change = writer.feed_forward(normed, *matrices, f"{number}.mlp")
    last = "last_hidden_state"
    stream = writer.node("Add", [stream, change], last if rotation is None else "rotated")
    if rotation is not None:
        _turn_back(writer, stream, rotation, last)
    return _model(writer, shape)


def _tables(writer: Floats, shape: Shape) -> None:
    """What all blocks share: positions, the rotary tables and the causal mask of (n_heads a group * n_tokens, n_all)."""
    powers = np.arange(0, shape.head_size, 2, dtype=np.float64) / shape.head_size
    angles = np.arange(POSITIONS)[:, None] / shape.theta ** powers[None]
    writer.constant("rotary.cos", np.cos(angles).astype(np.float32))
    writer.constant("rotary.sin", np.sin(angles).astype(np.float32))
    known = writer.constant("positions.known", np.arange(POSITIONS, dtype=np.int64))
    writer.node("Gather", [known, "position_ids"], "positions")  # the rotary operator of old releases does not check its bounds
    n_tokens = writer.node("Shape", ["input_ids"], "n_tokens", start=1)
    n_past = writer.node("Shape", ["past_key_values.0.key"], "n_past", start=2, end=3)
    size = writer.node("Concat", [n_tokens, writer.node("Add", [n_tokens, n_past], "n_all")], "mask.size", axis=0)
    lowest = helper.make_tensor("lowest", TensorProto.FLOAT, [1], [float(np.finfo(np.float32).min)])
    blank = writer.node("ConstantOfShape", [size], "mask.blank", value=lowest)
    first = writer.node("Add", [n_past, writer.constant("one", np.array([1], np.int64))], "mask.first")
    first = writer.node("Squeeze", [first], "mask.diagonal")
    mask = writer.node("Trilu", [blank, first], "mask.one_head", upper=1)
    writer.node("Concat", [mask] * (shape.heads // shape.key_value_heads), "mask", axis=0)


def _attention(writer: Floats, shape: Shape, source: str, own: Mapping[str, Array], number: int) -> str:
    """One block's attention over past and present keys."""
    name, groups, size = f"{number}.attention", shape.key_value_heads, shape.head_size
    query, key, value = (
        _by_head(writer, source, own[f"self_attn.{part}_proj.weight"] * scale, n, size, f"{name}.{part}")
        for part, n, scale in (("q", shape.heads, np.float32(size**-0.5)), ("k", groups, 1), ("v", groups, 1))
    )
    query, key = (
        writer.node("RotaryEmbedding", [part, "positions", "rotary.cos", "rotary.sin"], f"{part}.rotated", domain=MICROSOFT)
        for part in (query, key)
    )
    keys = writer.node("Concat", [f"past_key_values.{number}.key", key], f"present.{number}.key", axis=2)
    values = writer.node("Concat", [f"past_key_values.{number}.value", value], f"present.{number}.value", axis=2)
    stacked = writer.shaped(query, (0, groups, -1, size), f"{name}.stacked")
    scores = writer.node("FusedMatMul", [stacked, keys], f"{name}.scores", domain=MICROSOFT, transB=1)
    weights = writer.node("Softmax", [writer.node("Add", [scores, "mask"], f"{name}.masked")], f"{name}.weights", axis=-1)
    mixed = writer.shaped(writer.node("MatMul", [weights, values], f"{name}.mixed"), (0, shape.heads, -1, size), f"{name}.mixed_heads")
    mixed = writer.node("Transpose", [mixed], f"{name}.mixed_tokens", perm=[0, 2, 1, 3])
    mixed = writer.shaped(mixed, (0, 0, shape.width), f"{name}.out_in")
    return writer.projection(mixed, _transposed(own["self_attn.o_proj.weight"]), f"{name}.out")


def _by_head(writer: Floats, source: str, matrix: Array, n_heads: int, size: int, name: str) -> str:
    """A projection as (batch, n_heads, n_tokens, head_size)."""
    heads = writer.shaped(writer.projection(source, _transposed(matrix), name), (0, 0, n_heads, size), f"{name}.heads")
    return writer.node("Transpose", [heads], f"{name}.by_head", perm=[0, 2, 1, 3])


def _turn_back(writer: Floats, stream: str, rotation: Rotation, output: str) -> None:
    """Undo the rotation factor by factor, which takes an eighth of the products that the whole matrix would."""
    n_outer, n_inner = len(rotation.outer), len(rotation.inner)
    grid = writer.node("Transpose", [writer.shaped(stream, (0, 0, n_outer, n_inner), "back.grid")], "back.inner_first", perm=[0, 1, 3, 2])
    half = writer.node("MatMul", [grid, writer.constant("back.outer", rotation.outer.T.astype(np.float32))], "back.half")
    whole = writer.node("MatMul", [writer.constant("back.inner", rotation.inner.astype(np.float32)), half], "back.whole")
    flat = writer.node("Transpose", [whole], "back.outer_first", perm=[0, 1, 3, 2])
    flat = writer.shaped(flat, (0, 0, n_outer * n_inner), "back.flat")
    writer.node("Mul", [flat, writer.constant("back.signs", rotation.signs.astype(np.float32))], output)


def _transposed(array: Array) -> Matrix:
    """A linear layer's weights as the second factor of a product."""
    return np.ascontiguousarray(array.T, np.float32)


def _past_names(layers: int) -> Iterator[tuple[int, str]]:
    """Each block's keys, then its values."""
    return ((number, part) for number in range(layers) for part in ("key", "value"))


def _model(writer: Floats, shape: Shape) -> onnx.ModelProto:
    """Inputs, outputs and nodes as a model."""
    tokens = ["batch_size", "sequence_length"]

    def past(prefix: str, length: str) -> list[Any]:
        sizes = ["batch_size", shape.key_value_heads, length, shape.head_size]
        return [helper.make_tensor_value_info(f"{prefix}.{n}.{part}", TensorProto.FLOAT, sizes) for n, part in _past_names(shape.layers)]

    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "position_ids")]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*tokens, shape.width])
    inputs += past("past_key_values", "past_sequence_length")
    outputs = [output, *past("present", "past_sequence_length + sequence_length")]
    graph = helper.make_graph(writer.nodes, "backbone", inputs, outputs, list(writer.tensors.values()))
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="alknet-firewall")
