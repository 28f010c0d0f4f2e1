"""Low-rank adapters (floor 3; torch only through the model that is given): what fine-tuning changed, as one small file.

LoRA (Hu et al. 2021, arXiv 2106.09685, equation 3): a trained matrix is W + B A, with A of shape (rank, inputs) and B of shape
(outputs, rank). The scaling factor is folded into B.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.errors import ArtifactCorruptError
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
        If a tensor has no partner, no matrix in the model, or another shape than it.
    """
    import torch

    tensors = load_tensors(path)
    names = sorted({name.removesuffix(DOWN).removesuffix(UP) for name in tensors})
    modules = dict(model.named_modules())
    for name in names:
        down, up = tensors.get(name + DOWN), tensors.get(name + UP)
        if down is None or up is None or name not in modules or (len(up), down.shape[1]) != tuple(modules[name].weight.shape):
            raise ArtifactCorruptError(f"{path}: {name} does not fit the model. Use the adapter that was trained for it.")
        change = up.astype(np.float64) @ down.astype(np.float64)
        with torch.no_grad():
            modules[name].weight.add_(torch.from_numpy(change.astype(np.float32)))


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
