"""Hidden states to features of segments (floor 1, numpy only).

A window is read in short segments, and each is described by two vectors: the mean hidden state of the segment itself,
and the mean over the window up to the segment's end. The first says where an attack is, the second what it stands in. A
decoder's states look only back, so neither depends on what follows, nor on padding.
"""

from __future__ import annotations

import numpy as np

from alknet_firewall.errors import ShapeError
from alknet_firewall.tensors import FloatArray, IntArray

POOLING = "segment_and_running_mean, wording"
"""Name in an artifact's config of this pooling, and of :mod:`alknet_firewall.wording` beside it."""


def segment_ends(n_tokens: int, segment: int) -> IntArray:
    """Ends of the segments that a window is cut into.

    Parameters
    ----------
    n_tokens : int
        Real tokens of the window, at least 1.
    segment : int
        Tokens of a segment. A remainder of at least half as many is a segment of its own, a shorter one goes to the last: so the last has
        from ``segment / 2`` up to ``1.5 * segment`` tokens. A short window is one segment.

    Returns
    -------
    ndarray of shape (n_segments,), int64
        Increasing; the last is `n_tokens`.
    """
    n_segments = max(1, (n_tokens + segment // 2) // segment)
    ends = np.arange(1, n_segments + 1, dtype=np.int64) * segment
    ends[-1] = n_tokens
    return ends


def segment_features(states: FloatArray, segment: int) -> FloatArray:
    """Features of the segments of one window.

    Parameters
    ----------
    states : ndarray of shape (n_tokens, hidden_size), float32
        Hidden states of the real tokens; padding is cut off by the caller.
    segment : int
        Tokens of a segment.

    Returns
    -------
    ndarray of shape (n_segments, 2 * hidden_size), float32
        Mean of the segment, then mean of all tokens up to its end.

    Raises
    ------
    ShapeError
        If there are no tokens.
    """
    if states.ndim != 2 or not len(states):
        raise ShapeError(f"States of shape {states.shape} cannot be pooled: need (n_tokens, hidden_size) with at least one token.")
    ends = segment_ends(len(states), segment)
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.add.reduceat(states, starts, axis=0, dtype=np.float64)
    own = sums / (ends - starts)[:, None]
    running = np.cumsum(sums, axis=0) / ends[:, None]
    return np.concatenate([own, running], axis=1).astype(np.float32)
