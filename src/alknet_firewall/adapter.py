"""Low-rank adapters (floor 3; torch only through the model that is given): what fine-tuning changed, as one small file.

LoRA (Hu et al. 2021, arXiv 2106.09685, equation 3): a trained matrix is W + B A, with A of shape (rank, inputs) and B of shape
(outputs, rank). The scaling factor is folded into B.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.tensors import Array, load_tensors, save_tensors

DOWN, UP = ".lora_A", ".lora_B"


def apply_adapter(model: Any, path: Path) -> None:
    """Add an adapter to the weights of a torch model, in place and in fp32.

    Parameters
    ----------
    model : torch.nn.Module
        Its submodules have the names of the adapter's tensors.
    path : Path
        Safetensors file with ``NAME.lora_A`` and ``NAME.lora_B`` for every adapted ``NAME.weight``.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If a tensor has no partner of its rank, no matrix in the model, or another shape than it; the model is then as it was.
    """
    tensors = load_tensors(path)
    names = sorted({name.removesuffix(DOWN).removesuffix(UP) for name in tensors})
    modules = dict(model.named_modules())
    for name in names:
        if not _fits(tensors.get(name + DOWN), tensors.get(name + UP), modules.get(name)):
            raise ArtifactCorruptError(f"{path}: {name} does not fit the model. Use the adapter that was trained for it.")
    import torch

    for name in names:
        change = tensors[name + UP].astype(np.float64) @ tensors[name + DOWN].astype(np.float64)
        with torch.no_grad():
            modules[name].weight.add_(torch.from_numpy(change.astype(np.float32)))


def _fits(down: Array | None, up: Array | None, module: Any) -> bool:
    """Whether a pair is two matrices of one rank, and their product as large as the module's weight."""
    if down is None or up is None or not down.ndim == up.ndim == 2:
        return False
    weight = getattr(module, "weight", None)
    return weight is not None and up.shape[1] == len(down) and (len(up), down.shape[1]) == tuple(weight.shape)


def save_adapter(path: Path, pairs: dict[str, tuple[Array, Array]], scaling: float) -> None:
    """Write an adapter in half precision.

    Parameters
    ----------
    path : Path
        File to write.
    pairs : dict of str to (ndarray of shape (rank, inputs), ndarray of shape (outputs, rank))
        A and B of every adapted module, by its name.
    scaling : float
        Folded into B.
    """
    tensors: dict[str, Array] = {}
    for name, (down, up) in pairs.items():
        tensors[name + DOWN] = down.astype(np.float16)
        tensors[name + UP] = (up * scaling).astype(np.float16)
    save_tensors(path, tensors)


def mix_adapters(first: Path, second: Path, share: float, out: Path, rank: int | None = None, layer: int | None = None) -> None:
    """Write the adapter whose change lies between those of two others: ``(1 - share) * first + share * second``.

    A matrix trained further fits what it was trained on better and what it was not worse; between the two there is often a
    better one than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903, equation 1). The sum is
    exact and ranks add up, unless a smaller one is asked for.

    Parameters
    ----------
    first, second : Path
        Adapters of the same matrices.
    share : float
        Of `second`, in [0, 1].
    out : Path
        File to write.
    rank : int, optional
        Largest rank of the result, at least 1: the nearest matrices of that rank are written.
    layer : int, optional
        Block to cut both after, at least 1: what they say of later ones is left out.

    Raises
    ------
    InvalidInputError
        If `share` is outside [0, 1].
    ArtifactCorruptError
        If the two do not adapt the same matrices (of these blocks), or none.
    """
    if not 0.0 <= share <= 1.0:
        raise InvalidInputError(f"A share must lie in [0, 1], not at {share:g}.")
    a, b = (_blocks(load_tensors(path), layer) for path in (first, second))
    if a.keys() != b.keys() or not a:
        raise ArtifactCorruptError(
            f"{first} and {second} do not adapt the same matrices. Give two adapters of one model, cut after the same block."
        )
    names = sorted({name.removesuffix(DOWN) for name in a if name.endswith(DOWN)})
    parts = [(a, 1.0 - share), (b, share)]
    pairs = {
        name: (
            np.concatenate([tensors[name + DOWN] for tensors, _ in parts], axis=0),
            np.concatenate([weight * tensors[name + UP].astype(np.float32) for tensors, weight in parts], axis=1),
        )
        for name in names
    }
    if rank is not None:
        pairs = {name: _nearest(down, up, rank) for name, (down, up) in pairs.items()}
    save_adapter(out, pairs, 1.0)


def _blocks(tensors: dict[str, Array], layer: int | None) -> dict[str, Array]:
    """What is not of a block from `layer` on, or all."""
    block = re.compile(r"(?:^|\.)layers\.(\d+)\.")
    return {name: tensor for name, tensor in tensors.items() if layer is None or not (found := block.search(name)) or int(found[1]) < layer}


def _nearest(down: Array, up: Array, rank: int) -> tuple[Array, Array]:
    """The pair of at most that rank whose product is nearest to ``up @ down`` (Eckart and Young 1936), weight spread over both."""
    outer, left = np.linalg.qr(up.astype(np.float64))
    inner, right = np.linalg.qr(down.T.astype(np.float64))
    u, values, v = np.linalg.svd(left @ right.T)
    weight = np.sqrt(values[:rank])
    return (weight[:, None] * v[:rank]) @ inner.T, outer @ (u[:, :rank] * weight)
