"""Fold the norms' gains into the weights and rotate the residual stream.

Both leave the function of the network as it is, and make it easy to quantise: outliers that sit in a few channels are
spread over all of them. The method is QuaRot's (Ashkboos et al. 2024, arXiv 2404.00456, section 4): for an orthogonal
Q, a network that computes with x Q in place of x gives the same result when every matrix that reads the stream is
multiplied by Q and every one that writes it by Q^T, provided that the norms between have no gain of their own. RMSNorm
without gain commutes with Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """An orthogonal matrix as the product of its parts: the Kronecker product of `outer` and `inner`, its rows times `signs`.

    Attributes
    ----------
    outer : ndarray of shape (n_outer, n_outer), float64
    inner : ndarray of shape (n_inner, n_inner), float64
    signs : ndarray of shape (n_outer * n_inner,), float64
        1 or -1.
    """

    outer: Matrix
    inner: Matrix
    signs: Matrix

    @property
    def matrix(self) -> Matrix:
        """The whole matrix Q, of shape (n_outer * n_inner, n_outer * n_inner)."""
        return np.asarray(np.kron(self.outer, self.inner) * self.signs[:, None])


def flat_rotation(size: int) -> Rotation:
    """An orthogonal matrix with flat rows, the same everywhere: a Hadamard matrix times a discrete cosine transform.

    Parameters
    ----------
    size : int
        Written as ``2**k * m`` with m odd: the Hadamard part has order ``2**k``, the cosine part order m.

    Returns
    -------
    Rotation
        ``Q.T @ Q`` is the identity to about 1e-15. Signs of the rows alternate by a fixed quadratic pattern, so that a constant vector does
        not end up in one channel.
    """
    hadamard_order = size & -size
    hadamard = np.ones((1, 1))
    while len(hadamard) < hadamard_order:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]]) / np.sqrt(2.0)
    order = size // hadamard_order
    grid = np.arange(order)
    cosine = np.cos(np.pi * (2 * grid[None] + 1) * grid[:, None] / (2 * order)) * np.sqrt(2.0 / order)
    cosine[0] /= np.sqrt(2.0)
    index = np.arange(size)
    return Rotation(hadamard, cosine, np.where((index * index + 3 * index) // 4 % 2, 1.0, -1.0))


def fold_and_rotate(model: Any, rotation: Rotation | None = None) -> Rotation:
    """Change a Transformers ``LlamaModel`` in place so that its hidden states come out rotated.

    Parameters
    ----------
    model : LlamaModel
        Without a final norm (``model.norm`` is an identity).
    rotation : Rotation, optional
        By default :func:`flat_rotation` of its width.

    Returns
    -------
    Rotation
        Hidden states of the changed model are those of the original times its matrix.
    """
    import torch

    rotation = rotation or flat_rotation(model.config.hidden_size)
    q = torch.from_numpy(rotation.matrix)
    with torch.no_grad():
        model.embed_tokens.weight.copy_(model.embed_tokens.weight.double() @ q)
        for layer in model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            readers = (
                (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
            )
            for norm, projections in readers:
                for projection in projections:
                    projection.weight.copy_((projection.weight.double() * norm.weight.double()) @ q)
                norm.weight.fill_(1.0)
            for projection in (attention.o_proj, mlp.down_proj):
                projection.weight.copy_(q.T @ projection.weight.double())
    return rotation
