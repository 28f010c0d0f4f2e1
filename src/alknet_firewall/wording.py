"""Words to evidence (floor 2, numpy only): hashed n-grams of a segment and of what stands just before it.

The hidden states say what a text means as far as the backbone can read it. What attacks are usually worded like is told better, and in
languages that the backbone has hardly read only, by their words: n-grams of characters and of words, hashed (Weinberger et al. 2009,
"Feature hashing for large scale multitask learning"), with one weight a bucket. Everything is arithmetic on arrays, so that it takes a
fiftieth of the graph's time, and nothing is rounded to integers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.errors import ArtifactCorruptError
from alknet_firewall.tensors import Array, FloatArray, IntArray, float_tensor

REACH = 200
"""How far back from a segment's end its words are read, in letters: about three segments of English, and as much text in languages of which
the tokenizer makes more tokens. Never beyond the window, and never less than the segment."""

CHARACTERS = (2, 3, 4, 5)
"""Lengths of n-grams of characters. None goes beyond a word; the space before and after a word counts as one of its characters. Two
characters count only in scripts where one is a syllable or a word."""

WORDS = (1, 2, 3)
"""Lengths of n-grams of words."""

Hashes = npt.NDArray[np.uint64]

_SPACE = 32
_SYLLABLES, _LETTERS = 0x2E80, 3  # from here on (kana, Han, Hangul) a character says as much as a few letters
_PRIME = np.uint64(0x100000001B3)  # of FNV-1a
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: the product's upper bits are well mixed (Knuth, volume 3, section 6.4)


@dataclass(frozen=True)
class NGrams:
    """The n-grams of one kind and length in a window, in order.

    Attributes
    ----------
    hashes : ndarray of shape (n_grams,), uint64
    starts, ends : ndarray of shape (n_grams,), int64
        Half-open ranges of characters; both increase.
    """

    hashes: Hashes
    starts: IntArray
    ends: IntArray

    def buckets(self, n_buckets: int) -> IntArray:
        """Bucket of each, of a power of two of them."""
        shift = np.uint64(64 - (n_buckets.bit_length() - 1))
        return (self.hashes * _GOLDEN >> shift).astype(np.int64)

    def within(self, starts: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
        """Of each half-open range of characters, the half-open range of n-grams that lie in it."""
        first = np.searchsorted(self.starts, starts)
        return first, np.maximum(first, np.searchsorted(self.ends, ends, side="right"))


@dataclass(frozen=True)
class Wording:
    """What each bucket of n-grams says.

    Attributes
    ----------
    weights : ndarray of shape (n_buckets,), float32
        The number of buckets is a power of two.
    """

    weights: FloatArray

    def logits(self, pieces: Sequence[str]) -> FloatArray:
        """Evidence from the words of the segments of one window.

        Parameters
        ----------
        pieces : sequence of str
            Text of each segment, in order.

        Returns
        -------
        ndarray of shape (n_segments,), float32
            Sum of the weights of a segment's n-grams, divided by the root of their number; 0 where there are none.
        """
        total, count = np.zeros(len(pieces)), np.zeros(len(pieces))
        kinds, starts, ends = n_grams(pieces)
        for grams in kinds:
            sums = np.concatenate([[0.0], np.cumsum(self.weights[grams.buckets(len(self.weights))], dtype=np.float64)])
            first, last = grams.within(starts, ends)
            total += sums[last] - sums[first]
            count += last - first
        return (total / np.sqrt(np.maximum(count, 1.0))).astype(np.float32)

    def as_tensors(self, origin: str) -> dict[str, Array]:
        """Named arrays for :func:`alknet_firewall.tensors.save_tensors`, in half precision."""
        return {f"wording.{origin}.weights": self.weights.astype(np.float16)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], origin: str, where: str) -> Wording:
        """Build from named arrays.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            What :meth:`as_tensors` gave.
        origin : str
        where : str
            File they came from, for the error.

        Returns
        -------
        Wording

        Raises
        ------
        ArtifactCorruptError
            If the tensor is missing, not float16, not finite, or not a power of two long.
        """
        name = f"wording.{origin}.weights"
        found = float_tensor(tensors, name, where, stored="float16")
        if found.ndim != 1 or len(found) < 2 or len(found) & (len(found) - 1) or not np.isfinite(found).all():
            raise ArtifactCorruptError(
                f"{where}: tensor {name} must be one row of finite numbers, a power of two long. Fetch or build the artifact again."
            )
        return cls(found)


def n_grams(pieces: Sequence[str]) -> tuple[list[NGrams], IntArray, IntArray]:
    """The n-grams of a window, and what each segment is read with.

    Case, compatibility forms (NFKC) and the kind and number of spaces make no difference.

    Parameters
    ----------
    pieces : sequence of str
        Text of each segment of a window, in order.

    Returns
    -------
    kinds : list of NGrams
        One for each length of :data:`CHARACTERS` and of :data:`WORDS`.
    starts, ends : ndarray of shape (n_segments,), int64
        Half-open ranges of characters, as the n-grams count them: a segment and what stands before it, up to :data:`REACH`.
    """
    characters, bounds = _characters(pieces)
    ends, letters = bounds[1:], np.cumsum(np.where(characters < _SYLLABLES, 1, _LETTERS))
    starts = np.minimum(bounds[:-1], np.searchsorted(letters, letters[ends - 1] - REACH, side="right"))
    words = _words(characters)
    return [*_of_characters(characters), *_of_words(words)], starts, ends


def contexts(pieces: Sequence[str], n_buckets: int) -> Iterator[IntArray]:
    """Buckets of the n-grams that each segment of a window is read with, to fit weights on.

    Parameters
    ----------
    pieces : sequence of str
        Text of each segment, in order.
    n_buckets : int
        A power of two.

    Yields
    ------
    ndarray of shape (n_grams,), int64
        With repetitions.
    """
    kinds, starts, ends = n_grams(pieces)
    found = [(grams.buckets(n_buckets), *grams.within(starts, ends)) for grams in kinds]
    for segment in range(len(pieces)):
        yield np.concatenate([buckets[first[segment] : last[segment]] for buckets, first, last in found])


def _characters(pieces: Sequence[str]) -> tuple[Hashes, IntArray]:
    """Code points of the normalised text between two spaces, and where its pieces begin and the last one ends."""
    normal = [unicodedata.normalize("NFKC", piece).casefold() for piece in pieces]
    points = np.frombuffer(f" {''.join(normal)} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    space = (points <= _SPACE) | (points == 0x85) | (points == 0x2028) | (points == 0x2029)  # NFKC makes the others one of these
    points[space] = _SPACE
    keep = ~space
    keep[1:] |= ~space[:-1]
    keep[0] = True
    position = np.concatenate([[0], np.cumsum(keep)])
    bounds = position[np.cumsum([1, *map(len, normal)])]
    bounds[0], bounds[-1] = 0, int(keep.sum())  # the spaces around the text are the first and the last segment's
    return points[keep], bounds.astype(np.int64)


def _of_characters(points: Hashes) -> Iterator[NGrams]:
    """N-grams of characters that do not go beyond a word."""
    spaces = np.concatenate([[0], np.cumsum(points == _SPACE)])
    hashes = np.zeros(len(points), np.uint64)
    for n in range(1, max(CHARACTERS) + 1):
        starts = np.arange(max(0, len(points) - n + 1))
        hashes = hashes[: len(starts)] * _PRIME + points[n - 1 :]
        if n in CHARACTERS:
            whole = spaces[starts + n - 1] == spaces[starts + 1] if n > 2 else (points[:-1] >= _SYLLABLES) & (points[1:] >= _SYLLABLES)
            starts = starts[whole]
            yield NGrams(hashes[whole] + np.uint64(n), starts, starts + n)


def _words(points: Hashes) -> NGrams:
    """The words, as n-grams of one."""
    inside = np.concatenate([[False], points != _SPACE, [False]])
    starts, ends = np.flatnonzero(inside[1:] & ~inside[:-1]), np.flatnonzero(inside[:-1] & ~inside[1:])
    if not len(starts):
        return NGrams(np.zeros(0, np.uint64), starts, ends)
    place = np.arange(len(points)) - np.repeat([0, *starts], np.diff([0, *starts, len(points)]))
    powers = _PRIME ** np.arange(len(points), dtype=np.uint64)
    terms = np.where(points == _SPACE, np.uint64(0), points * powers[place])
    return NGrams(np.add.reduceat(terms, starts), starts, ends)


def _of_words(words: NGrams) -> Iterator[NGrams]:
    """N-grams of words."""
    hashes = np.zeros(len(words.hashes), np.uint64)
    for n in WORDS:
        size = max(0, len(words.hashes) - n + 1)
        hashes = hashes[:size] * _PRIME + words.hashes[n - 1 :]
        yield NGrams(hashes + np.uint64(len(CHARACTERS) + n), words.starts[:size], words.ends[n - 1 :])
