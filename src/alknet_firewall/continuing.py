"""A sequence that goes on where it was left (floor 2): each token is computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alknet_firewall.encoder import OUTPUT, Before, Encoder
from alknet_firewall.tensors import FloatArray, IntArray


@dataclass(frozen=True)
class Kept:
    """Keys and values of one sequence so far, as the graph gave them.

    Attributes
    ----------
    n_tokens : int
        How many tokens it stands for, those before the sequence included.
    arrays : dict of str to ndarray of shape (1, n_key_value_heads, n_tokens, head_size), float32
        By the names of the graph's inputs.
    """

    n_tokens: int
    arrays: dict[str, FloatArray]

    def inputs(self, n_rows: int) -> dict[str, FloatArray]:
        """The graph's past inputs, for the one row that there is."""
        assert n_rows == 1  # noqa: S101 - a promise of this module, no input of a caller's
        return self.arrays


def extend(encoder: Encoder, ids: IntArray, before: Before) -> tuple[FloatArray, Kept]:
    """Hidden states of the next tokens of a sequence.

    Parameters
    ----------
    encoder : Encoder
    ids : ndarray of shape (n_tokens,), int64
        At least one.
    before : Before
        All tokens before them.

    Returns
    -------
    states : ndarray of shape (n_tokens, hidden_size), float32
    kept : Kept
        What the tokens after these continue.
    """
    inputs = list(before.inputs(1))
    outputs = [name.replace("past_key_values", "present") for name in inputs]
    states, *present = encoder.run([OUTPUT, *outputs], ids[None], np.ones_like(ids[None]), before)
    return states[0], Kept(before.n_tokens + len(ids), dict(zip(inputs, present, strict=True)))
