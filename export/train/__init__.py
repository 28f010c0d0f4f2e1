"""Fine-tune the truncated backbone with LoRA, so that its hidden states tell attacks from harmless text.

The head trained along with it is thrown away: the artifact's own is fitted later on the features of the quantised graph
(:mod:`export.head`). Both see the same thing, the features of segments, under multiple-instance pooling: a text is as
bad as its worst stretch.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from alknet_firewall.adapter import save_adapter
from alknet_firewall.pooling import segment_ends
from alknet_firewall.tokenizer import Tokenizer
from alknet_firewall.verdict import Origin
from export.data import Example
from export.graph import load_backbone

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER_FILE = "adapter.safetensors"
LOG_FILE = "train.jsonl"


@dataclass(frozen=True)
class TrainOptions:
    """How to train. `minutes` ends it earlier than `samples` would; the learning rate falls to zero by whichever comes first."""

    layer: int = 7
    segment: int = 32
    max_tokens: int = 256
    batch_tokens: int = 3072
    samples: int = 40_000
    minutes: float = 120.0
    rank: int = 16
    learning_rate: float = 4e-4
    head_rate: float = 2e-3
    smoothing: float = 0.03
    sharpness: float = 1.0
    seed: int = 0
    evaluate_every_s: float = 240.0


@dataclass(frozen=True)
class Sample:
    """One tokenised text behind its prefix."""

    ids: tuple[int, ...]
    n_prefix: int
    label: int


def train(
    weights: Path,
    out: Path,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    prefixes: Mapping[Origin, Sequence[int]],
    options: TrainOptions,
) -> None:
    """Train, log every figure, and write a LoRA adapter in peft's format.

    Parameters
    ----------
    weights : Path
        A weights folder.
    out : Path
        Folder for the adapter and the log.
    examples, held_out : sequence of Example
        What to train on, and what only to watch.
    prefixes : mapping of str to sequence of int
        Ids that stand before the texts of each origin.
    options : TrainOptions
    """
    import torch

    torch.manual_seed(options.seed)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.load(weights / "tokenizer.json")
    samples = tokenise(examples, tokenizer, prefixes, options)
    watched = tokenise(held_out, tokenizer, prefixes, options)
    model = _with_adapter(load_backbone(weights, options.layer), options)
    head = _Head(model.config.hidden_size)
    head.calibrate(model, samples[:64], options)
    groups = [
        {"params": [p for p in model.parameters() if p.requires_grad], "lr": options.learning_rate},
        {"params": list(head.linear.parameters()), "lr": options.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    progress, n_seen, losses = 0.0, 0, []
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: _rate(progress))
    with (out / LOG_FILE).open("w", encoding="utf-8") as log:
        log.write(json.dumps(asdict(options)) + "\n")
        started = evaluated = time.monotonic()
        for batch in _batches(samples, options):
            loss = _step(model, head, optimizer, batch, options)
            losses.append(loss)
            n_seen += len(batch)
            elapsed = time.monotonic() - started
            progress = max(n_seen / options.samples, elapsed / (60 * options.minutes))
            schedule.step()
            if progress >= 1 or time.monotonic() - evaluated > options.evaluate_every_s:
                figures = {
                    "seen": n_seen,
                    "seconds": round(elapsed),
                    "loss": float(np.mean(losses)),
                    **_evaluate(model, head, watched, held_out, options),
                }
                log.write(json.dumps(figures) + "\n")
                log.flush()
                click.echo(json.dumps(figures), err=True)
                write_adapter(model, out / ADAPTER_FILE)
                evaluated, losses = time.monotonic(), []
            if progress >= 1:
                break


def tokenise(
    examples: Sequence[Example], tokenizer: Tokenizer, prefixes: Mapping[Origin, Sequence[int]], options: TrainOptions
) -> list[Sample]:
    """Samples of at most `max_tokens`; of a longer text the first tokens, when they are sure to carry its label.

    That is so for harmless texts, and for attacks in prompts; an instruction injected in a long document may lie
    anywhere, so those rows are represented by a sample without tokens, which is never drawn.
    """
    samples = []
    for example in examples:
        ids = tokenizer.encode(example.text[: 8 * options.max_tokens]).ids
        cut = len(ids) > options.max_tokens
        if cut and example.label == 1 and example.origin == "content":
            samples.append(Sample((), 0, 1))
            continue
        prefix = tuple(prefixes[example.origin])
        samples.append(Sample((*prefix, *map(int, ids[: options.max_tokens])), len(prefix), example.label))
    return samples


class _Head:
    """Standardised segment features to a logit."""

    def __init__(self, hidden_size: int) -> None:
        import torch

        self.linear = torch.nn.Linear(2 * hidden_size, 1)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)
        self.mean = self.scale = torch.zeros(1)

    def calibrate(self, model: Any, samples: Sequence[Sample], options: TrainOptions) -> None:
        """Take mean and scale of the features from the untrained model."""
        import torch

        with torch.no_grad():
            features, _ = _features(model, [s for s in samples if s.ids], options)
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-3

    def logits(self, features: Any, owners: Any, n_texts: int, sharpness: float) -> Any:
        """Smooth maximum of the segments' logits, a text at a time."""
        import torch

        values = sharpness * self.linear((features - self.mean) / self.scale)[:, 0]
        largest = torch.full((n_texts,), -1e30).scatter_reduce(0, owners, values.detach(), "amax")
        sums = torch.zeros(n_texts).index_add(0, owners, torch.exp(values - largest[owners]))
        return (torch.log(sums) + largest) / sharpness


