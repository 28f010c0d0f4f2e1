"""Adapters: what lies between two of them."""

import numpy as np
import pytest

from alknet_firewall.adapter import DOWN, UP, apply_adapter, mix_adapters, save_adapter
from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.tensors import load_tensors, save_tensors


def write(path, rank, seed, name="layer"):
    rng = np.random.default_rng(seed)
    save_adapter(path, {name: (rng.normal(size=(rank, 6)), rng.normal(size=(5, rank)))}, 1.0)
    return path


def change(path):
    tensors = {name: tensor.astype(np.float64) for name, tensor in load_tensors(path).items()}
    return tensors["layer" + UP] @ tensors["layer" + DOWN]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_change_of_a_mixture_lies_between_those_of_both_whatever_their_ranks(share, tmp_path):
    first, second, out = write(tmp_path / "a", 2, 1), write(tmp_path / "b", 3, 2), tmp_path / "out"
    mix_adapters(first, second, share, out)
    np.testing.assert_allclose(change(out), (1 - share) * change(first) + share * change(second), atol=1e-2)
    assert load_tensors(out)["layer" + DOWN].shape == (5, 6)


def test_a_smaller_rank_gives_the_nearest_change_of_that_rank(tmp_path):
    first, second = write(tmp_path / "a", 2, 1), write(tmp_path / "b", 3, 2)
    mix_adapters(first, second, 0.4, tmp_path / "whole")
    mix_adapters(first, second, 0.4, tmp_path / "out", rank=3)
    assert load_tensors(tmp_path / "out")["layer" + DOWN].shape == (3, 6)
    values = np.linalg.svd(change(tmp_path / "whole"), compute_uv=False)
    off = np.linalg.norm(change(tmp_path / "out") - change(tmp_path / "whole"))
    np.testing.assert_allclose(off, np.linalg.norm(values[3:]), rtol=0.02)
    mix_adapters(first, second, 0.4, tmp_path / "full", rank=9)
    np.testing.assert_allclose(change(tmp_path / "full"), change(tmp_path / "whole"), atol=2e-2)


def test_adapters_of_other_matrices_are_refused(tmp_path):
    with pytest.raises(ArtifactCorruptError, match="same matrices"):
        mix_adapters(write(tmp_path / "a", 2, 1), write(tmp_path / "b", 2, 1, "other"), 0.5, tmp_path / "out")


def test_a_deeper_adapter_may_be_cut_to_the_blocks_of_the_other(tmp_path):
    pairs = {f"layers.{k}.mlp": (np.full((1, 2), k + 1.0), np.ones((3, 1))) for k in range(11)}
    save_adapter(tmp_path / "deep", pairs, 1.0)
    save_adapter(tmp_path / "shallow", {name: pairs[name] for name in ("layers.0.mlp", "layers.1.mlp")}, 1.0)
    with pytest.raises(ArtifactCorruptError, match="same block"):
        mix_adapters(tmp_path / "deep", tmp_path / "shallow", 0.5, tmp_path / "out")
    mix_adapters(tmp_path / "deep", tmp_path / "shallow", 0.5, tmp_path / "out", layer=2)
    mixed = load_tensors(tmp_path / "out")
    assert {name.removesuffix(DOWN).removesuffix(UP) for name in mixed} == {"layers.0.mlp", "layers.1.mlp"}
    np.testing.assert_array_equal(mixed["layers.1.mlp" + UP] @ mixed["layers.1.mlp" + DOWN], np.full((3, 2), 2.0))


class Model:
    """As much of a model as the check of an adapter looks at: one matrix of 5 by 6."""

    weight = np.zeros((5, 6))

    def named_modules(self):
        return [("layer", self), ("bare", object())]


@pytest.mark.parametrize(
    ("name", "down", "up"),
    [("layer", (2, 6), (5, 3)), ("layer", (2, 7), (5, 2)), ("layer", (6,), (5, 2)), ("other", (2, 6), (5, 2)), ("bare", (2, 6), (5, 2))],
)
def test_a_pair_that_does_not_fit_the_model_is_named(name, down, up, tmp_path):
    save_tensors(tmp_path / "a", {name + DOWN: np.zeros(down), name + UP: np.zeros(up)})
    with pytest.raises(ArtifactCorruptError, match=f"{name} does not fit the model"):
        apply_adapter(Model(), tmp_path / "a")


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_a_share(share, tmp_path):
    path = write(tmp_path / "a", 2, 1)
    with pytest.raises(InvalidInputError, match="share"):
        mix_adapters(path, path, share, tmp_path / "out")
