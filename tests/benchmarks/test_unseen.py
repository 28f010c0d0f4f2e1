"""The texts that benchmarks/unseen.py measures on, and those that thresholds are set on."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from benchmarks.unseen import read_texts  # noqa: E402
from export.corpus.parts import PARTS_FOLDER, Parts, read_list  # noqa: E402
from export.data import APART, file_examples  # noqa: E402


def plain(text):
    return " ".join(text.lower().split())


@pytest.fixture(scope="module")
def parts():
    """Every English part that is too long for two people to have written it by chance."""
    lists = [part for path in PARTS_FOLDER.glob("*.en.list") for own in read_list(path).values() for part in own]
    blocks = [block.text for path in PARTS_FOLDER.glob("*.blocks") for block in Parts().blocks(path.stem)]
    return [text for text in map(plain, [*lists, *blocks]) if len(text) > 80]


@pytest.mark.parametrize("origin", ["prompt", "content"])
def test_there_are_attacks_and_harmless_texts_of_many_kinds(origin):
    texts = read_texts(origin)
    assert {e.origin for e in texts} == {origin}
    for label in (0, 1):
        own = [e for e in texts if e.label == label]
        assert len(own) >= 100
        assert len({e.source for e in own}) >= 5


def test_nothing_is_in_two_places(parts):
    measured = [plain(e.text) for origin in ("prompt", "content") for e in read_texts(origin)]
    held_out = [plain(e.text) for e in file_examples([APART])]
    assert len({*measured, *held_out}) == len(measured) + len(held_out)
    starts = {part[:24] for part in parts}
    shared = [text for text in (*measured, *held_out) if any(text[i : i + 24] in starts for i in range(max(1, len(text) - 24)))]
    copied = [text for text in shared if any(part in text for part in parts)]
    assert copied == []
