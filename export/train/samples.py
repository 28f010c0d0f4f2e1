"""Labelled texts -> token samples -> batches of similar length in which a pair stays together."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alknet_firewall.bags import known_labels
from alknet_firewall.pooling import segment_ends
from alknet_firewall.tokenizer import Tokenizer
from alknet_firewall.verdict import Origin
from export.data import Example, is_corpus
from export.train.options import TrainOptions

POOL = 2048
"""Samples that are sorted by length together: large enough for little padding, small enough to stay shuffled."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One window of a text behind its prefix.

    Attributes
    ----------
    ids : ndarray of uint16
        Prefix and text.
    n_prefix : int
    label : int
        Of the text.
    segments : ndarray of int8
        Label of each segment where it is known, else :data:`alknet_firewall.bags.UNKNOWN`.
    origin, source, pair
        Of the example that it was made from; see :class:`export.data.Example`.
    """

    ids: npt.NDArray[np.uint16]
    n_prefix: int
    label: int
    segments: npt.NDArray[np.int8]
    origin: Origin
    source: str
    pair: str | None = None


def tokenise(
    examples: Sequence[Example], tokenizer: Tokenizer, prefixes: Mapping[Origin, Sequence[int]], options: TrainOptions
) -> list[Sample]:
    """A window of each text, drawn at random among those that carry its label.

    That is any window of a harmless text, a window with the whole injected part where that is known, and the first of
    another attack in a prompt. An attack in long content whose place is not known is left out.
    """
    rng = random.Random(options.seed)
    samples = []
    for example in examples:
        tokens = tokenizer.encode(example.text[: 64 * options.max_tokens])
        injected = _token_range(tokens.offsets, example.injected)
        start = _window_start(len(tokens.ids), injected, example, options.max_tokens, rng)
        if start is None:
            continue
        ids = tokens.ids[start : start + options.max_tokens]
        inside = None if injected is None else (injected[0] - start, injected[1] - start)
        prefix = np.array(prefixes[example.origin], np.uint16)
        labels = _segment_labels(len(ids), inside, options.segment)
        window = np.concatenate([prefix, ids.astype(np.uint16)])
        samples.append(Sample(window, len(prefix), example.label, labels, example.origin, example.source, example.pair))
    return samples


def batches(samples: Sequence[Sample], options: TrainOptions) -> Iterator[list[Sample]]:
    """Shuffled batches of about `batch_tokens` tokens, without end.

    Families are balanced: each round draws of every source as many samples as the root of its size is worth. Files and
    our own corpus get their shares of a round, `options.data_share`; a small source may be drawn several times for it.
    Both samples of a pair go in the same batch.
    """
    rng = random.Random(options.seed + 1)
    units = _units(samples)
    times = _times_drawn(units, options.data_share)
    while True:
        drawn = [unit for unit in units for _ in range(int(times[unit[0].source] + rng.random()))]
        rng.shuffle(drawn)
        for start in range(0, len(drawn), POOL):
            pool = sorted(drawn[start : start + POOL], key=_longest)
            grouped = list(_grouped(pool, options.batch_tokens))
            rng.shuffle(grouped)
            yield from grouped


def _token_range(offsets: np.ndarray, injected: tuple[int, int] | None) -> tuple[int, int] | None:
    """Tokens that the injected characters touch; None when the text was cut before them."""
    if injected is None:
        return None
    touched = np.flatnonzero((offsets[:, 1] > injected[0]) & (offsets[:, 0] < injected[1]))
    return (int(touched[0]), int(touched[-1]) + 1) if len(touched) else None


def _window_start(n_tokens: int, injected: tuple[int, int] | None, example: Example, size: int, rng: random.Random) -> int | None:
    """Where the window begins; None when no window is sure to carry the label."""
    last = n_tokens - size
    if last <= 0:
        return 0
    if example.label == 0:
        return rng.randint(0, last) if rng.random() < 0.5 else 0
    if injected is not None:
        low, high = max(0, injected[1] - size), min(injected[0], last)
        return rng.randint(low, high) if low <= high else min(injected[0], last)
    return 0 if example.origin == "prompt" and example.injected is None else None


def _segment_labels(n_tokens: int, injected: tuple[int, int] | None, size: int) -> npt.NDArray[np.int8]:
    """What is known of each segment of a window; `injected` counts tokens."""
    ends = segment_ends(n_tokens, size).tolist()
    return np.array(known_labels(zip([0, *ends[:-1]], ends, strict=True), injected), np.int8)


def _units(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Pairs, and single samples."""
    pairs: defaultdict[str, list[Sample]] = defaultdict(list)
    units = []
    for sample in samples:
        if sample.pair is None:
            units.append([sample])
        else:
            pairs[sample.pair].append(sample)
    return units + list(pairs.values())


def _times_drawn(units: Sequence[Sequence[Sample]], data_share: float) -> dict[str, float]:
    """How often a unit of each source is drawn in a round, on average.

    Of our own corpus the rarest are drawn once, others by the inverse root of their size; files follow the same rule among
    themselves and are drawn as often as it takes to have their share of the samples.
    """
    counts, sizes = Counter[str](), Counter[str]()
    for unit in units:
        source = unit[0].source
        counts[source] += 1
        sizes[source] += len(unit)
    typical = sorted(counts.values())[len(counts) // 2]
    times = {source: min(1.0, (typical / count) ** 0.5) for source, count in counts.items()}
    own = sum(times[source] * size for source, size in sizes.items() if is_corpus(source))
    files = sum(times[source] * size for source, size in sizes.items() if not is_corpus(source))
    if not own or not files or not data_share:
        return times
    more = data_share / (1 - data_share) * own / files
    return {source: value if is_corpus(source) else value * more for source, value in times.items()}


def _longest(unit: Sequence[Sample]) -> int:
    return max(len(sample.ids) for sample in unit)


def _grouped(pool: Sequence[Sequence[Sample]], batch_tokens: int) -> Iterator[list[Sample]]:
    """Neighbours of a pool sorted by length, as many as fit."""
    batch: list[Sample] = []
    for unit in pool:
        if batch and _longest(unit) * (len(batch) + len(unit)) > batch_tokens:
            yield batch
            batch = []
        batch += unit
    if batch:
        yield batch
