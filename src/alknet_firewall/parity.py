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

from alknet_firewall.adapter import apply_adapter
from alknet_firewall.artifact import SELFTEST_FILE, TOKENIZER_FILE, file_sha256
from alknet_firewall.errors import ArtifactNotFoundError, InvalidInputError, missing_dependency
from alknet_firewall.firewall import Firewall
from alknet_firewall.pooling import segment_features
from alknet_firewall.selftest import load_selftest
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import ORIGINS, Origin
from alknet_firewall.windows import batches, window_starts

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
    score_largest_difference : float
        Over texts.
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


@dataclass(frozen=True)
class _Side:
    """What one side computed for one origin: per window, in text order."""

    ids: list[IntArray]
    states: list[list[FloatArray]]
    features: list[list[FloatArray]]
    scores: FloatArray


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
        (_torch_side(firewall, model, weights, chosen, origin), _artifact_side(firewall, chosen, origin), firewall.threshold(origin))
        for origin in ORIGINS
    ]
    return _compare(firewall, chosen, sides)


def parity_texts(firewall: Firewall) -> list[str]:
    """Real sentences of every awkward length: 1 token, around one window, and several windows.

    Parameters
    ----------
    firewall : Firewall
        Its tokenizer and window decide the lengths; its self-test gives the sentences.

    Returns
    -------
    list of str
    """
    sentences = [case.text for case in load_selftest(firewall.artifact.path(SELFTEST_FILE)).cases]
    size = firewall.artifact.config.window.size
    running = " ".join(sentences)
    while len(firewall.tokenizer.encode(running).ids) < 4 * size:
        running = f"{running}\n{running}"
    lengths = [1, 2, firewall.artifact.config.segment + 1, size - 1, size, size + 1, 2 * size + size // 3]
    return [*sentences, *(_cut_to(firewall, running, length) for length in lengths)]


def load_reference(firewall: Firewall, weights: Path, adapter: Path | None = None) -> Any:
    """The original weights in torch, cut at the artifact's layer, checked to be those it was built from."""
    try:
        import torch
        from transformers import AutoConfig, AutoModel
    except ImportError as err:
        raise missing_dependency("The parity check", err.name or "torch", "torch") from err
    base, encoder = firewall.artifact.config.base_model, firewall.artifact.config.encoder
    for name, expected in (("model.safetensors", base.weights_sha256), (TOKENIZER_FILE, base.tokenizer_sha256), ("config.json", None)):
        if not (weights / name).is_file():
            raise ArtifactNotFoundError(
                f"{weights / name} is missing. Make the folder with: python -m export weights SOURCE --out {weights}"
            )
        if expected is not None and file_sha256(weights / name) != expected:
            raise InvalidInputError(
                f"{weights / name} is not the file that {firewall.artifact.id} was built from ({base.id}, {base.revision})."
            )
    if (None if adapter is None else file_sha256(adapter)) != base.adapter_sha256:
        raise InvalidInputError(
            f"{firewall.artifact.id} was built {'without an' if base.adapter_sha256 is None else 'with another'} adapter. "
            f"Pass --adapter with the file whose sha256 is {base.adapter_sha256}, or none when that is None."
        )
    config = AutoConfig.from_pretrained(weights)
    config.num_hidden_layers = encoder.layer
    model = AutoModel.from_pretrained(weights, config=config, dtype=torch.float32)
    if not encoder.final_norm:
        model.norm = torch.nn.Identity()
    if adapter is not None:
        apply_adapter(model, adapter)
    return model.eval()


def _cut_to(firewall: Firewall, text: str, n_tokens: int) -> str:
    """A beginning of `text` that has exactly `n_tokens` tokens."""
    offsets = firewall.tokenizer.encode(text).offsets
    for end in offsets[max(0, n_tokens - 4) :, 1]:
        if len(firewall.tokenizer.encode(text[:end]).ids) == n_tokens:
            return text[:end]
    raise InvalidInputError(f"No beginning of the parity text has {n_tokens} tokens. Use other sentences in the self-test.")


def _torch_side(firewall: Firewall, model: Any, weights: Path, texts: Sequence[str], origin: Origin) -> _Side:
    """Everything by torch and transformers, window by window, in ragged batches padded on the right."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(weights / TOKENIZER_FILE), split_special_tokens=True)
    ids = [np.array(tokenizer(text, add_special_tokens=False)["input_ids"], np.int64) for text in texts]
    window, segment = firewall.artifact.config.window, firewall.artifact.config.segment
    windows = [
        (index, part[start : start + window.size])
        for index, part in enumerate(ids)
        for start in window_starts(len(part), window.size, window.stride)
    ]
    states: list[FloatArray] = [np.empty(0, np.float32)] * len(windows)
    prefix = np.array(firewall.artifact.config.prefixes[origin].ids, np.int64)
    for batch in batches([part for _, part in windows], 4):
        rows = _torch_states(model, prefix, batch.ids, batch.mask)
        for row, index in zip(rows, batch.indices, strict=True):
            states[index] = row[: len(windows[index][1])]
    return _side(firewall, ids, [index for index, _ in windows], states, [segment_features(s, segment) for s in states])


def _torch_states(model: Any, prefix: IntArray, ids: IntArray, mask: IntArray) -> FloatArray:
    """Hidden states of a batch behind its prefix, computed in one go."""
    import torch

    rows = len(ids)
    full = np.concatenate([np.broadcast_to(prefix, (rows, len(prefix))), ids], axis=1)
    full_mask = np.concatenate([np.ones((rows, len(prefix)), np.int64), mask], axis=1)
    with torch.no_grad():
        output = model(input_ids=torch.from_numpy(full), attention_mask=torch.from_numpy(full_mask), use_cache=False)
    states: FloatArray = output.last_hidden_state[:, len(prefix) :].numpy()
    return states


def _artifact_side(firewall: Firewall, texts: Sequence[str], origin: Origin) -> _Side:
    """Everything by the artifact, in ragged batches."""
    owners: list[int] = []
    states: list[FloatArray] = []
    features: list[FloatArray] = []
    windows = [window for index, text in enumerate(texts) for window in firewall.windows(index, text)]
    computed = {id(window): (window, row) for window, row in firewall.hidden_states(windows, origin)}
    for window in windows:
        _, row = computed[id(window)]
        owners.append(window.text)
        states.append(row)
        features.append(segment_features(row, firewall.artifact.config.segment))
    return _side(firewall, [firewall.tokenizer.encode(text).ids for text in texts], owners, states, features)


def _side(firewall: Firewall, ids: list[IntArray], owners: list[int], states: list[FloatArray], features: list[FloatArray]) -> _Side:
    """Sort windows by text, and score."""
    by_text = [[i for i, owner in enumerate(owners) if owner == text] for text in range(len(ids))]
    scores = [max(float(firewall.detector.score(features[i]).max()) for i in own) for own in by_text]
    return _Side(ids, [[states[i] for i in own] for own in by_text], [[features[i] for i in own] for own in by_text], np.array(scores))


def _compare(firewall: Firewall, texts: Sequence[str], sides: Sequence[tuple[_Side, _Side, float]]) -> ParityReport:
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
    alone = np.array([firewall.scan(text, origin).score for origin in ORIGINS for text in texts])
    figures: dict[str, Any] = {
        "precision": precision,
        "texts": len(texts),
        "windows": len(feature_pairs),
        "tokens": len(cosines),
        "ids_differ": sum(not np.array_equal(a, b) for s, o, _ in sides[:1] for a, b in zip(s.ids, o.ids, strict=True)),
        "hidden_mean_cosine": float(cosines.mean()),
        "hidden_worst_cosine": float(cosines.min()),
        "hidden_largest_difference": float(np.abs(reference - measured).max() / np.sqrt((reference**2).mean())),
        "feature_largest_difference": max(float((np.abs(a - b) / firewall.detector.scale).max()) for a, b in feature_pairs),
        "score_largest_difference": float(np.abs(expected - scores).max()),
        "batch_largest_difference": float(np.abs(alone - scores).max()),
        "flips": int((flipped & ~near).sum()),
        "near_flips": int((flipped & near).sum()),
    }
    return ParityReport(**figures, failures=gate_failures(precision, figures))


def gate_failures(precision: str, figures: dict[str, Any]) -> tuple[str, ...]:
    """The gates that do not hold. A figure that is not a number fails."""
    failures = []
    for name, (relation, limit) in GATES[precision].items():
        value = figures[name]
        holds = value <= limit if relation == "<=" else value >= limit
        if not holds:
            failures.append(f"{name} is {value:.6g}, must be {relation} {limit:g}")
    return tuple(failures)
