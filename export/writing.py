"""What makes a folder with a graph an artifact: head, config, self-test, the comparison with torch, card and manifest."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import click

from alknet_firewall.artifact import (
    CONFIG_FILE,
    DETECTOR_FILE,
    MANIFEST_FILE,
    PARITY_FILE,
    SELFTEST_FILE,
    Artifact,
    load_artifact,
    write_manifest,
)
from alknet_firewall.config import ArtifactConfig
from alknet_firewall.firewall import Firewall
from alknet_firewall.parity import ParityReport, check_parity
from alknet_firewall.selftest import answered, save_selftest
from alknet_firewall.tensors import Array, save_tensors
from export.card import model_card
from export.scorer import Scorer

SELFTEST_TEXTS = Path(__file__).with_name("selftest_texts.json")
SELFTEST_TOLERANCE = 0.02
TOOLS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "scikit-learn", "numpy", "safetensors", "tokenizers")


def finish(
    out: Path, config: ArtifactConfig, prefix_tensors: dict[str, Array], scorer: Scorer, weights: Path, adapter: Path | None
) -> tuple[Artifact, ParityReport]:
    """Write what depends on the head into a folder that has the rest, compare it with torch, and refuse when they differ too much.

    Parameters
    ----------
    out : Path
    config : ArtifactConfig
    prefix_tensors : dict of str to ndarray
        Keys and values of the prefixes, ``prefix.ORIGIN.keys`` and ``prefix.ORIGIN.values``.
    scorer : Scorer
    weights : Path
        A weights folder.
    adapter : Path, optional

    Returns
    -------
    Artifact, ParityReport

    Raises
    ------
    ClickException
        If parity does not hold. The folder is left for inspection, without a manifest, so nothing can load it.
    """
    artifact = write_draft(out, config, prefix_tensors, scorer)
    say("comparing with torch")
    report = check_parity(Firewall(artifact), weights, adapter)
    (out / PARITY_FILE).write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(model_card(out), encoding="utf-8")
    if not report.passed:
        (out / MANIFEST_FILE).unlink()
        raise click.ClickException(f"{out} does not say what torch says: {'; '.join(report.failures)}. Nothing can load it.")
    write_manifest(out, _tools())
    return load_artifact(out), report


def write_draft(out: Path, config: ArtifactConfig, tensors: dict[str, Array], scorer: Scorer) -> Artifact:
    """Write what depends on the head, then the self-test that it answers, and open the folder as an artifact."""
    save_tensors(out / DETECTOR_FILE, {**tensors, **scorer.as_tensors()})
    (out / CONFIG_FILE).write_text(json.dumps(config.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in (PARITY_FILE, SELFTEST_FILE, "README.md"):
        (out / name).write_text("{}\n", encoding="utf-8")
    write_manifest(out, _tools())
    firewall = Firewall(load_artifact(out))
    cases = json.loads(SELFTEST_TEXTS.read_text(encoding="utf-8"))
    texts = [(case["text"], case["origin"]) for case in cases]
    save_selftest(out / SELFTEST_FILE, answered(firewall, texts, SELFTEST_TOLERANCE))
    write_manifest(out, _tools())
    return load_artifact(out)


def _tools() -> dict[str, str]:
    """Versions of what makes an artifact."""
    return {"python": platform.python_version(), **{name: version(name) for name in TOOLS}}


def say(message: str) -> None:
    """Progress, on stderr."""
    click.echo(message, err=True)
