"""Weights -> an ONNX graph: the backbone cut at a layer, exported by optimum with past keys and values as inputs."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx

from alknet_firewall.adapter import apply_adapter
from export.quantize import quantize
from export.rotate import fold_and_rotate

OPSET = 18
IR_VERSION = 9
"""Read by ONNX Runtime 1.17 and later."""


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
        int8 rotates the residual stream and rewrites the graph (:mod:`export.quantize`).
    adapter : Path, optional
        What fine-tuning changed.

    Returns
    -------
    ModelProto
        The same bytes for the same inputs.
    """
    graph = trace(weights, layer, adapter, rotated=precision == "int8")
    if precision == "int8":
        graph = quantize(graph)
    for axis, name in enumerate(("batch_size", "sequence_length")):  # the tracer writes down the lengths it was shown
        graph.graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name
    graph.ir_version = IR_VERSION
    graph.producer_name, graph.producer_version = "alknet-firewall", ""
    onnx.helper.set_model_props(graph, {"layer": str(layer), "precision": precision})
    onnx.checker.check_model(graph)
    return graph


def trace(weights: Path, layer: int, adapter: Path | None = None, *, rotated: bool) -> onnx.ModelProto:
    """The cut backbone as an fp32 graph, with the residual stream as it is or rotated."""
    model = load_backbone(weights, layer, adapter)
    if rotated:
        _rotate(model)
    return simplify(_optimum_export(model))


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


def _rotate(model: Any) -> None:
    """Rotate the residual stream, and turn it back at the very end, so that the output is in the base model's own basis."""
    import torch

    matrix = fold_and_rotate(model)
    size = model.config.hidden_size
    back = torch.nn.Linear(size, size, bias=False)
    with torch.no_grad():
        back.weight.copy_(torch.from_numpy(matrix))
    model.norm = back


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
