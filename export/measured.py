"""Scores that are kept in a folder, so that an ablation which was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alknet_firewall import __version__
from alknet_firewall.ranking import Scores
from alknet_firewall.tensors import load_tensors
from export.features import save_whole


@dataclass(frozen=True)
class Variant:
    """One line of the table: scores of the left-out texts, higher = more suspicious."""

    name: str
    scores: Scores


@dataclass(frozen=True)
class Measured:
    """What has been measured, step by step.

    Attributes
    ----------
    folder : Path or None
        Where scores are kept, a file a step; None keeps nothing.
    of : sequence
        What the scores of every step depend on, as JSON can hold it: another list, or another release of this package, has files of
        its own.
    """

    folder: Path | None
    of: Sequence[Any]

    def step(self, name: str, measure: Callable[[], list[Variant]], *of: Any) -> list[Variant]:
        """The variants of a step, as they were kept; else they are measured, and kept. `of` is what this step alone depends on."""
        if self.folder is None:
            return measure()
        identity = hashlib.sha256(json.dumps([__version__, name, self.of, of], sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{identity}.scores.safetensors"
        if not path.is_file():
            save_whole(path, {f"{i:03} {v.name}": v.scores for i, v in enumerate(measure())})
        kept = load_tensors(path)
        return [Variant(key.split(" ", 1)[1], kept[key]) for key in sorted(kept)]
