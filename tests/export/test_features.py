"""Features that are kept from one build to the next."""

import dataclasses

import numpy as np
import pytest

from export import features
from export.data import corpus_examples
from export.features import extract, reading_with


@pytest.fixture(scope="module")
def examples():
    return corpus_examples(12, 4)


def same(first, second):
    for field in dataclasses.fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "windows":
            assert one == other
        else:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_features_that_were_kept_are_those_that_were_read(embedded, examples, tmp_path, monkeypatch):
    read = extract(embedded, examples, 600, cache=tmp_path / "new")
    same(read, extract(embedded, examples, 600))
    monkeypatch.setattr(features, "_read", None)  # the graph must not be run again
    same(read, extract(embedded, examples, 600, cache=tmp_path / "new"))


def test_a_firewall_that_cuts_otherwise_does_not_get_the_features_of_the_one_before(embedded, examples, tmp_path):
    other = reading_with(embedded, config=dataclasses.replace(embedded.reader.config, segment=32))
    first = extract(embedded, examples, 600, cache=tmp_path)
    same(extract(other, examples, 600, cache=tmp_path), extract(other, examples, 600))
    same(extract(embedded, examples, 600, cache=tmp_path), first)


def test_other_texts_labels_of_segments_lengths_and_views_are_read_anew(embedded, examples, tmp_path):
    told = next(i for i, e in enumerate(examples) if e.injected)
    untold = [dataclasses.replace(e, injected=None) if i == told else e for i, e in enumerate(examples)]
    extract(embedded, examples, 600, cache=tmp_path)
    extract(embedded, untold, 600, cache=tmp_path)
    extract(embedded, examples[:-1], 600, cache=tmp_path)
    extract(embedded, examples, 500, cache=tmp_path)
    extract(embedded, examples, 600, with_views=True, cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5
    same(extract(embedded, untold, 600, cache=tmp_path), extract(embedded, untold, 600))


def test_examples_are_kept_in_parts_and_those_that_follow_are_read_alone(embedded, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "KEPT_TOGETHER", 5)
    extract(embedded, examples[:10], 600, cache=tmp_path)
    read = []
    whole = features._read
    monkeypatch.setattr(features, "_read", lambda firewall, part, *a, **b: read.append(len(part)) or whole(firewall, part, *a, **b))
    same(extract(embedded, examples, 600, cache=tmp_path), whole(embedded, examples, 600, with_views=False))
    assert read == [2]
