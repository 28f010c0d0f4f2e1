"""Coordinates to evidence, by layers."""

import numpy as np
import pytest

from alknet_firewall import ShapeError
from alknet_firewall.perceptron import Perceptron
from alknet_firewall.tensors import in_half_precision

ONE = np.ones((1, 2), np.float32)


def layers(*shapes):
    rng = np.random.default_rng(0)
    return Perceptron(
        tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes),
        tuple(rng.normal(size=shape[0]).astype(np.float32) for shape in shapes),
    )


def test_each_layer_takes_what_the_one_before_gives_where_it_is_positive():
    perceptron = layers((4, 3), (5, 4), (1, 5))
    row = [0.5, -2.0, 1.0]
    values = row
    for i, (weights, bias) in enumerate(zip(perceptron.weights, perceptron.biases, strict=True)):
        values = [sum(float(w) * v for w, v in zip(line, values, strict=True)) + float(b) for line, b in zip(weights, bias, strict=True)]
        values = values if i == 2 else [max(0.0, v) for v in values]
    assert perceptron.logits(np.array([row], np.float32))[0] == pytest.approx(values[0], abs=1e-5)


def test_what_two_things_say_together_is_more_than_their_sum():
    """The product that a linear head cannot form: exclusive or."""
    weights = (np.array([[1, -1], [-1, 1]], np.float32), np.ones((1, 2), np.float32))
    perceptron = Perceptron(weights, (np.zeros(2, np.float32), np.zeros(1, np.float32)))
    assert perceptron.logits(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)).tolist() == [0, 1, 1, 0]


def test_no_segments_give_no_evidence():
    assert layers((4, 3), (1, 4)).logits(np.zeros((0, 3), np.float32)).shape == (0,)


def test_evidence_may_be_made_stronger():
    perceptron, rows = layers((4, 3), (1, 4)), np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    np.testing.assert_allclose(perceptron.scaled(0.5).logits(rows), 0.5 * perceptron.logits(rows), atol=1e-2)


def test_another_coordinate_may_be_there_and_is_not_listened_to():
    perceptron, rows = layers((4, 3), (1, 4)), np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_array_equal(perceptron.widened().logits(rows), perceptron.logits(rows[:, :-1]))


def test_what_is_stored_is_what_half_precision_keeps():
    values = np.random.default_rng(1).normal(size=9)
    stored = layers((4, 3), (1, 4)).as_tensors("head")["head.layer0.weights"]
    np.testing.assert_array_equal(in_half_precision(values), values.astype(np.float16))
    assert stored.dtype == np.float16


@pytest.mark.parametrize(
    ("weights", "biases", "problem"),
    [
        ((), (), "must be a matrix"),
        ((np.ones(2),), (np.ones(1),), "must be a matrix"),
        ((np.ones((2, 2)),), (np.ones(2),), "the last have one output"),
        ((np.ones((3, 2)), ONE), (np.ones(3), np.ones(1)), "what the one before gives"),
        ((ONE,), (np.ones(2),), "biases of shapes"),
        ((ONE,), (), "biases of shapes"),
        ((ONE * np.nan,), (np.ones(1),), "finite"),
        ((ONE,), (np.full(1, np.inf),), "finite"),
    ],
)
def test_layers_that_do_not_fit_are_an_error(weights, biases, problem):
    with pytest.raises(ShapeError, match=problem):
        Perceptron(weights, biases)
