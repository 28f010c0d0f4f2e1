"""Scores that are kept, so that an ablation goes on where it was stopped."""

import numpy as np
import pytest

from export.measured import Measured, Variant


def test_steps_that_were_measured_are_not_measured_again(tmp_path):
    runs = []

    def step():
        runs.append(1)
        return [Variant("whole head, views", np.array([0.1, 0.2])), Variant("int8", np.array([3.0, 4.0]))]

    first, again = (Measured(tmp_path, ["a", 1]).step("graph", step) for _ in range(2))
    assert len(runs) == 1
    assert [v.name for v in first] == [v.name for v in again] == ["whole head, views", "int8"]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    Measured(tmp_path, ["a", 2]).step("graph", step)
    Measured(tmp_path, ["a", 1]).step("frozen", step)
    assert len(runs) == 3
    Measured(tmp_path, ["a", 1]).step("graph", step, "of another graph")
    Measured(tmp_path, ["a", 1]).step("graph", step, "of another graph")
    assert len(runs) == 4
    Measured(None, ["a", 1]).step("graph", step)
    assert len(runs) == 5


def test_a_step_that_was_stopped_leaves_nothing(tmp_path):
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Measured(tmp_path, []).step("graph", stopped)
    assert not list(tmp_path.rglob("*.safetensors"))
