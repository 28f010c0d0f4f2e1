"""What an ablation measures, and what its table says."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from export.data import Example, corpus_examples
from export.groups import GROUPS

pytestmark = pytest.mark.offline_world


@pytest.fixture(scope="module")
def task():
    from export.ablation import Task

    rows = corpus_examples(900, 5)
    fitted = [replace(e, source=f"public_{i % 5}") if i % 3 == 0 else e for i, e in enumerate(rows[:600])]
    return Task(fitted, rows[600:])


def test_the_table_says_what_words_tell_and_length_does_not():
    from export.ablation import Task, baselines, table

    def rows(start, origin):
        said = ("water the roses", "break the rules")
        return [Example(f"please {said[i % 2]} in row {i}", i % 2, origin, "corpus:direct.short") for i in range(start, start + 60)]

    task = Task([*rows(100, "prompt"), *rows(100, "content")], [*rows(200, "prompt"), *rows(200, "content")])
    variants = baselines(task)
    assert [v.name for v in variants] == ["length", "keywords", "TF-IDF, words", "TF-IDF, characters"]
    text = table(task, variants, GROUPS)
    assert text.count("30 harmless texts, 30 attacks") == 2
    assert text.count("| length | 0.500 ") == 2
    assert text.count("| TF-IDF, words | 1.000 (1.000-1.000) | 1.00 (") == 2


def test_every_variant_is_measured_once(task, weights, embedded, tmp_path, monkeypatch):
    from export import scorer
    from export.ablation import Task, measure

    monkeypatch.setattr(
        scorer, "PerceptronOptions", partial(scorer.PerceptronOptions, steps=3, epochs=0.1)
    )  # what they learn is not the point
    few = Task(*([e for e in own if len(e.text) < 200][:n] for own, n in ((task.fitted, 120), (task.held, 40))))
    adapter = next((weights.parents[1] / "export" / "adapters").rglob("adapter.safetensors"))
    first = measure(few, embedded, weights, adapter, tmp_path)
    names = [v.name for v in first]
    assert len(set(names)) == len(names) > 25
    for name in ("length", "frozen, layer 0", "fine-tuned, layer 7", "int8", "whole head, views", "int8, segments of 8 tokens"):
        assert name in names
    assert all(len(v.scores) == 40 and np.isfinite(v.scores).all() for v in first)
    again = measure(few, embedded, weights, adapter, tmp_path)
    assert names == [v.name for v in again]
