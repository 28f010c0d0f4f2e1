"""Examples -> what the head sees of them, by the very graph that ships."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from alknet_firewall import __version__
from alknet_firewall.artifact import MODEL_FILE
from alknet_firewall.bags import known_labels, renumbered
from alknet_firewall.firewall import Firewall
from alknet_firewall.reader import Segment
from alknet_firewall.replacing import replacing
from alknet_firewall.tensors import Array, FloatArray, IntArray, load_tensors, save_tensors
from alknet_firewall.verdict import PLAIN
from export.data import Example

LONGEST_CHARACTERS = 3_000
"""Texts are fitted on up to here: what follows in a long text is more of the same, and takes most of the time."""

CHUNK = 64
"""Examples that are read at a time."""

KEPT_TOGETHER = 1024
"""Examples whose features are kept in one file: a build that was stopped, or is given more examples after those it had, goes on there."""

Windows = tuple[tuple[int, tuple[str, ...]], ...]
"""Of each window: which example it belongs to, and the text of its segments."""


@dataclass(frozen=True)
class Words:
    """Segments of examples: their words, and what is known of them.

    Attributes
    ----------
    windows : tuple of (int, tuple of str)
        Each window: which example it belongs to, and the text of its segments.
    texts : ndarray of shape (n_segments,), int64
        Which example a segment belongs to.
    known : ndarray of shape (n_segments,), int64
        Label of a segment where the example says which characters are the attack, else :data:`alknet_firewall.bags.UNKNOWN`.
    """

    windows: Windows
    texts: IntArray
    known: IntArray

    @property
    def pieces(self) -> list[tuple[str, ...]]:
        """Text of the segments of each window."""
        return [own for _, own in self.windows]

    def subset(self, chosen: IntArray) -> Words:
        """The segments of the chosen examples, which are counted from 0 again; `chosen` increases."""
        kept, texts = renumbered(self.texts, chosen, int(self.texts.max()) + 1)
        return Words(_of_chosen(self.windows, chosen), texts, self.known[kept])


@dataclass(frozen=True)
class FeatureSet(Words):
    """Segments of examples of which the hidden states are read as well.

    Attributes
    ----------
    windows, texts, known
        As in :class:`Words`.
    features : ndarray of shape (n_segments, 2 * hidden_size), float32
        What their hidden states say.
    lengths : ndarray of shape (n_examples,), int64
        Segments of each example's own text, views not counted.
    """

    features: FloatArray
    lengths: IntArray

    @property
    def words(self) -> Words:
        """The same segments without their features."""
        return Words(self.windows, self.texts, self.known)

    def subset(self, chosen: IntArray) -> FeatureSet:
        """The segments of the chosen examples, which are counted from 0 again; `chosen` increases."""
        kept, texts = renumbered(self.texts, chosen, len(self.lengths))
        return FeatureSet(_of_chosen(self.windows, chosen), texts, self.known[kept], self.features[kept], self.lengths[chosen])


def _of_chosen(windows: Windows, chosen: IntArray) -> Windows:
    """The windows of the chosen examples, which are counted from 0 again."""
    position = {int(text): i for i, text in enumerate(chosen)}
    return tuple((position[text], own) for text, own in windows if text in position)


def read_words(firewall: Firewall, examples: Sequence[Example], longest: int) -> Words:
    """Words of every segment of every example, up to the first `longest` characters of it; the graph is not run."""
    windows = [
        (index, firewall.reader.cut(window))
        for index, example in enumerate(examples)
        for window in firewall.reader.windows(index, example.text[:longest])
    ]
    known = [known_labels([(start, end) for start, end, _ in cut], examples[index].injected) for index, cut in windows]
    return Words(
        tuple((index, tuple(text for _, _, text in cut)) for index, cut in windows),
        np.repeat([index for index, _ in windows], [len(cut) for _, cut in windows]),
        np.concatenate([np.array(own, np.int64) for own in known]),
    )


def extract(
    firewall: Firewall, examples: Sequence[Example], longest: int | None = None, *, with_views: bool = False, cache: Path | None = None
) -> FeatureSet:
    """Features of every segment of every example, in the order of the examples; of the first `longest` characters, or of all.

    With a folder as `cache` they are kept there, and read from there when the same graph is to read the same texts in the same way.
    """
    if cache is None:
        return _read(firewall, examples, longest, with_views=with_views)
    paths = []
    for start in range(0, len(examples), KEPT_TOGETHER):
        part = examples[start : start + KEPT_TOGETHER]
        paths.append(cache / f"{_identity(firewall, part, longest, with_views=with_views)}.safetensors")
        if not paths[-1].exists():
            _keep(paths[-1], _read(firewall, part, longest, with_views=with_views))
    return _joined([_kept(path) for path in paths])


def _identity(firewall: Firewall, examples: Sequence[Example], longest: int | None, *, with_views: bool) -> str:
    """Hash of all that features depend on: the graph, how it is used, and what it reads."""
    rows = [(e.text, e.origin, e.injected) for e in examples]
    everything = [firewall.artifact.manifest.files[MODEL_FILE].sha256, __version__, how_read(firewall), longest, with_views, rows]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def how_read(firewall: Firewall) -> dict[str, Any]:
    """How texts are cut, and what is taken of their states: everything but the graph. :func:`reading_with` may have changed it."""
    config = firewall.reader.config.as_dict()
    return {name: config[name] for name in ("encoder", "window", "pooling", "segment", "prefixes")}


def _keep(path: Path, features: FeatureSet) -> None:
    """Write features as one file."""
    windows = np.frombuffer(json.dumps(features.windows).encode(), np.uint8)
    arrays = {name: getattr(features, name) for name in ("features", "texts", "known", "lengths")}
    save_whole(path, {**arrays, "windows": windows})


def save_whole(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write arrays to a safetensors file, which has its name only when it is whole; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        save_tensors(new, tensors)


def _kept(path: Path) -> FeatureSet:
    """Features as :func:`_keep` wrote them."""
    arrays = load_tensors(path)
    windows = tuple((index, tuple(pieces)) for index, pieces in json.loads(arrays.pop("windows").tobytes()))
    return FeatureSet(windows=windows, **arrays)


def _joined(parts: Sequence[FeatureSet]) -> FeatureSet:
    """The parts of a list of examples as one."""
    before = np.cumsum([0, *(len(part.lengths) for part in parts)]).tolist()
    return FeatureSet(
        tuple((first + text, own) for first, part in zip(before, parts, strict=False) for text, own in part.windows),
        np.concatenate([first + part.texts for first, part in zip(before, parts, strict=False)]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.lengths for part in parts]),
    )


def _read(firewall: Firewall, examples: Sequence[Example], longest: int | None, *, with_views: bool) -> FeatureSet:
    """Run the graph."""
    windows: list[list[list[Segment]]] = []
    with click.progressbar(range(0, len(examples), CHUNK), label="features", file=sys.stderr) as chunks:
        for start in chunks:
            part = examples[start : start + CHUNK]
            rows: list[list[list[Segment]]] = [[] for _ in part]
            texts, origins = [e.text[:longest] for e in part], [e.origin for e in part]
            for index, own in firewall.reader.segments(texts, origins, with_views=with_views):
                rows[index].append(own)
            windows += rows
    return feature_set(windows, examples)


def feature_set(windows: Sequence[Sequence[Sequence[Segment]]], examples: Sequence[Example]) -> FeatureSet:
    """The segments of each window of each example as arrays."""
    segments = [[s for window in own for s in window] for own in windows]
    return FeatureSet(
        tuple((i, tuple(s.text for s in window)) for i, own in enumerate(windows) for window in own),
        np.repeat(np.arange(len(segments)), [len(own) for own in segments]),
        np.array(
            [
                label
                for own, e in zip(segments, examples, strict=True)
                for label in known_labels([(s.start, s.end) for s in own], e.injected)
            ]
        ),
        np.stack([s.features[:-1] for own in segments for s in own]),
        np.array([sum(s.view == PLAIN for s in own) for own in segments]),
    )


def reading_with(firewall: Firewall, **changes: Any) -> Firewall:
    """The same firewall, but for these attributes of its reader; the one given stays as it is."""
    other = copy(firewall)
    other.reader = copy(firewall.reader)
    for name, value in changes.items():
        setattr(other.reader, name, value)
    return other
