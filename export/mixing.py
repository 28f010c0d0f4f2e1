"""Two artifacts of one graph -> one whose weights of n-grams lie between theirs.

What words say depends on the corpus they were fitted on, and each has words that the other lacks. The mean of two linear models is a
linear model, so an artifact gets no larger and no slower by it (docs/adr/015).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from alknet_firewall.artifact import DETECTOR_FILE, MANIFEST_FILE, MODEL_FILE, Artifact, load_artifact
from alknet_firewall.detector import Detector
from alknet_firewall.firewall import Firewall
from alknet_firewall.parity import ParityReport
from alknet_firewall.tensors import load_tensors
from alknet_firewall.wording import Wording
from export.data import Example
from export.features import extract
from export.head import Scorer, calibrate_head, left_out
from export.wording import wording_logits
from export.writing import finish


@dataclass(frozen=True)
class MixOptions:
    """How to mix.

    Attributes
    ----------
    share : float
        Of the second artifact's weights, in [0, 1].
    weight : float
        What words count beside hidden states.
    adapter : Path, optional
        That both were built with.
    cache : Path, optional
        Folder that keeps features, as for :func:`export.features.extract`.
    """

    share: float
    weight: float
    adapter: Path | None = None
    cache: Path | None = None


def mix_words(
    first: Path, second: Path, weights: Path, held_out: Sequence[Example], out: Path, options: MixOptions
) -> tuple[Artifact, ParityReport]:
    """Take graph and head on hidden states of the first artifact, and words of both; calibrate, set thresholds, compare with torch.

    Parameters
    ----------
    first, second : Path
        Artifact folders with the same graph.
    weights : Path
        A weights folder.
    held_out : sequence of Example
        Texts that neither was fitted on.
    out : Path
        Folder to write; emptied first.
    options : MixOptions

    Returns
    -------
    Artifact, ParityReport

    Raises
    ------
    ClickException
        If the graphs are not the same, or as :func:`export.writing.finish` does.
    """
    one, other = load_artifact(first), load_artifact(second)
    if one.manifest.files[MODEL_FILE] != other.manifest.files[MODEL_FILE]:
        raise click.ClickException(f"{first} and {second} have different graphs. Build both with the same adapter and layer.")
    watched = extract(Firewall(one), held_out, with_views=True, cache=options.cache)
    tensors, others = (load_tensors(artifact.path(DETECTOR_FILE)) for artifact in (one, other))
    wording = _between(Wording.from_tensors(tensors, str(first)), Wording.from_tensors(others, str(second)), options.share)
    states = Detector.from_tensors(tensors, str(first)).deaf()
    scorer = Scorer(states.listening(wording_logits(wording, watched.pieces), options.weight), wording)
    rates = sorted({point.fpr for point in one.config.operating_points})
    calibration, points = calibrate_head(scorer.texts(watched), watched.lengths, held_out, rates, left_out(held_out))
    config = replace(one.config, calibration=calibration, operating_points=points, fitted_on=other.config.fitted_on)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(first, out)
    (out / MANIFEST_FILE).unlink()
    prefixes = {name: tensor for name, tensor in tensors.items() if name.startswith("prefix.")}
    return finish(out, config, prefixes, scorer, weights, options.adapter)


def _between(first: Wording, second: Wording, share: float) -> Wording:
    """The words of both, in half precision as everywhere."""
    weights = (1 - share) * first.weights + share * second.weights
    return Wording(weights.astype(np.float16).astype(np.float32))
