"""Labelled segments -> the perceptron of an origin's head, trained with torch, which is imported only inside functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from alknet_firewall.bags import Values, balanced
from alknet_firewall.perceptron import Perceptron
from alknet_firewall.tensors import FloatArray, IntArray, in_half_precision
from export.losses import bag_loss, smooth_maximum


@dataclass(frozen=True)
class PerceptronOptions:
    """How a perceptron is trained.

    Attributes
    ----------
    width, depth : int
        Hidden units of a layer, and hidden layers.
    epochs : float
        As many texts are drawn as this many times those there are.
    steps : int
        Of the optimiser, at least: with few texts, `epochs` alone would end before anything is learnt. Fitted on 433 texts
        of content, 34 steps gave ROC AUC 0.48 on left-out sources, 203 gave 0.93, 677 gave 0.90.
    texts : int
        Of a batch.
    rate : float
        Learning rate at its peak: it rises over the first steps and falls to 0 in a straight line.
    decay : float
        Weight decay (AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101).
    dropout, input_dropout : float
        Share of hidden units, and of coordinates, that are left out of each step.
    smoothing : float
        Labels are this far from 0 and 1.
    segment_weight : float
        How much the segments whose label is known count beside the texts.
    norm : float
        Length that coordinates have on average when they enter the first layer.
    rounding : float
        What rounding does to coordinates is added to them this many times while training, with either sign.
    seed : int
    """

    width: int = 256
    depth: int = 2
    epochs: float = 10.0
    steps: int = 200
    texts: int = 128
    rate: float = 1e-3
    decay: float = 0.1
    dropout: float = 0.3
    input_dropout: float = 0.1
    smoothing: float = 0.03
    segment_weight: float = 0.5
    norm: float = 16.0
    rounding: float = 30.0
    seed: int = 0


@dataclass(frozen=True)
class LabelledSegments:
    """What a perceptron is trained on.

    Attributes
    ----------
    coordinates : ndarray of shape (n_segments, n_components), float32
    texts : ndarray of shape (n_segments,), int64
        Which text a segment belongs to, from 0, increasing; every text has one.
    known : ndarray of shape (n_segments,), int64
        Label of a segment, or :data:`alknet_firewall.bags.UNKNOWN`.
    labels : ndarray of shape (n_texts,), int64
    weights : ndarray of shape (n_texts,), float64
        How often a text is drawn, relative to others of its label; both labels are drawn as often.
    """

    coordinates: FloatArray
    texts: IntArray
    known: IntArray
    labels: IntArray
    weights: Values


def fit_perceptron(data: LabelledSegments, options: PerceptronOptions | None = None, rounding: FloatArray | None = None) -> Perceptron:
    """Train a perceptron on coordinates of segments of labelled texts.

    A text is as bad as its worst stretch: its logit is the smooth maximum of its segments' (multiple-instance learning; Ramon and De Raedt
    2000, "Multi instance neural networks"). Segments are taught as well where their label is known: all those of harmless texts, and those
    of which the corpus says whether they carry the attack.

    Parameters
    ----------
    data : LabelledSegments
    options : PerceptronOptions, optional
    rounding : ndarray of shape (n_differences, n_components), float32, optional
        Coordinates by the graph that ships less those by an exact one. They are added while training, so that the perceptron does not
        listen where integers speak (Bishop 1995, "Training with noise is equivalent to Tikhonov regularization", Neural Computation 7).

    Returns
    -------
    Perceptron
        On coordinates as they are, in half precision.
    """
    import torch

    options = options or PerceptronOptions()
    size = float(np.linalg.norm(data.coordinates, axis=1).mean()) / options.norm
    known = np.where(data.labels[data.texts] == 0, 0, data.known)
    inputs, taught = torch.from_numpy(data.coordinates / size), torch.from_numpy(known)
    noise = None if rounding is None or not options.rounding else torch.from_numpy(options.rounding * rounding / size)
    starts = np.concatenate([[0], np.cumsum(np.bincount(data.texts, minlength=len(data.labels)))])
    chances = balanced(data.labels, data.weights) / len(data.labels)
    random = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    network = _network(data.coordinates.shape[1], options)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=options.decay)
    n_steps = max(options.steps, round(options.epochs * len(data.labels) / options.texts))
    for step in range(n_steps):
        drawn = random.choice(len(data.labels), options.texts, p=chances)
        segments = np.concatenate([np.arange(starts[text], starts[text + 1]) for text in drawn])
        owners = torch.from_numpy(np.repeat(np.arange(len(drawn)), starts[drawn + 1] - starts[drawn]))
        rows = inputs[segments]
        if noise is not None:
            signs = torch.from_numpy(random.choice(np.array([-1, 1], np.float32), (len(rows), 1)))
            rows = rows + signs * noise[random.integers(0, len(noise), len(rows))]
        logits, labels = network(rows)[:, 0], torch.from_numpy(data.labels[drawn])
        texts = smooth_maximum(logits, owners, len(drawn))
        loss = bag_loss(logits, texts, taught[segments], labels, options.segment_weight, options.smoothing)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / 50) * (1 - step / n_steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _on_coordinates(network, size)


def _network(n_inputs: int, options: PerceptronOptions) -> Any:
    """The layers, with dropout before each."""
    from torch.nn import Dropout, Linear, ReLU, Sequential

    layers: list[Any] = [Dropout(options.input_dropout)]
    for width in [n_inputs, *[options.width] * (options.depth - 1)]:
        layers += [Linear(width, options.width), ReLU(), Dropout(options.dropout)]
    return Sequential(*layers, Linear(options.width, 1))


def _on_coordinates(network: Any, size: float) -> Perceptron:
    """The trained layers, the first of which takes coordinates as they are."""
    layers = [module for module in network if hasattr(module, "weight")]
    weights = [layer.weight.detach().numpy() for layer in layers]
    weights[0] = weights[0] / size
    biases = [layer.bias.detach().numpy() for layer in layers]
    return Perceptron(tuple(map(in_half_precision, weights)), tuple(map(in_half_precision, biases)))
