"""Token samples on disk: composing and reading a corpus takes longer than a GPU needs to train on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alknet_firewall.tensors import load_tensors, save_tensors
from alknet_firewall.verdict import ORIGINS
from export.train.samples import Sample

SAMPLES_FILE, WATCHED_FILE = "samples.safetensors", "watched.safetensors"


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as one safetensors file: all their ids, all their segments' labels, and a table with a row for each."""
    sources = sorted({s.source for s in samples})
    pairs = sorted({s.pair for s in samples if s.pair is not None})
    source_row = {name: row for row, name in enumerate(sources)}
    pair_row = {None: -1, **{name: row for row, name in enumerate(pairs)}}
    table = [
        (len(s.ids), s.n_prefix, s.label, len(s.segments), ORIGINS.index(s.origin), source_row[s.source], pair_row[s.pair]) for s in samples
    ]
    save_tensors(
        path,
        {
            "ids": np.concatenate([s.ids for s in samples]),
            "segments": np.concatenate([s.segments for s in samples]),
            "table": np.array(table, np.int32),
            "names": np.frombuffer(json.dumps([sources, pairs]).encode(), np.uint8),
        },
    )


def read_samples(path: Path) -> list[Sample]:
    """Samples as :func:`write_samples` wrote them."""
    arrays = load_tensors(path)
    sources, pairs = json.loads(arrays["names"].tobytes())
    table = arrays["table"]
    ids = np.split(arrays["ids"], np.cumsum(table[:-1, 0]))
    segments = np.split(arrays["segments"], np.cumsum(table[:-1, 3]))
    return [
        Sample(own, n_prefix, label, known, ORIGINS[origin], sources[source], None if pair < 0 else pairs[pair])
        for own, known, (_, n_prefix, label, _, origin, source, pair) in zip(ids, segments, table.tolist(), strict=True)
    ]
