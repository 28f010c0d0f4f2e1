"""The peers of the speed benchmarks as ONNX files: the shapes of other guards, of random weights, and the matrices of our own alone.

    .venv-export/bin/python benchmarks/peers.py

Needs the export environment. Writes into build/peers/, once; a file that is there stays. Random weights are as fast as trained ones.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.peer_transformers import INTERMEDIATE_SIZE  # noqa: E402

PEERS = ROOT / "build" / "peers"
EMBEDDED = ROOT / "src" / "alknet_firewall" / "models" / "small"
PEAK = "peak.onnx"

SHAPES: dict[str, dict[str, int]] = {
    "deberta-v3-xsmall": {"vocab_size": 128_100, "hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
    "mdeberta-v3-base": {"vocab_size": 251_000, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
}
"""Their ``config.json`` on the Hub. Prompt Guard 2 22M and 86M are classifiers of these shapes."""


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=PEERS, help="Folder to write to.  [default: build/peers]")
def main(out: Path) -> None:
    """Write what is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    for name, shape in SHAPES.items():
        plain, small = out / f"{name}-fp32.onnx", out / f"{name}-int8.onnx"
        if not plain.exists():
            export_deberta(shape, plain)
        if not small.exists():
            quantize(plain, small)
    if not (out / PEAK).exists():
        encoder = json.loads((EMBEDDED / "config.json").read_text(encoding="utf-8"))["encoder"]
        (out / PEAK).write_bytes(products(encoder["layer"], encoder["hidden_size"], encoder["key_value_heads"] * encoder["head_size"]))
    for path in sorted(out.iterdir()):
        click.echo(f"{path.stat().st_size:>13,} {path.name}")


def export_deberta(shape: dict[str, int], path: Path) -> None:
    """A DeBERTa-v3 classifier with disentangled attention, 12 blocks, in fp32."""
    import torch
    from optimum.exporters.onnx import export
    from optimum.exporters.onnx.model_configs import DebertaV2OnnxConfig
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    torch.manual_seed(0)
    attention = {"relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True}
    other = {"pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "max_relative_positions": -1, "type_vocab_size": 0}
    config = DebertaV2Config(num_hidden_layers=12, num_labels=2, layer_norm_eps=1e-7, **shape, **attention, **other)
    model = DebertaV2ForSequenceClassification(config).eval()
    export(model, DebertaV2OnnxConfig(config, task="text-classification"), path, opset=18)


def quantize(plain: Path, small: Path) -> None:
    """ONNX Runtime's own dynamic quantisation of all matrix multiplications."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=small.parent) as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_dynamic(prepared, small, per_channel=True, weight_type=QuantType.QInt8)


def products(layers: int, width: int, key_value_width: int) -> bytes:
    """Nothing but the integer products of our encoder: inputs are quantised already, and one number of each result is kept."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    outputs = {"q": width, "k": key_value_width, "v": key_value_width, "o": width, "gate": INTERMEDIATE_SIZE, "up": INTERMEDIATE_SIZE}
    shapes = {name: (width, n) for name, n in outputs.items()} | {"down": (INTERMEDIATE_SIZE, width)}
    tensors = [numpy_helper.from_array(np.array(128, np.uint8), "zero"), numpy_helper.from_array(np.zeros(1, np.int64), "first")]
    nodes: list[Any] = []
    kept = []
    for layer in range(layers):
        for name, shape in shapes.items():
            own = f"{layer}.{name}"
            tensors.append(numpy_helper.from_array(random.integers(-127, 128, shape).astype(np.int8), f"{own}.weight"))
            source = "wide" if name == "down" else "narrow"
            nodes.append(helper.make_node("MatMulInteger", [source, f"{own}.weight", "zero"], [own]))
            nodes.append(helper.make_node("Gather", [own, "first"], [f"{own}.row"], axis=0))
            nodes.append(helper.make_node("Gather", [f"{own}.row", "first"], [f"{own}.one"], axis=1))
            kept.append(f"{own}.one")
    nodes.append(helper.make_node("Concat", kept, ["kept"], axis=0))
    inputs = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["n", k]) for n, k in (("narrow", width), ("wide", INTERMEDIATE_SIZE))]
    graph = helper.make_graph(nodes, "products", inputs, [helper.make_tensor_value_info("kept", TensorProto.INT32, None)], tensors)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())


if __name__ == "__main__":
    main()
