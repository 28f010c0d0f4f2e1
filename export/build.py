"""Weights and labelled rows -> an artifact folder. The order of the steps is that of export/README.md."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alknet_firewall.artifact import (
    CONFIG_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    Artifact,
)
from alknet_firewall.config import (
    SCHEMA_VERSION,
    ArtifactConfig,
    BaseModel,
    Calibration,
    EncoderConfig,
    FittedOn,
    OperatingPoint,
    Prefix,
    WindowConfig,
)
from alknet_firewall.detector import Detector
from alknet_firewall.encoder import Encoder, Past
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import HEAD
from alknet_firewall.integrity import file_sha256
from alknet_firewall.parity import ParityReport
from alknet_firewall.perceptron import Perceptron
from alknet_firewall.pooling import POOLING
from alknet_firewall.threads import resolve_threads
from alknet_firewall.tokenizer import Tokenizer, plain_definition
from alknet_firewall.verdict import ORIGINS, Origin
from export.data import Example
from export.graph import OPSET, export_graph
from export.head import fit_head
from export.quantize import RECIPE
from export.scorer import Part, Scorer
from export.weights import WeightsRecord, load_record
from export.wording import blank_wording
from export.writing import finish, say, write_draft

PREFIX_TEXTS: dict[Origin, str] = {"prompt": "User message:\n", "content": "Retrieved content:\n"}
FIRST_TOKEN = 1
"""``<|im_start|>``, which every text of the instruction-tuned model began with: it takes the outsized activations of a first token."""


@dataclass(frozen=True)
class BuildOptions:
    """What to build; every number is explained in export/README.md."""

    name: str = "small"
    adapter: Path | None = None
    layer: int = 7
    precision: str = "int8"
    window: int = 256
    stride: int = 192
    segment: int = 16
    default_fpr: float = 0.01
    rates: tuple[float, ...] = (0.001, 0.01, 0.05)
    cache: Path | None = None


def build(
    weights: Path,
    out: Path,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    options: BuildOptions,
    worded: Sequence[Example] = (),
) -> tuple[Artifact, ParityReport]:
    """Build an artifact, compare it with torch, and refuse when they differ too much.

    Parameters
    ----------
    weights : Path
        A weights folder.
    out : Path
        Folder to write; emptied first when it is an artifact already.
    examples : sequence of Example
        What to fit the head on: both labels and both origins.
    held_out : sequence of Example
        Other sources, to set the thresholds on; when there are none, sources are left out in turn.
    options : BuildOptions
    worded : sequence of Example, optional
        More to fit on, of which only the words are read.

    Returns
    -------
    Artifact, ParityReport

    Raises
    ------
    ClickException
        As :func:`export.writing.finish` does.
    """
    record = load_record(weights)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    say(f"exporting {options.precision} graph, {options.layer} layers")
    (out / MODEL_FILE).write_bytes(
        export_graph(weights, options.layer, options.precision, options.adapter).SerializeToString(deterministic=True)
    )
    (out / TOKENIZER_FILE).write_text(plain_definition((weights / TOKENIZER_FILE).read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(Path(__file__).parents[1] / name, out / name)
    config = _config(record, weights, out, options)
    with _exact(weights, options) as exact:
        pasts = _pasts(exact, config)
        tensors = {f"prefix.{o}.{part}": getattr(past, part) for o, past in pasts.items() for part in ("keys", "values")}
        draft = write_draft(out, config, tensors, _blank(config))
        say(f"fitting the head on {len(examples)} texts, and on the words of {len(worded)} more")
        rounded = None if options.precision == "fp32" else exact
        head = fit_head(Firewall(draft), examples, held_out, options.rates, exact=rounded, worded=worded, cache=options.cache)
    everything = [*examples, *worded]
    fitted_on = FittedOn(len(everything), sum(e.label for e in everything), len({e.source for e in everything}))
    config = replace(config, calibration=head.calibration, operating_points=head.points, fitted_on=fitted_on)
    return finish(out, config, tensors, head.scorer, weights, options.adapter)


def _config(record: WeightsRecord, weights: Path, out: Path, options: BuildOptions) -> ArtifactConfig:
    """The config, still with a neutral calibration and without operating points of its own."""
    model = json.loads((weights / CONFIG_FILE).read_text(encoding="utf-8"))
    base = BaseModel(
        record.id,
        record.revision,
        record.source,
        record.license,
        record.files["model.safetensors"],
        record.files[TOKENIZER_FILE],
        None if options.adapter is None else file_sha256(options.adapter),
    )
    encoder = EncoderConfig(
        layer=options.layer,
        final_norm=False,
        hidden_size=model["hidden_size"],
        key_value_heads=model["num_key_value_heads"],
        head_size=model["hidden_size"] // model["num_attention_heads"],
        vocabulary_size=model["vocab_size"],
        opset=OPSET,
        precision=options.precision,
        recipe=RECIPE if options.precision == "int8" else "none",
    )
    blank = tuple(OperatingPoint(o, options.default_fpr, 1.0, 0.0, 0, 0, "none yet") for o in ORIGINS)
    window = WindowConfig(options.window, options.stride)
    return ArtifactConfig(
        SCHEMA_VERSION,
        options.name,
        base,
        encoder,
        window,
        POOLING,
        options.segment,
        HEAD,
        prefixes(out / TOKENIZER_FILE),
        {str(o): Calibration(1.0, 0.0, 0.0, 1.0, 1) for o in ORIGINS},
        blank,
        options.default_fpr,
    )


def prefixes(tokenizer: Path) -> dict[Origin, Prefix]:
    """What stands before the texts of each origin, by a ``tokenizer.json``."""
    encode = Tokenizer.load(tokenizer).encode
    return {origin: Prefix(text, (FIRST_TOKEN, *map(int, encode(text).ids))) for origin, text in PREFIX_TEXTS.items()}


def _pasts(exact: Encoder, config: ArtifactConfig) -> dict[Origin, Past]:
    """Keys and values of each origin's prefix, from the fp32 graph: they are computed once, so they need not be quantised."""
    shape = (config.encoder.layer, config.encoder.key_value_heads, 0, config.encoder.head_size)
    empty = Past(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    return {o: exact.past_of(np.array(config.prefixes[o].ids, np.int64), empty) for o in ORIGINS}


@contextmanager
def _exact(weights: Path, options: BuildOptions) -> Iterator[Encoder]:
    """The graph in fp32."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / MODEL_FILE
        path.write_bytes(export_graph(weights, options.layer, "fp32", options.adapter).SerializeToString())
        yield Encoder(path, resolve_threads())


def _blank(config: ArtifactConfig) -> Scorer:
    """A head that has seen nothing, to load the graph and the prefixes with before there is another."""
    n_features = 2 * config.encoder.hidden_size + 1
    ones, none = np.ones(n_features, np.float32), np.zeros(1, np.float32)
    silent = Perceptron((np.zeros((1, 1), np.float32),), (none,))
    blank = Part(Detector(0 * ones, ones, np.eye(1, n_features, dtype=np.float32), none, none, silent), blank_wording())
    return Scorer(dict.fromkeys(ORIGINS, blank))
