"""Does the artifact still say what torch says? (floor 3; torch and transformers only inside functions)

The same texts go through the original weights in torch, fp32, and through the artifact, over the whole path: token ids,
hidden states, features, scores, verdicts. The torch side shares no graph, no past and no quantisation with the
artifact: it runs the prefix and the text in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.detector import probabilities
from alknet_firewall.firewall import Firewall
from alknet_firewall.parity.sides import Side, artifact_side, load_reference, torch_side
from alknet_firewall.parity.texts import parity_texts
from alknet_firewall.verdict import ORIGINS, Origin

FLIP_MARGIN = {"fp32": 1e-4, "int8": 0.02}
"""A verdict may differ only when the torch score is this close to the threshold."""

GATES: dict[str, dict[str, tuple[str, float]]] = {
    "fp32": {
        "hidden_largest_difference": ("<=", 1e-3),
        "score_largest_difference": ("<=", 1e-4),
        "flips": ("<=", 0),
        "ids_differ": ("<=", 0),
    },
    "int8": {
        "hidden_mean_cosine": (">=", 0.995),
        "hidden_worst_cosine": (">=", 0.98),
        "score_largest_difference": ("<=", 0.02),
        "flips": ("<=", 0),
        "ids_differ": ("<=", 0),
    },
}
"""What must hold, for each precision of the graph."""


@dataclass(frozen=True)
class ParityReport:
    """What was compared, and how far apart the two were.

    Attributes
    ----------
    precision : {"fp32", "int8"}
    texts, windows, tokens : int
        How much was compared; each text as both origins.
    ids_differ : int
        Texts whose token ids differ.
    hidden_mean_cosine, hidden_worst_cosine : float
        Cosine between the hidden states of a token, over all tokens.
    hidden_largest_difference : float
        Largest absolute difference of hidden states, divided by their root mean square in torch.
    feature_largest_difference : float
        Largest absolute difference of standardised features, in standard deviations.
    score_largest_difference, probability_largest_difference : float
        Over texts. Probabilities are steeper than scores and have no gate of their own.
    batch_largest_difference : float
        Largest difference between a text's score alone and in a ragged batch, within the artifact.
    flips : int
        Verdicts that differ although the torch score is further from the threshold than the margin.
    near_flips : int
        Verdicts that differ within the margin.
    failures : tuple of str
        Gates that do not hold, in words.
    """

    precision: str
    texts: int
    windows: int
    tokens: int
    ids_differ: int
    hidden_mean_cosine: float
    hidden_worst_cosine: float
    hidden_largest_difference: float
    feature_largest_difference: float
    score_largest_difference: float
    probability_largest_difference: float
    batch_largest_difference: float
    flips: int
    near_flips: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return {**asdict(self), "failures": list(self.failures), "passed": self.passed}


def check_parity(firewall: Firewall, weights: Path, adapter: Path | None = None, texts: Sequence[str] | None = None) -> ParityReport:
    """Compare an artifact with torch.

    Parameters
    ----------
    firewall : Firewall
        The loaded artifact.
    weights : Path
        Folder with the ``model.safetensors``, ``config.json`` and ``tokenizer.json`` it was built from.
    adapter : Path, optional
        What fine-tuning changed; needed when the artifact was built with one.
    texts : sequence of str, optional
        By default :func:`parity_texts`.

    Returns
    -------
    ParityReport

    Raises
    ------
    MissingDependencyError
        If torch or transformers is not installed.
    ArtifactNotFoundError
        If the folder lacks a file.
    InvalidInputError
        If the weights are not those the artifact was built from.
    """
    model = load_reference(firewall, weights, adapter)
    chosen = list(parity_texts(firewall) if texts is None else texts)
    sides = [
        (torch_side(firewall, model, weights, chosen, origin), artifact_side(firewall, chosen, origin), firewall.threshold(origin))
        for origin in ORIGINS
    ]
    return _compare(firewall, chosen, sides)


def _compare(firewall: Firewall, texts: Sequence[str], sides: Sequence[tuple[Side, Side, float]]) -> ParityReport:
    """Both sides of both origins, in one report."""
    precision = firewall.artifact.config.encoder.precision
    reference = np.concatenate([w for torch_side, _, _ in sides for t in torch_side.states for w in t]).astype(np.float64)
    measured = np.concatenate([w for _, onnx_side, _ in sides for t in onnx_side.states for w in t]).astype(np.float64)
    cosines = (reference * measured).sum(1) / (np.linalg.norm(reference, axis=1) * np.linalg.norm(measured, axis=1))
    expected, scores, limits = (
        np.concatenate([s.scores for s, _, _ in sides]),
        np.concatenate([s.scores for _, s, _ in sides]),
        np.repeat([limit for _, _, limit in sides], len(texts)),
    )
    flipped = (expected >= limits) != (scores >= limits)
    near = np.abs(expected - limits) <= FLIP_MARGIN[precision]
    feature_pairs = [
        (a, b) for s, o, _ in sides for ta, tb in zip(s.features, o.features, strict=True) for a, b in zip(ta, tb, strict=True)
    ]
    scale = firewall.detectors[ORIGINS[0]].scale  # which all heads share
    alone = np.array([firewall.scan(text, origin, with_views=False).score for origin in ORIGINS for text in texts])
    figures: dict[str, Any] = {
        "precision": precision,
        "texts": len(texts),
        "windows": len(feature_pairs),
        "tokens": len(cosines),
        "ids_differ": sum(not np.array_equal(a, b) for s, o, _ in sides[:1] for a, b in zip(s.ids, o.ids, strict=True)),
        "hidden_mean_cosine": float(cosines.mean()),
        "hidden_worst_cosine": float(cosines.min()),
        "hidden_largest_difference": float(np.abs(reference - measured).max() / np.sqrt((reference**2).mean())),
        "feature_largest_difference": max(float((np.abs(a - b) / scale).max()) for a, b in feature_pairs),
        "score_largest_difference": float(np.abs(expected - scores).max()),
        "probability_largest_difference": max(
            _probability_difference(firewall, origin, torch_side, onnx_side)
            for origin, (torch_side, onnx_side, _) in zip(ORIGINS, sides, strict=True)
        ),
        "batch_largest_difference": float(np.abs(alone - scores).max()),
        "flips": int((flipped & ~near).sum()),
        "near_flips": int((flipped & near).sum()),
    }
    return ParityReport(**figures, failures=gate_failures(precision, figures))


def _probability_difference(firewall: Firewall, origin: Origin, reference: Side, measured: Side) -> float:
    """Largest difference of the probabilities of texts of an origin."""
    calibration = firewall.artifact.config.calibration[origin]
    expected, found = (probabilities(side.scores.astype(np.float64), calibration) for side in (reference, measured))
    return float(np.abs(expected - found).max())


def gate_failures(precision: str, figures: dict[str, Any]) -> tuple[str, ...]:
    """The gates that do not hold. A figure that is not a number fails."""
    failures = []
    for name, (relation, limit) in GATES[precision].items():
        value = figures[name]
        holds = value <= limit if relation == "<=" else value >= limit
        if not holds:
            failures.append(f"{name} is {value:.6g}, must be {relation} {limit:g}")
    return tuple(failures)
