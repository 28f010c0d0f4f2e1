"""``config.json`` of an artifact (floor 0): what it is made of and what it decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alknet_firewall.errors import ArtifactCorruptError
from alknet_firewall.verdict import ORIGINS

SCHEMA_VERSION = 6
"""Version of the artifact format that this code reads and writes."""


@dataclass(frozen=True)
class BaseModel:
    """Where the weights came from. `weights_sha256` is the hash of the ``model.safetensors`` that was exported."""

    id: str
    revision: str
    source: str
    license: str
    weights_sha256: str
    tokenizer_sha256: str
    adapter_sha256: str | None


@dataclass(frozen=True)
class EncoderConfig:
    """The graph. `layer` counts as Transformers does: ``hidden_states[layer]``, the output of block `layer`, 0 the embeddings."""

    layer: int
    final_norm: bool
    hidden_size: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    opset: int
    precision: str
    recipe: str


@dataclass(frozen=True)
class WindowConfig:
    """Windows in tokens; `stride` is the step between starts, so ``size - stride`` tokens overlap."""

    size: int
    stride: int


@dataclass(frozen=True)
class Prefix:
    """What stands before every text of an origin; its keys and values are in ``detector.safetensors``.

    `ids` are the first token, which takes a decoder's outsized activations, and the tokens of `text`.
    """

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Calibration:
    """What turns the logit of a text's worst segment into its score, for one origin.

    ``score = 1 / (1 + exp(-(slope * logit + shift - length * ln(min(n_segments, longest)))))``: the worst of many harmless segments looks
    worse than the worst of few, and `length` takes away what is due to their number, so that one threshold holds for texts of every length.
    Beyond `longest` segments, at least 1, no more is taken away.

    Scores are kept soft, so that rounding moves them little. `sharpness`, above 0 and at most 1, is what the log-odds of a probability
    were multiplied by for that: ``probability = 1 / (1 + exp(-ln(score / (1 - score)) / sharpness))``.
    """

    slope: float
    shift: float
    length: float
    sharpness: float
    longest: int


@dataclass(frozen=True)
class OperatingPoint:
    """A named threshold: flagged when ``score >= threshold``, at `fpr` false positives on `n_benign` texts of `data`."""

    origin: str
    fpr: float
    threshold: float
    tpr: float
    n_benign: int
    n_attack: int
    data: str


@dataclass(frozen=True)
class FittedOn:
    """What the head was fitted on: labelled texts, how many of them attacks, and from how many sources."""

    texts: int
    attacks: int
    sources: int


@dataclass(frozen=True)
class Adapted:
    """Whose head was moved, and on what: `artifact` is the id of the one before, `texts` were the user's, `penalty` None is no change."""

    artifact: str
    texts: int
    attacks: int
    penalty: float | None


@dataclass(frozen=True)
class ArtifactConfig:
    """``config.json``, whole. `fitted_on` is None in artifacts that were built before it was recorded, `adapted` where the head is the
    built one; `fitted_on` is about that one in any case.
    """

    schema_version: int
    name: str
    base_model: BaseModel
    encoder: EncoderConfig
    window: WindowConfig
    pooling: str
    segment: int
    head: str
    prefixes: dict[str, Prefix]
    calibration: dict[str, Calibration]
    operating_points: tuple[OperatingPoint, ...]
    default_fpr: float
    fitted_on: FittedOn | None = None
    adapted: Adapted | None = None

    def operating_point(self, origin: str, fpr: float | None = None) -> OperatingPoint | None:
        """The operating point of one origin at one false-positive rate (default: `default_fpr`); None when there is none."""
        wanted = self.default_fpr if fpr is None else fpr
        return next((p for p in self.operating_points if p.origin == origin and p.fpr == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return asdict(self)


def check_config(config: ArtifactConfig, path: Path) -> None:
    """Refuse what types alone do not.

    Parameters
    ----------
    config : ArtifactConfig
    path : Path
        File it was read from, for the error.

    Raises
    ------
    ArtifactCorruptError
        If a size is not positive, an origin lacks its prefix, its calibration or its default operating point, or a number is out of range.
    """
    encoder, window = config.encoder, config.window
    sizes = (encoder.layer, encoder.hidden_size, encoder.key_value_heads, encoder.head_size, window.size, window.stride, config.segment)
    problem = None
    if min(sizes) < 1 or window.stride > window.size:
        problem = "sizes must be at least 1, and the stride at most the window"
    elif set(config.prefixes) != set(ORIGINS):
        problem = f"prefixes must be given for {', '.join(ORIGINS)}"
    elif set(config.calibration) != set(ORIGINS):
        problem = f"calibration must be given for {', '.join(ORIGINS)}"
    elif not all(c.slope > 0.0 and c.length >= 0.0 for c in config.calibration.values()):
        problem = "a calibration needs a slope above 0 and a length of at least 0"
    elif not all(0.0 < c.sharpness <= 1.0 for c in config.calibration.values()):
        problem = "a calibration needs a sharpness above 0 and at most 1"
    elif not all(c.longest >= 1 for c in config.calibration.values()):
        problem = "a calibration needs a longest of at least 1"
    elif any(config.operating_point(origin) is None for origin in ORIGINS):
        problem = "every origin needs an operating point at default_fpr"
    elif not all(0.0 <= point.threshold <= 1.0 for point in config.operating_points):
        problem = "thresholds must lie in [0, 1]"
    if problem:
        raise ArtifactCorruptError(f"{path}: {problem}. Fetch or build the artifact again.")
