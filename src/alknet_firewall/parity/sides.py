"""The two sides of a comparison (floor 3; torch and transformers only inside functions).

The torch side shares no graph, no past and no quantisation with the artifact: it runs the prefix and the text in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.adapter import apply_adapter
from alknet_firewall.artifact import TOKENIZER_FILE
from alknet_firewall.detector import calibrated
from alknet_firewall.errors import ArtifactNotFoundError, InvalidInputError, missing_dependency
from alknet_firewall.firewall import Firewall
from alknet_firewall.integrity import file_sha256
from alknet_firewall.tensors import FloatArray, IntArray
from alknet_firewall.verdict import Origin
from alknet_firewall.windows import batches, window_starts


@dataclass(frozen=True)
class Side:
    """What one side computed for one origin: per window, in text order."""

    ids: list[IntArray]
    states: list[list[FloatArray]]
    features: list[list[FloatArray]]
    scores: FloatArray


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


def torch_side(firewall: Firewall, model: Any, weights: Path, texts: Sequence[str], origin: Origin) -> Side:
    """Everything by torch and transformers, window by window, in ragged batches padded on the right."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(weights / TOKENIZER_FILE), split_special_tokens=True)
    ids = [np.array(tokenizer(text, add_special_tokens=False)["input_ids"], np.int64) for text in texts]
    window = firewall.artifact.config.window
    windows = [
        (index, part[start : start + window.size])
        for index, part in enumerate(ids)
        for start in window_starts(len(part), window.size, window.stride)
    ]
    states: list[FloatArray] = [np.empty(0, np.float32)] * len(windows)
    prefix = np.array(firewall.artifact.config.prefixes[origin].ids, np.int64)
    for batch in batches([part for _, part in windows], 4):
        rows = torch_states(model, prefix, batch.ids, batch.mask)[-1]
        for row, index in zip(rows, batch.indices, strict=True):
            states[index] = row[: len(windows[index][1])]
    features = [firewall.reader.features(part, s, origin) for (_, part), s in zip(windows, states, strict=True)]
    return _side(firewall, origin, ids, [index for index, _ in windows], states, features)


def torch_states(model: Any, prefix: IntArray, ids: IntArray, mask: IntArray, layers: Sequence[int] = (-1,)) -> dict[int, FloatArray]:
    """Hidden states of a batch behind its prefix, computed in one go, at the layers asked for (0: embeddings, -1: the last)."""
    import torch

    rows = len(ids)
    full = np.concatenate([np.broadcast_to(prefix, (rows, len(prefix))), ids], axis=1)
    full_mask = np.concatenate([np.ones((rows, len(prefix)), np.int64), mask], axis=1)
    with torch.no_grad():
        inputs = {"input_ids": torch.from_numpy(full), "attention_mask": torch.from_numpy(full_mask)}
        output = model(**inputs, use_cache=False, output_hidden_states=True)
    return {layer: output.hidden_states[layer][:, len(prefix) :].numpy() for layer in layers}


def artifact_side(firewall: Firewall, texts: Sequence[str], origin: Origin) -> Side:
    """Everything by the artifact, in ragged batches."""
    owners: list[int] = []
    states: list[FloatArray] = []
    features: list[FloatArray] = []
    windows = [window for index, text in enumerate(texts) for window in firewall.reader.windows(index, text)]
    computed = {id(window): (window, row) for window, row in firewall.reader.hidden_states(windows, origin)}
    for window in windows:
        _, row = computed[id(window)]
        owners.append(window.text)
        states.append(row)
        features.append(firewall.reader.features(window.ids, row, origin))
    return _side(firewall, origin, [firewall.reader.tokenizer.encode(text).ids for text in texts], owners, states, features)


def _side(
    firewall: Firewall,
    origin: Origin,
    ids: list[IntArray],
    owners: list[int],
    states: list[FloatArray],
    features: list[FloatArray],
) -> Side:
    """Sort windows by text, and score."""
    by_text = [[i for i, owner in enumerate(owners) if owner == text] for text in range(len(ids))]
    calibration = firewall.artifact.config.calibration[origin]
    logits = [firewall.detectors[origin].logits(np.concatenate([features[i] for i in own])) for own in by_text]
    scores = [float(calibrated(own, len(own), calibration).max()) for own in logits]
    return Side(ids, [[states[i] for i in own] for own in by_text], [[features[i] for i in own] for own in by_text], np.array(scores))
