"""The model card of an artifact, every figure in it read from what was built."""

from __future__ import annotations

from collections.abc import Sequence

from alknet_firewall.config import ArtifactConfig
from alknet_firewall.parity import ParityReport
from export.data import Example


def model_card(config: ArtifactConfig, report: ParityReport, examples: Sequence[Example]) -> str:
    """Markdown with the Hub's metadata.

    Parameters
    ----------
    config : ArtifactConfig
    report : ParityReport
    examples : sequence of Example
        What the head was fitted on.

    Returns
    -------
    str
    """
    base, encoder = config.base_model, config.encoder
    points = "\n".join(
        f"| {p.origin} | {p.fpr:g} | {p.threshold:.4f} | {p.tpr:.3f} | {p.n_benign} | {p.n_attack} |" for p in config.operating_points
    )
    return f"""---
license: {base.license}
base_model: {base.id}
library_name: alknet-firewall
pipeline_tag: text-classification
tags:
- prompt-injection
- jailbreak
- onnx
---
# alknet-firewall artifact `{config.name}`

Detects prompt injections and jailbreaks in text, on CPU, through ONNX Runtime. Use it with the package `alknet-firewall`.

## What it is
- Base model: `{base.id}`, revision `{base.revision}`, from {base.source}; sha256 of `model.safetensors`: `{base.weights_sha256}`.
- Cut after block {encoder.layer} (`hidden_states[{encoder.layer}]`, {"with" if encoder.final_norm else "without"} the
  final norm); no language-model head.
- Precision {encoder.precision}, opset {encoder.opset}. Recipe: {encoder.recipe}.
- Windows of {config.window.size} tokens every {config.window.stride}; segments of {config.segment} tokens; pooling `{config.pooling}`.
- Head: {config.head}.

## Operating points
Thresholds were set on {config.operating_points[0].data}. A text is flagged when its score is at or above the threshold; the default
is the one for a false-positive rate of {config.default_fpr:g}. `tpr` is the share of attacks flagged, on the same left-out sources.

| origin | fpr | threshold | tpr | harmless texts | attacks |
|---|---|---|---|---|---|
{points}

## Data
{len(examples)} labelled texts from {len({e.source for e in examples})} sources, {sum(e.label for e in examples)} of them attacks.

## Parity with torch
{report.texts} texts, {report.tokens} tokens, both origins: mean cosine of hidden states {report.hidden_mean_cosine:.6f}, worst
{report.hidden_worst_cosine:.6f}; largest score difference {report.score_largest_difference:.6f}; verdict flips: {report.flips}.

## Limits
It misses attacks, above all plain imperatives in retrieved text and persuasive rewrites, and it flags some
harmless texts. It is one layer of a defence, not the whole. Scores are not probabilities. Figures on left-out sources
say more than figures on sources it was fitted on, and less than figures on your own traffic.
"""
