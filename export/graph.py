"""Weights -> an ONNX graph: the backbone cut at a layer, with past keys and values as inputs.

The graph that ships is written with fused operators (:mod:`export.fused`). optimum's export of the same model is what it must equal.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from alknet_firewall.adapter import apply_adapter
from export.fused import OPSET, Floats, Shape, write_graph
from export.quantize import Integers
from export.rotate import Rotation, fold_and_rotate

EXPORT_TOLERANCE = 1e-4
"""Most that our fp32 graph may differ from optimum's, relative to the largest value."""


def load_backbone(weights: Path, layer: int, adapter: Path | None = None) -> Any:
    """The first `layer` blocks of the language model, without final norm and head, in fp32.

    Parameters
    ----------
    weights : Path
        A weights folder.
    layer : int
        From 1 to the number of blocks; ``hidden_states[layer]`` comes out.
    adapter : Path, optional
        What fine-tuning changed; see :mod:`alknet_firewall.adapter`.

    Returns
    -------
    LlamaModel
        In evaluation mode.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(weights)
    if not 1 <= layer <= config.num_hidden_layers:
        raise ValueError(f"layer must be from 1 to {config.num_hidden_layers}, not {layer}.")
    config.num_hidden_layers = layer
    model = AutoModel.from_pretrained(weights, config=config, dtype=torch.float32)
    model.norm = torch.nn.Identity()
    if adapter is not None:
        apply_adapter(model, adapter)
    return model.eval()


def export_graph(weights: Path, layer: int, precision: str, adapter: Path | None = None) -> onnx.ModelProto:
    """Export the cut backbone.

    Parameters
    ----------
    weights : Path
        A weights folder.
    layer : int
        Where to cut.
    precision : {"fp32", "int8"}
        int8 rotates the residual stream and quantises (:mod:`export.quantize`).
    adapter : Path, optional
        What fine-tuning changed.

    Returns
    -------
    ModelProto
        The same bytes for the same inputs.

    Raises
    ------
    ValueError
        If the graph in fp32 does not compute what optimum's export of the same model computes.
    """
    model = load_backbone(weights, layer, adapter)
    reference = trace(model)
    rotation = fold_and_rotate(model) if precision == "int8" else None
    plain = write(model, Floats(), rotation)
    check_equal(plain, reference)
    graph = plain if precision == "fp32" else write(model, Integers(), rotation)
    onnx.helper.set_model_props(graph, {"layer": str(layer), "precision": precision})
    onnx.checker.check_model(graph)
    return graph


def write(model: Any, writer: Floats, rotation: Rotation | None = None) -> onnx.ModelProto:
    """The graph of a backbone that may have been rotated, in the writer's precision."""
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    return write_graph(Shape.of(model.config), weights, writer, rotation)


def trace(model: Any) -> onnx.ModelProto:
    """The same in fp32, as optimum exports it."""
    return simplify(_optimum_export(model))


def check_equal(graph: onnx.ModelProto, reference: onnx.ModelProto) -> None:
    """Compare states, keys and values of two graphs: two rows behind a past, one of them padded on the right.

    Raises
    ------
    ValueError
        If a value differs by more than :data:`EXPORT_TOLERANCE` of the largest one, where there is no padding.
    """
    feeds, mask = _check_feeds(reference)
    outputs, references = _run(graph, feeds), _run(reference, feeds)
    for name, expected in references.items():
        real = mask[:, -expected.shape[1] :, None] if name.startswith("last") else mask[:, None, :, None]
        found, wanted = (np.where(real, array, 0.0) for array in (outputs[name], expected))
        difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
        if not difference <= EXPORT_TOLERANCE:
            raise ValueError(f"{name} differs from optimum's export by {difference:.1e} of the largest value.")


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and drop what computes nothing, with ONNX Runtime's own portable (basic) optimisations.

    Done once here, it is not done at every start of a scan.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as scratch:
        options.optimized_model_filepath = str(Path(scratch) / "basic.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        simplified = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in simplified.graph.node}
    opsets = [opset for opset in simplified.opset_import if opset.domain in used | {""}]
    del simplified.opset_import[:]
    simplified.opset_import.extend(opsets)
    return simplified


def _run(model: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, Any]:
    """All outputs of a graph, given those of the feeds that it takes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {node.name for node in session.get_inputs()}
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: value for name, value in feeds.items() if name in taken}), strict=True))


def _check_feeds(reference: onnx.ModelProto) -> tuple[dict[str, Any], Any]:
    """Random inputs, and which tokens of past and present are real."""
    random = np.random.default_rng(0)
    n_past, lengths = 5, np.array([40, 23])
    ids = random.integers(100, 40_000, (len(lengths), lengths.max()))
    mask = np.arange(n_past + lengths.max())[None] < n_past + lengths[:, None]
    positions = np.broadcast_to(np.arange(n_past, n_past + lengths.max()), ids.shape)
    feeds = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "position_ids": positions}
    for node in reference.graph.input:
        if node.name.startswith("past"):
            heads, size = (node.type.tensor_type.shape.dim[axis].dim_value for axis in (1, 3))
            feeds[node.name] = random.normal(size=(len(lengths), heads, n_past, size)).astype(np.float32)
    return feeds, mask


def _optimum_export(model: Any) -> onnx.ModelProto:
    """optimum's export with every choice explicit; the numbers are compared with torch later, on real text, by the build."""
    from optimum.exporters.onnx import export
    from optimum.exporters.onnx.model_configs import LlamaOnnxConfig

    config = LlamaOnnxConfig(model.config, task="feature-extraction", use_past=True, use_past_in_inputs=True)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's guesses about shapes, and that there is a newer exporter
        path = Path(scratch) / "model.onnx"
        export(model, config, path, opset=OPSET)
        return onnx.load(path)