def _with_adapter(model: Any, options: TrainOptions) -> Any:
    """The backbone with trainable low-rank matrices beside every linear layer."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.0, target_modules=list(TARGETS))
    return get_peft_model(model, config)


def write_adapter(model: Any, path: Path) -> None:
    """Write the adapter of a peft model in our format; see :mod:`alknet_firewall.adapter`."""
    layers = {n.removeprefix("base_model.model."): m for n, m in model.named_modules() if hasattr(m, "lora_A")}
    pairs = {
        name: tuple(getattr(layer, part)["default"].weight.detach().numpy() for part in ("lora_A", "lora_B"))
        for name, layer in layers.items()
    }
    save_adapter(path, pairs, next(iter(layers.values())).scaling["default"])


def _features(model: Any, batch: Sequence[Sample], options: TrainOptions) -> tuple[Any, Any]:
    """Segment features of a batch (as in alknet_firewall.pooling, differentiable) and the text that each belongs to."""
    import torch

    longest = max(len(sample.ids) for sample in batch)
    ids = torch.tensor([[*s.ids, *[0] * (longest - len(s.ids))] for s in batch])
    mask = torch.tensor([[1] * len(s.ids) + [0] * (longest - len(s.ids)) for s in batch])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    states = states.float()
    features, owners = [], []
    for row, sample in enumerate(batch):
        sums = torch.cumsum(states[row, sample.n_prefix : len(sample.ids)], 0)
        ends = torch.from_numpy(segment_ends(len(sample.ids) - sample.n_prefix, options.segment))
        at_ends = sums[ends - 1]
        before = torch.cat([torch.zeros_like(at_ends[:1]), at_ends[:-1]])
        sizes = torch.diff(ends, prepend=torch.zeros(1, dtype=ends.dtype))[:, None]
        features.append(torch.cat([(at_ends - before) / sizes, at_ends / ends[:, None]], 1))
        owners += [row] * len(ends)
    return torch.cat(features), torch.tensor(owners)


def _step(model: Any, head: _Head, optimizer: Any, batch: Sequence[Sample], options: TrainOptions) -> float:
    """One optimiser step; returns the loss."""
    import torch

    model.train()
    features, owners = _features(model, batch, options)
    logits = head.logits(features, owners, len(batch), options.sharpness)
    targets = torch.tensor([options.smoothing + (1 - 2 * options.smoothing) * s.label for s in batch])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    return float(loss.detach())


def _batches(samples: Sequence[Sample], options: TrainOptions) -> Iterator[list[Sample]]:
    """Shuffled batches of similar length and about `batch_tokens` tokens, without end."""
    rng = random.Random(options.seed)
    usable = [sample for sample in samples if sample.ids]
    while True:
        rng.shuffle(usable)
        for start in range(0, len(usable), 2048):
            pool = sorted(usable[start : start + 2048], key=lambda s: len(s.ids))
            batches: list[list[Sample]] = [[]]
            for sample in pool:
                if batches[-1] and len(sample.ids) * (len(batches[-1]) + 1) > options.batch_tokens:
                    batches.append([])
                batches[-1].append(sample)
            rng.shuffle(batches)
            yield from batches


def _rate(progress: float) -> float:
    """Learning rate over the run: a short rise, then a straight fall."""
    return min(1.0, 0.02 + progress / 0.03) * max(0.02, 1.0 - progress)


def _evaluate(model: Any, head: _Head, samples: Sequence[Sample], examples: Sequence[Example], options: TrainOptions) -> dict[str, float]:
    """ROC AUC and TPR at 1 % FPR on what is not trained on, an origin at a time."""
    import torch
    from sklearn.metrics import roc_auc_score

    model.eval()
    scores: dict[int, float] = {}
    order = sorted((i for i, s in enumerate(samples) if s.ids), key=lambda i: len(samples[i].ids))
    with torch.no_grad():
        for start in range(0, len(order), 32):
            part = order[start : start + 32]
            features, owners = _features(model, [samples[i] for i in part], options)
            scores.update(zip(part, head.logits(features, owners, len(part), options.sharpness).tolist(), strict=True))
    figures = {}
    for origin in ("prompt", "content"):
        chosen = [i for i in order if examples[i].origin == origin]
        labels, values = np.array([examples[i].label for i in chosen]), np.array([scores[i] for i in chosen])
        if 0 < labels.sum() < len(labels):
            figures[f"{origin}_auc"] = round(float(roc_auc_score(labels, values)), 4)
            figures[f"{origin}_tpr_at_0.01"] = round(float((values[labels == 1] > np.quantile(values[labels == 0], 0.99)).mean()), 4)
    return figures
