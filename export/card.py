"""The model card of an artifact: written from the artifact's own files, and checked against them before it is published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from alknet_firewall.artifact import CONFIG_FILE, PARITY_FILE
from alknet_firewall.config import ArtifactConfig, OperatingPoint
from alknet_firewall.schema import parse

SECTIONS = ("Operating points", "Data", "Limits")
"""Headings of a card that says enough to be published."""

NO_LICENCE = (None, "", "unknown")

TEXT = """# alknet-firewall artifact `{name}`

Detects prompt injections and jailbreaks in text, on CPU, through ONNX Runtime. Use it with the package `alknet-firewall`.

## What it is
- Base model: `{base.id}`, revision `{base.revision}`, from {base.source}; sha256 of `model.safetensors`: `{base.weights_sha256}`.
- Cut after block {encoder.layer} (`hidden_states[{encoder.layer}]`, {final_norm} the final norm); no language-model head.
- Precision {encoder.precision}, opset {encoder.opset}. Recipe: {encoder.recipe}.
- Windows of {window.size} tokens every {window.stride}; segments of {segment} tokens; pooling `{pooling}`.
- Head: {head}.

## Operating points
A text is flagged when its score is at or above the threshold; the default is the one for a false-positive rate of {default_fpr:g}.
`tpr` is the share of attacks flagged, on the same texts.

| origin | fpr | threshold | tpr | harmless texts | attacks |
|---|---|---|---|---|---|
{points}

## Data
{data}

## Parity with torch
{parity[texts]} texts, {parity[tokens]} tokens, both origins: mean cosine of hidden states {parity[hidden_mean_cosine]:.6f}, worst
{parity[hidden_worst_cosine]:.6f}; largest score difference {parity[score_largest_difference]:.6f}, of a probability
{parity[probability_largest_difference]:.6f}; verdict flips: {parity[flips]}.

## Limits
It misses attacks, above all plain imperatives in retrieved text and persuasive rewrites, and it flags some
harmless texts. It is one layer of a defence, not the whole. Scores order texts; probabilities are
what they would be were attacks as common as harmless texts. Figures on left-out sources say more than figures on sources it was
fitted on, and less than figures on your own traffic.
"""


def model_card(folder: Path) -> str:
    """Markdown with the Hub's metadata.

    Parameters
    ----------
    folder : Path
        Holds an artifact's ``config.json`` and ``parity.json``: every figure of the card is read from them.

    Returns
    -------
    str

    Raises
    ------
    ArtifactCorruptError
        If ``config.json`` is not one of this schema.
    """
    from huggingface_hub import ModelCardData

    config = parse(ArtifactConfig, _read(folder / CONFIG_FILE), str(folder / CONFIG_FILE))
    metadata = ModelCardData(
        license=config.base_model.license,
        base_model=config.base_model.id,
        library_name="alknet-firewall",
        pipeline_tag="text-classification",
        tags=["prompt-injection", "jailbreak", "onnx"],
    )
    text = TEXT.format(
        **vars(config) | {"base": config.base_model},
        final_norm="with" if config.encoder.final_norm else "without",
        points="\n".join(map(_row, config.operating_points)),
        data="\n".join(_data(config)),
        parity=_read(folder / PARITY_FILE),
    )
    return f"---\n{metadata.to_yaml()}\n---\n{text}"


def card_problems(card: str, config: ArtifactConfig) -> list[str]:
    """What keeps a card from being published.

    Parameters
    ----------
    card : str
        Markdown.
    config : ArtifactConfig
        Of the same artifact; the card must say what it says.

    Returns
    -------
    list of str
        Empty when nothing does.
    """
    from huggingface_hub import ModelCard

    try:
        parsed = ModelCard(card)
    except Exception as err:  # noqa: BLE001 - YAML's errors, and whatever the library raises for odd metadata
        return [f"README.md has no metadata that the Hub can read ({type(err).__name__})"]
    problems = []
    if parsed.data.license in NO_LICENCE:
        problems.append("README.md names no licence in its metadata")
    if parsed.data.base_model != config.base_model.id:
        problems.append(f"README.md does not name the base model {config.base_model.id} in its metadata")
    sections = {name: _section(parsed.text, name) for name in SECTIONS}
    problems += [f"README.md says nothing under '## {name}'" for name, text in sections.items() if not text]
    if sections["Operating points"] and not all(_row(point) in sections["Operating points"] for point in config.operating_points):
        problems.append("README.md does not list the operating points of config.json")
    return problems


def _row(point: OperatingPoint) -> str:
    """An operating point in the card's table."""
    return f"| {point.origin} | {point.fpr:g} | {point.threshold:.4f} | {point.tpr:.3f} | {point.n_benign} | {point.n_attack} |"


def _data(config: ArtifactConfig) -> list[str]:
    """What the head was fitted on and the thresholds were set on, as the config says."""
    lines = [f"- Thresholds were set on {data}." for data in dict.fromkeys(point.data for point in config.operating_points)]
    fitted = config.fitted_on
    if fitted is not None:
        lines.insert(
            0, f"- The head was fitted on {fitted.texts} labelled texts from {fitted.sources} sources, {fitted.attacks} of them attacks."
        )
    return lines


def _section(text: str, name: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^## {re.escape(name)}[ \t]*\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())
