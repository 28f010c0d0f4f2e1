"""Token ids to overlapping windows and padded batches (floor 1, numpy only).

Nothing is truncated: every token of a text lies in at least one window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alknet_firewall.errors import ShapeError
from alknet_firewall.tensors import IntArray


@dataclass(frozen=True)
class Batch:
    """Windows padded on the right to one length.

    Attributes
    ----------
    indices : tuple of int
        Position of each row in the sequence that was batched.
    ids : ndarray of shape (n_windows, n_tokens), int64
        Token ids; 0 where padded.
    mask : ndarray of shape (n_windows, n_tokens), int64
        1 for a real token, 0 for padding.
    """

    indices: tuple[int, ...]
    ids: IntArray
    mask: IntArray


def window_starts(n_tokens: int, size: int, stride: int) -> list[int]:
    """Starts of the windows that cover a text.

    Every window but the only one of a short text is full: the last is moved back to end with the text, so that no window judges
    a few left-over tokens without their context.

    Parameters
    ----------
    n_tokens : int
        At least 1.
    size : int
        Tokens of a window.
    stride : int
        Tokens between the starts of two windows; at most `size`.

    Returns
    -------
    list of int
        Strictly increasing, the first 0.

    Raises
    ------
    ShapeError
        If the numbers do not allow a cover.
    """
    if n_tokens < 1 or not 1 <= stride <= size:
        raise ShapeError(f"Cannot cover {n_tokens} tokens with windows of {size} every {stride}: need 1 <= stride <= size.")
    if n_tokens <= size:
        return [0]
    return [*range(0, n_tokens - size, stride), n_tokens - size]


def batches(windows: Sequence[IntArray], batch_size: int) -> Iterator[Batch]:
    """Group windows of similar length and pad each group on the right.

    A group holds lengths within a factor of about 1.5, so at most a third of what is computed is padding.

    Parameters
    ----------
    windows : sequence of ndarray of shape (n_tokens,), int64
        At least one token each.
    batch_size : int
        Most windows in a batch, at least 1.

    Yields
    ------
    Batch
        Each window is in exactly one batch.
    """
    order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
    group: list[int] = []
    for index in order:
        if group and (len(group) == batch_size or len(windows[index]) > 1.5 * len(windows[group[0]]) + 8):
            yield _pad(windows, group)
            group = []
        group.append(index)
    if group:
        yield _pad(windows, group)


def _pad(windows: Sequence[IntArray], indices: Sequence[int]) -> Batch:
    """One batch of the windows at `indices`."""
    longest = max(len(windows[i]) for i in indices)
    ids = np.zeros((len(indices), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, index in enumerate(indices):
        ids[row, : len(windows[index])] = windows[index]
        mask[row, : len(windows[index])] = 1
    return Batch(tuple(indices), ids, mask)
