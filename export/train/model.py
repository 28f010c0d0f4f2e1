"""The backbone with a trainable adapter, and the head that is trained along with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.adapter import DOWN, UP, save_adapter
from alknet_firewall.pooling import segment_ends
from alknet_firewall.tensors import load_tensors
from export.graph import load_backbone
from export.losses import bag_loss, smooth_maximum
from export.train.options import TrainOptions
from export.train.samples import Sample

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def halves_fast() -> bool:
    """Whether products in bf16 are faster than in fp32 here: without AVX-512 PyTorch emulates them, at a thirtieth of the speed."""
    import torch

    return "AVX512" in str(torch.backends.cpu.get_cpu_capability())


class Model:
    """Backbone, adapter and head: samples to logits of segments and texts."""

    def __init__(self, weights: Path, options: TrainOptions, start: Path | None = None) -> None:
        """Load the backbone and put an adapter beside every linear layer: a new one, or one that was trained before."""
        import torch
        from peft import LoraConfig, get_peft_model

        self.options, self.halved = options, halves_fast()
        backbone = load_backbone(weights, options.layer)
        backbone.set_attn_implementation("eager")  # on a CPU the fused kernel's backward pass takes longer than all of eager attention
        config = LoraConfig(r=options.rank, lora_alpha=options.rank, lora_dropout=0.0, target_modules=list(TARGETS))
        self.backbone = get_peft_model(backbone, config)
        if start is not None:
            _start_from(self.backbone, start)
        self.head = torch.nn.Linear(2 * backbone.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.mean, self.scale = torch.zeros(1), torch.ones(1)

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
        """Segment features of a batch (as in alknet_firewall.pooling, differentiable) and the text that each belongs to."""
        import torch

        longest = max(len(sample.ids) for sample in batch)
        ids = torch.tensor([[*s.ids, *[0] * (longest - len(s.ids))] for s in batch])
        mask = torch.tensor([[1] * len(s.ids) + [0] * (longest - len(s.ids)) for s in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.halved):
            states = self.backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        states = states.float()
        features, owners = [], []
        for row, sample in enumerate(batch):
            own = states[row, sample.n_prefix : len(sample.ids)]
            features.append(_segment_features(own, self.options.segment))
            owners += [row] * len(features[-1])
        return torch.cat(features), torch.tensor(owners)

    def logits(self, features: Any, owners: Any, n_texts: int) -> tuple[Any, Any]:
        """Logits of the segments, and of the texts: a smooth maximum of their segments'."""
        values = self.head((features - self.mean) / self.scale)[:, 0]
        return values, smooth_maximum(values, owners, n_texts)

    def loss(self, batch: Sequence[Sample]) -> Any:
        """Cross-entropy of the texts, and of the segments whose label is known."""
        import torch

        options = self.options
        segments, texts = self.logits(*self.features(batch), len(batch))
        labels = torch.tensor([s.label for s in batch])
        known = torch.tensor([label for s in batch for label in s.segments])
        return bag_loss(segments, texts, known, labels, options.segment_weight, options.smoothing)

    def write(self, path: Path) -> None:
        """Write the adapter in our format; see :mod:`alknet_firewall.adapter`."""
        pairs = {
            name: (layer.lora_A["default"].weight.detach().numpy(), layer.lora_B["default"].weight.detach().numpy())
            for name, layer in _adapted(self.backbone).items()
        }
        save_adapter(path, pairs, 1.0)


def _adapted(backbone: Any) -> dict[str, Any]:
    """Modules with an adapter, by their name in the backbone."""
    return {n.removeprefix("base_model.model."): m for n, m in backbone.named_modules() if hasattr(m, "lora_A")}


def _start_from(backbone: Any, path: Path) -> None:
    """Begin where another run ended. Its rank may be smaller: rows that it does not fill keep their random A, with B at zero."""
    import torch

    tensors = load_tensors(path)
    with torch.no_grad():
        for name, layer in _adapted(backbone).items():
            down, up = (torch.from_numpy(tensors[name + part].astype(np.float32)) for part in (DOWN, UP))
            layer.lora_A["default"].weight[: len(down)] = down
            layer.lora_B["default"].weight[:, : len(down)] = up


def _segment_features(states: Any, segment: int) -> Any:
    """As :func:`alknet_firewall.pooling.segment_features`, on torch tensors; a test holds the two together."""
    import torch

    ends = torch.from_numpy(segment_ends(len(states), segment))
    at_ends = torch.cumsum(states, 0)[ends - 1]
    before = torch.cat([torch.zeros_like(at_ends[:1]), at_ends[:-1]])
    sizes = torch.diff(ends, prepend=torch.zeros(1, dtype=ends.dtype))[:, None]
    return torch.cat([(at_ends - before) / sizes, at_ends / ends[:, None]], 1)
