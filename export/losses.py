"""What the backbone's adapter and the perceptrons are trained with (torch, imported only inside functions)."""

from __future__ import annotations

from typing import Any

from alknet_firewall.bags import UNKNOWN


def smooth_maximum(values: Any, owners: Any, n_texts: int) -> Any:
    """Logits of texts, as bad as their worst segments: the logarithm of the sum of the exponentials of their segments' logits.

    Parameters
    ----------
    values : tensor of shape (n_segments,), float32
    owners : tensor of shape (n_segments,), int64
        Which text a segment belongs to, from 0; every text has one.
    n_texts : int

    Returns
    -------
    tensor of shape (n_texts,), float32
    """
    import torch

    largest = values.new_full((n_texts,), -torch.inf).scatter_reduce(0, owners, values.detach(), "amax")
    sums = values.new_zeros(n_texts).index_add(0, owners, torch.exp(values - largest[owners]))
    return torch.log(sums) + largest


def bag_loss(segments: Any, texts: Any, known: Any, labels: Any, segment_weight: float, smoothing: float) -> Any:
    """Cross-entropy of the texts, and of the segments whose label is known.

    Parameters
    ----------
    segments, texts : tensor, float32
        Their logits.
    known : tensor of shape (n_segments,), int64
        Label of a segment, or :data:`alknet_firewall.bags.UNKNOWN`.
    labels : tensor of shape (n_texts,), int64
    segment_weight : float
        How much the segments count beside the texts.
    smoothing : float
        Labels are this far from 0 and 1.

    Returns
    -------
    tensor of shape (), float32
    """
    told = (known != UNKNOWN).float()  # a factor, not a choice: a GPU need not be waited for to know how many there are
    of_segments = (told * _cross_entropies(segments, known, smoothing)).sum() / told.sum().clamp(min=1.0)
    return _cross_entropies(texts, labels, smoothing).mean() + segment_weight * of_segments


def _cross_entropies(logits: Any, labels: Any, smoothing: float) -> Any:
    """Binary cross-entropy of each, with labels moved away from 0 and 1."""
    import torch

    targets = smoothing + (1 - 2 * smoothing) * labels.float()
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
