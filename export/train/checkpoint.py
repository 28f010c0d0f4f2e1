"""A run's state on disk, so that it goes on where it was stopped: safetensors and JSON, nothing pickled."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alknet_firewall.replacing import replacing
from alknet_firewall.tensors import load_tensors, save_tensors
from export.train.model import Model

TENSORS_FILE, STATE_FILE = "checkpoint.safetensors", "checkpoint.json"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    `batches` says how many were drawn, which are skipped on resuming; `best` is the best figure so far and `waited` counts
    the looks since.
    """

    seen: int = 0
    batches: int = 0
    seconds: float = 0.0
    best: float = 0.0
    waited: int = 0


def save_checkpoint(folder: Path, model: Model, optimizer: Any, progress: Progress) -> None:
    """Write parameters, the optimizer's moments and the progress; the JSON last, so that a torn write is not resumed from."""
    tensors = {"mean": model.mean, "scale": model.scale}
    for name, parameter in model.parameters().items():
        tensors[f"parameter.{name}"] = parameter.detach()
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]
    steps = {float(state["step"]) for state in optimizer.state.values()}
    with replacing(folder / TENSORS_FILE) as new:
        save_tensors(new, {name: value.cpu().numpy() for name, value in tensors.items()})
    (folder / STATE_FILE).write_text(json.dumps({**asdict(progress), "step": max(steps)}) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path, model: Model, optimizer: Any) -> Progress | None:
    """Put a saved state back; None when there is none."""
    import torch

    if not (folder / STATE_FILE).exists():
        return None
    state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    step = state.pop("step")
    tensors = {name: torch.from_numpy(value).to(model.device) for name, value in load_tensors(folder / TENSORS_FILE).items()}
    model.mean, model.scale = tensors["mean"], tensors["scale"]
    for name, parameter in model.parameters().items():
        with torch.no_grad():
            parameter.copy_(tensors[f"parameter.{name}"])
        moments = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(step, device=model.device), **moments}
    return Progress(**state)
