"""How to train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """Every number of a run.

    Attributes
    ----------
    layer : int
        Block to cut after.
    segment : int
        Tokens of a segment, as in the artifact.
    max_tokens : int
        Tokens of a text that are read at once, as the artifact's window.
    batch_tokens : int
        Tokens of a batch, padding included.
    samples, minutes : int, float
        The run ends with whichever comes first, and the learning rate falls to zero by then.
    rank : int
        Of the adapter's matrices.
    learning_rate, head_rate : float
        Largest learning rate of the adapter, and of the head that is trained along with it.
    data_share : float
        Share of the samples that come from labelled files of the caller's rather than from our own corpus, when there are both;
        with 0 they count like any other source.
    smoothing : float
        Labels are this far from 0 and 1.
    segment_weight : float
        How much the segments of a text whose injected part is known count beside the text as a whole.
    evaluate_every : int
        Samples between two looks at what is left out.
    patience : int
        Looks without a better figure after which the run ends.
    seed : int
    """

    layer: int = 7
    segment: int = 16
    max_tokens: int = 256
    batch_tokens: int = 3072
    samples: int = 100_000
    minutes: float = 120.0
    rank: int = 32
    learning_rate: float = 4e-4
    head_rate: float = 2e-3
    data_share: float = 0.25
    smoothing: float = 0.03
    segment_weight: float = 0.5
    evaluate_every: int = 10_000
    patience: int = 6
    seed: int = 0
