"""Near duplicates: rows that share most of their word 5-grams."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from export.corpus.row import Row
from export.corpus.words import words

SHINGLE = 5
NEAR = 0.8
_CHUNK = 500


@dataclass(frozen=True)
class Nearness:
    """Rows of one family that have a near duplicate in the sample.

    Attributes
    ----------
    n_rows : int
        Rows of the family in the sample.
    same, other : float
        Share of them with a near duplicate of the same label, and of the other label. A row's own twin is not counted.
    """

    family: str
    label: int
    n_rows: int
    same: float
    other: float


def shingles(text: str) -> set[str]:
    """The text's word 5-grams; all of it when it has fewer words."""
    tokens = words(text)
    return {" ".join(tokens[i : i + SHINGLE]) for i in range(max(1, len(tokens) - SHINGLE + 1))}


def near_duplicates(rows: Sequence[Row], n_sample: int, seed: int) -> list[Nearness]:
    """Share of rows with a near duplicate (Jaccard similarity of word 5-grams at least 0.8), by family, in a sample.

    The similarity is exact: the product of a sparse 0/1 matrix with its transpose holds every intersection, which for tens of thousands
    of rows is as quick as MinHash and needs no dependency beside scikit-learn.

    Parameters
    ----------
    rows : sequence of Row
    n_sample : int
        At most so many rows are compared; the shares grow with it.
    seed : int

    Returns
    -------
    list of Nearness
        By label, the most repetitive family first.
    """
    chosen = random.Random(seed).sample(list(rows), min(n_sample, len(rows)))
    found = _compare(chosen)
    families = sorted({(row.label, row.family) for row in chosen})
    result = []
    for label, family in families:
        indices = [i for i, row in enumerate(chosen) if (row.label, row.family) == (label, family)]
        same, other = (sum(i in found[kind] for i in indices) / len(indices) for kind in (True, False))
        result.append(Nearness(family, label, len(indices), same, other))
    return sorted(result, key=lambda n: (n.label, -n.same, n.family))


def _compare(rows: Sequence[Row]) -> dict[bool, set[int]]:
    """Indices of rows with a near duplicate of the same label (True) and of the other (False)."""
    from sklearn.feature_extraction.text import CountVectorizer

    matrix = CountVectorizer(analyzer=lambda row: sorted(shingles(row.text)), binary=True).fit_transform(rows)
    sizes = matrix.sum(axis=1).A1 if hasattr(matrix.sum(axis=1), "A1") else matrix.sum(axis=1)
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for start in range(0, len(rows), _CHUNK):
        for i, j in _near(matrix, sizes, start):
            if rows[i].pair is None or rows[i].pair != rows[j].pair:
                found[rows[i].label == rows[j].label].add(i)
    return found


def _near(matrix: Any, sizes: Any, start: int) -> list[tuple[int, int]]:
    """Pairs (row, other row) of one chunk of rows that are near duplicates."""
    shared = (matrix[start : start + _CHUNK] @ matrix.T).tocoo()
    left, right = shared.row + start, shared.col
    near = (shared.data >= NEAR * (sizes[left] + sizes[right] - shared.data)) & (left != right)
    return list(zip(left[near].tolist(), right[near].tolist(), strict=True))
