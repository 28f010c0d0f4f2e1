"""Fine-tune the truncated backbone with LoRA, so that its hidden states tell attacks from harmless text.

The head trained along with it only guides it: the artifact's own is fitted later on the features of the quantised graph
(:mod:`export.head`). Both see the same thing, the features of segments, under multiple-instance pooling: a text is as
bad as its worst stretch. Where the corpus knows which stretch that is, the segments are taught it too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from alknet_firewall.verdict import ORIGINS
from export.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from export.train.model import Model
from export.train.options import TrainOptions
from export.train.samples import Sample, batches

ADAPTER_FILE, LAST_FILE = "adapter.safetensors", "last.safetensors"
LOG_FILE = "train.jsonl"

__all__ = ["ADAPTER_FILE", "LAST_FILE", "LOG_FILE", "TrainOptions", "train"]


def train(
    weights: Path,
    out: Path,
    samples: Sequence[Sample],
    watched: Sequence[Sample],
    options: TrainOptions,
    start: Path | None = None,
) -> None:
    """Train, log every figure, and write the adapter that did best on what is left out, and the last one beside it, to be mixed.

    A run that was stopped goes on when it is started again with the same arguments.

    Parameters
    ----------
    weights : Path
        A weights folder.
    out : Path
        Folder for the adapter, the log and the checkpoint.
    samples, watched : sequence of Sample
        What to train on, and what only to watch.
    options : TrainOptions
    start : Path, optional
        Adapter of an earlier run to begin from.
    """
    import torch

    torch.manual_seed(options.seed)
    out.mkdir(parents=True, exist_ok=True)
    model = Model(weights, options, start)
    optimizer = _optimizer(model)
    progress = load_checkpoint(out, model, optimizer)
    if progress is None:
        progress = Progress()
        model.calibrate(samples[:: max(1, len(samples) // 64)][:64])
        _log(out, {"options": asdict(options), "samples": len(samples), "watched": len(watched), "start": start and start.name})
    drawn = islice(batches(samples, options), progress.batches, None)
    losses: list[Any] = []
    looked = progress.seen
    while _share(progress, options) < 1:
        batch, began = next(drawn), time.monotonic()
        losses.append(_step(model, optimizer, batch, _rate(_share(progress, options))))
        seconds = progress.seconds + time.monotonic() - began
        progress = replace(progress, seen=progress.seen + len(batch), batches=progress.batches + 1, seconds=seconds)
        if progress.seen - looked >= options.evaluate_every or _share(progress, options) >= 1:
            progress = _look(out, model, watched, progress, float(torch.stack(losses).mean()))
            save_checkpoint(out, model, optimizer, progress)
            looked, losses = progress.seen, []
            if progress.waited >= options.patience:
                click.echo(f"No better figure in {options.patience} looks: stopped.", err=True)
                break


def _optimizer(model: Model) -> Any:
    """AdamW with a rate for the adapter and one for the head; `_step` moves both along the schedule."""
    import torch

    options, parameters = model.options, model.parameters()
    adapter = [p for name, p in parameters.items() if not name.startswith("head.")]
    head = [p for name, p in parameters.items() if name.startswith("head.")]
    groups = [{"params": adapter, "peak": options.learning_rate}, {"params": head, "peak": options.head_rate}]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.01, fused=model.device.type == "cuda")


def _step(model: Model, optimizer: Any, batch: Sequence[Sample], rate: float) -> Any:
    """One optimiser step; returns the loss, a tensor that is still where the model is: reading it would wait for a GPU."""
    import torch

    model.backbone.train()
    for group in optimizer.param_groups:
        group["lr"] = rate * group["peak"]
    loss = model.loss(batch)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    return loss.detach()


def _share(progress: Progress, options: TrainOptions) -> float:
    """How much of the run is done, from 0."""
    return max(progress.seen / options.samples, progress.seconds / (60 * options.minutes))


def _rate(share: float) -> float:
    """Learning rate over the run, relative to its peak: a short rise, then a straight fall."""
    return min(1.0, 0.02 + share / 0.03) * max(0.02, 1.0 - share)


def _look(out: Path, model: Model, watched: Sequence[Sample], progress: Progress, loss: float) -> Progress:
    """Log the figures on what is left out, and keep the adapter when they are the best so far."""
    figures = evaluate(model, watched)
    merit = float(np.mean([value for name, value in figures.items() if name.endswith("auc")] or [0.0]))
    better = merit > progress.best
    model.write(out / LAST_FILE)
    if better:
        model.write(out / ADAPTER_FILE)
    _log(out, {"seen": progress.seen, "seconds": round(progress.seconds), "loss": round(loss, 4), **figures, "kept": better})
    return replace(progress, best=max(merit, progress.best), waited=0 if better else progress.waited + 1)


def evaluate(model: Model, samples: Sequence[Sample]) -> dict[str, float]:
    """ROC AUC and TPR at 1 % FPR of texts that are not trained on, an origin at a time."""
    import torch
    from sklearn.metrics import roc_auc_score

    model.backbone.eval()
    scores = np.zeros(len(samples))
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
    with torch.no_grad():
        for begin in range(0, len(order), 32):
            part = order[begin : begin + 32]
            scores[part] = model.logits(*model.features([samples[i] for i in part]), len(part))[1].cpu().numpy()
    figures = {}
    for origin in ORIGINS:
        chosen = np.array([s.origin == origin for s in samples], bool)
        labels, values = np.array([s.label for s in samples])[chosen], scores[chosen]
        if 0 < labels.sum() < len(labels):
            figures[f"{origin}_auc"] = round(float(roc_auc_score(labels, values)), 4)
            figures[f"{origin}_tpr_at_0.01"] = round(float((values[labels == 1] > np.quantile(values[labels == 0], 0.99)).mean()), 4)
    return figures


def _log(out: Path, figures: dict[str, Any]) -> None:
    """One line to the log and the terminal."""
    line = json.dumps(figures)
    with (out / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(line + "\n")
    click.echo(line, err=True)
