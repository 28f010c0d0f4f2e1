"""The exported graph: same bytes, same function, in fp32 and after rotation and quantisation."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.offline_world

LAYER = 2
SENTENCES = ("The ferry leaves at nine and again at noon.", "def f(x):\n    return x + 1", "火曜日までに返信してください。🙂")


@pytest.fixture(scope="module")
def graphs(weights, tmp_path_factory):
    from export.graph import export_graph

    folder = tmp_path_factory.mktemp("graphs")
    for precision in ("fp32", "int8"):
        (folder / f"{precision}.onnx").write_bytes(export_graph(weights, LAYER, precision).SerializeToString(deterministic=True))
    return folder


@pytest.fixture(scope="module")
def token_ids(weights):
    from alknet_firewall.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(weights / "tokenizer.json")
    return [tokenizer.encode(sentence).ids for sentence in SENTENCES]


def reference_states(model, ids):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.from_numpy(ids)[None], use_cache=False).last_hidden_state[0].numpy()


def onnx_states(path, ids):
    from alknet_firewall.encoder import Encoder, Past

    empty = np.zeros((LAYER, 3, 0, 64), np.float32)
    return Encoder(path, threads=1).hidden_states(ids[None], np.ones_like(ids)[None], Past(empty, empty))[0]


def test_another_process_builds_the_same_bytes(weights, graphs):
    script = (
        "import sys, hashlib; from pathlib import Path; from export.graph import export_graph;"
        f"print(hashlib.sha256(export_graph(Path(sys.argv[1]), {LAYER}, 'int8').SerializeToString(deterministic=True)).hexdigest())"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(weights)]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    assert other == hashlib.sha256((graphs / "int8.onnx").read_bytes()).hexdigest()


def test_fp32_graph_is_hidden_states_of_the_layer_without_norm(weights, graphs, token_ids):
    import torch
    from transformers import AutoModel

    whole = AutoModel.from_pretrained(weights, dtype=torch.float32).eval()
    for ids in token_ids:
        with torch.no_grad():
            states = whole(input_ids=torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states[LAYER][0].numpy()
        difference = np.abs(onnx_states(graphs / "fp32.onnx", ids) - states).max()
        assert difference <= 1e-4 * np.abs(states).max()


def test_int8_graph_keeps_the_direction_of_every_state(weights, graphs, token_ids):
    from export.graph import load_backbone

    model = load_backbone(weights, LAYER)
    for ids in token_ids:
        expected, found = reference_states(model, ids), onnx_states(graphs / "int8.onnx", ids)
        cosine = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
        assert cosine.min() > 0.98


def test_int8_graph_runs_every_weight_matrix_on_integers(graphs):
    import onnx

    model = onnx.load(graphs / "int8.onnx")
    floats = {t.name: list(t.dims) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2}
    large = {name: dims for name, dims in floats.items() if min(dims) > 1 and not name.startswith("rotary")}
    assert large == {"back.outer": [64, 64], "back.inner": [9, 9]}  # what turns the output back
    integers = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and not t.name.startswith("table")]
    assert len(integers) == LAYER * (6 + 12)
    assert max(int(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max()) for t in integers) <= 127


def test_integer_products_have_a_place_for_the_zero_point_of_weights(graphs):
    """Without it ONNX Runtime 1.25 to 1.29 end the process while they load the graph with ``session.x64quantprecision``."""
    import onnx

    products = [node for node in onnx.load(graphs / "int8.onnx").graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == LAYER * (6 + 12)
    assert {(len(node.input), node.input[-1]) for node in products} == {(6, "")}


def test_a_row_of_a_batch_does_not_change_its_neighbours(graphs, token_ids):
    from alknet_firewall.encoder import Encoder, Past

    empty = np.zeros((LAYER, 3, 0, 64), np.float32)
    encoder = Encoder(graphs / "int8.onnx", threads=1)
    short, long = token_ids[0], np.concatenate([token_ids[1]] * 6)
    ids, mask = np.zeros((2, len(long)), np.int64), np.zeros((2, len(long)), np.int64)
    ids[0, : len(short)], ids[1], mask[0, : len(short)], mask[1] = short, long, 1, 1
    together = encoder.hidden_states(ids, mask, Past(empty, empty))[0, : len(short)]
    alone = encoder.hidden_states(short[None], np.ones_like(short)[None], Past(empty, empty))[0]
    assert np.abs(together - alone).max() <= 1e-2 * np.abs(alone).std()


def test_a_graph_that_is_not_what_optimum_exports_is_refused(weights):
    from dataclasses import replace

    from export.fused import Floats, Shape, write_graph
    from export.graph import check_equal, load_backbone, trace, write

    model = load_backbone(weights, 1)
    reference, state = trace(model), {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    check_equal(write(model, Floats()), reference)
    for change in ({"theta": 1e4}, {"epsilon": 1e-3}):
        with pytest.raises(ValueError, match="differs from optimum's export"):
            check_equal(write_graph(replace(Shape.of(model.config), **change), state, Floats()), reference)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_states_behind_the_keys_of_what_came_before_are_those_of_the_whole(precision, graphs, token_ids):
    from alknet_firewall.encoder import Encoder, Past

    encoder, ids = Encoder(graphs / f"{precision}.onnx", threads=1), np.concatenate(token_ids)
    empty = Past(*(np.zeros((LAYER, 3, 0, 64), np.float32),) * 2)
    whole = encoder.hidden_states(ids[None], np.ones_like(ids)[None], empty)[0]
    rest = ids[13:]
    behind = encoder.hidden_states(rest[None], np.ones_like(rest)[None], encoder.past_of(ids[:13], empty))[0]
    assert np.abs(behind - whole[13:]).max() <= {"fp32": 1e-5, "int8": 1e-2}[precision] * np.abs(whole).max()


def test_a_position_that_the_tables_do_not_reach_is_an_error(graphs):
    from alknet_firewall import ShapeError
    from alknet_firewall.encoder import Encoder, Past
    from export.fused import POSITIONS

    encoder = Encoder(graphs / "int8.onnx", threads=1)
    ids, mask = np.full((1, 3), 100), np.ones((1, 3), np.int64)
    pasts = [Past(*(np.zeros((LAYER, 3, n, 64), np.float32),) * 2) for n in (POSITIONS - 3, POSITIONS - 2)]
    assert np.isfinite(encoder.hidden_states(ids, mask, pasts[0])).all()
    with pytest.raises(ShapeError):
        encoder.hidden_states(ids, mask, pasts[1])


def test_the_graph_has_no_node_whose_output_nothing_reads(graphs):
    import onnx

    graph = onnx.load(graphs / "int8.onnx").graph
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert [node.name for node in graph.node if not read & set(node.output)] == []
    assert {tensor.name for tensor in graph.initializer} <= read


def test_rotation_is_orthogonal_and_changes_nothing(weights, token_ids):
    from export.graph import load_backbone
    from export.rotate import flat_rotation, fold_and_rotate

    matrix = flat_rotation(576).matrix
    assert np.abs(matrix.T @ matrix - np.eye(576)).max() < 1e-12
    assert np.abs(matrix).max() < 0.1
    model, rotated = load_backbone(weights, LAYER), load_backbone(weights, LAYER)
    fold_and_rotate(rotated)
    for ids in token_ids:
        expected = reference_states(model, ids)
        assert np.abs(reference_states(rotated, ids) @ matrix.T - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_layer_that_the_model_does_not_have_is_refused(weights):
    from export.graph import load_backbone

    with pytest.raises(ValueError, match="from 1 to 30"):
        load_backbone(weights, 31)


def test_the_probe_of_integer_kernels_is_one_product():
    from onnx import TensorProto, helper

    from alknet_firewall import sessions

    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("a", TensorProto.UINT8), ("b", TensorProto.INT8))]
    output = helper.make_tensor_value_info("c", TensorProto.INT32, None)
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["c"])], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    assert model.SerializeToString(deterministic=True) == sessions._PRODUCT
