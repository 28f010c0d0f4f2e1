"""The backbone with a trainable adapter, and the head that is trained along with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.adapter import DOWN, UP, save_adapter
from alknet_firewall.pooling import segment_ends
from alknet_firewall.tensors import Array, load_tensors
from export.graph import load_backbone
from export.losses import bag_loss, smooth_maximum
from export.train.options import TrainOptions
from export.train.samples import Sample

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def halves_fast(device: Any) -> bool:
    """Whether products in bf16 are faster than in fp32 there: without AVX-512 PyTorch emulates them, at a thirtieth of the speed."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return "AVX512" in str(torch.backends.cpu.get_cpu_capability())


class Model:
    """Backbone, adapter and head: samples to logits of segments and texts."""

    def __init__(self, weights: Path, options: TrainOptions, start: Path | None = None) -> None:
        """Load the backbone and put an adapter beside every linear layer: a new one, or one that was trained before."""
        import torch
        from peft import LoraConfig, get_peft_model

        self.options, self.device = options, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.halved = halves_fast(self.device)
        backbone = load_backbone(weights, options.layer)
        # On a CPU the fused kernel's backward pass takes longer than all of eager attention.
        backbone.set_attn_implementation("eager" if self.device.type == "cpu" else "sdpa")
        config = LoraConfig(r=options.rank, lora_alpha=options.rank, lora_dropout=0.0, target_modules=list(TARGETS))
        self.backbone = get_peft_model(backbone, config)
        if start is not None:
            _start_from(self.backbone, start)
        self.backbone.to(self.device)
        self.head = torch.nn.Linear(2 * backbone.config.hidden_size, 1, device=self.device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.mean, self.scale = torch.zeros(1, device=self.device), torch.ones(1, device=self.device)

    def calibrate(self, samples: Sequence[Sample]) -> None:
        """Take mean and scale of the features as they are now: the head sees them standardised."""
        import torch

        with torch.no_grad():
            features, _ = self.features(samples)
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-3

    def parameters(self) -> dict[str, Any]:
        """Everything that is trained, by name."""
        named = {name: p for name, p in self.backbone.named_parameters() if p.requires_grad}
        return {**named, "head.weight": self.head.weight, "head.bias": self.head.bias}

    def features(self, batch: Sequence[Sample]) -> tuple[Any, Any]:
        """Segment features of a batch (as in alknet_firewall.pooling, differentiable) and the text that each belongs to.

        A text is padded after its end, and the states of a decoder look only back: no mask is needed for what stands there.
        """
        import torch

        ids = np.zeros((len(batch), max(len(sample.ids) for sample in batch)), np.int64)
        for row, sample in zip(ids, batch, strict=True):
            row[: len(sample.ids)] = sample.ids
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.halved):
            states = self.backbone(input_ids=self._sent(ids), use_cache=False).last_hidden_state
        starts = np.array([sample.n_prefix for sample in batch])
        ends = [segment_ends(len(sample.ids) - sample.n_prefix, self.options.segment) for sample in batch]
        owners = self._sent(np.repeat(np.arange(len(batch)), [len(own) for own in ends]))
        return _segment_features(states.float(), self._sent(starts), owners, self._sent(np.concatenate(ends))), owners

    def logits(self, features: Any, owners: Any, n_texts: int) -> tuple[Any, Any]:
        """Logits of the segments, and of the texts: a smooth maximum of their segments'."""
        values = self.head((features - self.mean) / self.scale)[:, 0]
        return values, smooth_maximum(values, owners, n_texts)

    def loss(self, batch: Sequence[Sample]) -> Any:
        """Cross-entropy of the texts, and of the segments whose label is known."""
        options = self.options
        segments, texts = self.logits(*self.features(batch), len(batch))
        labels = self._sent(np.array([s.label for s in batch]))
        known = self._sent(np.concatenate([s.segments for s in batch]).astype(np.int64))
        return bag_loss(segments, texts, known, labels, options.segment_weight, options.smoothing)

    def write(self, path: Path) -> None:
        """Write the adapter in our format; see :mod:`alknet_firewall.adapter`."""
        pairs = {
            name: (_array(layer.lora_A["default"].weight), _array(layer.lora_B["default"].weight))
            for name, layer in _adapted(self.backbone).items()
        }
        save_adapter(path, pairs, 1.0)

    def _sent(self, values: Array) -> Any:
        """An array as a tensor where the model is."""
        import torch

        return torch.from_numpy(values).to(self.device)


def _adapted(backbone: Any) -> dict[str, Any]:
    """Modules with an adapter, by their name in the backbone."""
    return {n.removeprefix("base_model.model."): m for n, m in backbone.named_modules() if hasattr(m, "lora_A")}


def _start_from(backbone: Any, path: Path) -> None:
    """Begin where another run ended.

    Its rank may be smaller: rows that it does not fill keep their random A, with B at zero. So may be its depth: blocks that it does not
    know begin as they are.
    """
    import torch

    tensors = load_tensors(path)
    with torch.no_grad():
        for name, layer in _adapted(backbone).items():
            if name + DOWN not in tensors:
                continue
            down, up = (torch.from_numpy(tensors[name + part].astype(np.float32)) for part in (DOWN, UP))
            layer.lora_A["default"].weight[: len(down)] = down
            layer.lora_B["default"].weight[:, : len(down)] = up


def _array(parameter: Any) -> Array:
    """A parameter's values."""
    values: Array = parameter.detach().cpu().numpy()
    return values


def _segment_features(states: Any, starts: Any, owners: Any, ends: Any) -> Any:
    """As :func:`alknet_firewall.pooling.segment_features`, of several texts at once, on torch tensors; a test holds the two together.

    Parameters
    ----------
    states : tensor of shape (n_texts, n_tokens, hidden_size), float32
    starts : tensor of shape (n_texts,), int64
        Where the text begins behind its prefix.
    owners : tensor of shape (n_segments,), int64
        Which text a segment belongs to.
    ends : tensor of shape (n_segments,), int64
        Where segments end, counted from the start of their text.

    Returns
    -------
    tensor of shape (n_segments, 2 * hidden_size), float32
    """
    import torch

    after_prefix = torch.arange(states.shape[1], device=states.device) >= starts[:, None]
    sums = torch.cumsum(states * after_prefix[..., None], 1)  # without the prefix, whose first states are a thousand times as large
    at_ends = sums[owners, starts[owners] + ends - 1]
    follows = torch.cat([owners.new_zeros(1, dtype=torch.bool), owners[1:] == owners[:-1]])
    before = torch.where(follows[:, None], at_ends.roll(1, 0), 0.0)
    sizes = ends - torch.where(follows, ends.roll(1), 0)
    return torch.cat([(at_ends - before) / sizes[:, None], at_ends / ends[:, None]], 1)
