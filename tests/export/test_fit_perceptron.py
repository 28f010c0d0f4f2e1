"""Labelled segments to a perceptron."""

import numpy as np
import pytest

from alknet_firewall.bags import UNKNOWN, worst_segments
from export.perceptron import LabelledSegments, PerceptronOptions, fit_perceptron

pytestmark = pytest.mark.offline_world

OPTIONS = PerceptronOptions(width=16, epochs=200.0, texts=32, decay=0.01, dropout=0.0, input_dropout=0.0)


def bags(n_texts=120, n_segments=4, seed=0):
    """Texts whose attack is a segment of which two coordinates have the same sign: no linear head can tell."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_texts) % 2
    signs = rng.choice([-1.0, 1.0], (n_texts, n_segments))
    other = -signs
    witness = rng.integers(0, n_segments, n_texts)
    other[labels == 1, witness[labels == 1]] *= -1
    coordinates = np.stack([signs, other, rng.normal(size=signs.shape)], axis=2) + 0.1 * rng.normal(size=(*signs.shape, 3))
    texts = np.repeat(np.arange(n_texts), n_segments)
    known = np.full(len(texts), UNKNOWN)
    return LabelledSegments(coordinates.reshape(-1, 3).astype(np.float32), texts, known, labels, np.ones(n_texts))


def accuracy(perceptron, data):
    return ((worst_segments(perceptron.logits(data.coordinates), data.texts) > 0) == data.labels).mean()


def test_it_finds_the_segment_that_makes_a_text_an_attack_where_no_linear_head_could():
    assert accuracy(fit_perceptron(bags(), OPTIONS), bags(seed=1)) > 0.9


def test_the_same_seed_gives_the_same_perceptron():
    options = PerceptronOptions(width=8, epochs=2.0)
    first, again = fit_perceptron(bags(), options), fit_perceptron(bags(), options)
    other = fit_perceptron(bags(), PerceptronOptions(width=8, epochs=2.0, seed=1))
    np.testing.assert_array_equal(first.weights[0], again.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])


def test_its_numbers_are_those_that_half_precision_keeps():
    perceptron = fit_perceptron(bags(), PerceptronOptions(width=8, epochs=2.0))
    for array in (*perceptron.weights, *perceptron.biases):
        np.testing.assert_array_equal(array, array.astype(np.float16))


def test_what_rounding_moves_is_not_listened_to():
    """The third coordinate tells as well as the two, and rounding moves it by more than it says."""
    data = bags()
    data.coordinates[:, 2] = 0.5 * np.sign(data.coordinates[:, 0] * data.coordinates[:, 1])
    rounding = np.zeros((50, 3), np.float32)
    rounding[:, 2] = np.random.default_rng(0).normal(size=50)
    moved = []
    for differences in (None, rounding):
        perceptron = fit_perceptron(data, OPTIONS, differences)
        noise = rounding[np.arange(len(data.texts)) % 50]
        moved.append(np.std(perceptron.logits(data.coordinates + noise) - perceptron.logits(data.coordinates)))
    assert moved[1] < 0.5 * moved[0]


def test_a_text_without_weight_teaches_nothing():
    data = bags()
    wrong = LabelledSegments(
        data.coordinates, data.texts, data.known, np.where(np.arange(120) < 40, 1 - data.labels, data.labels), data.weights
    )
    silenced = LabelledSegments(data.coordinates, data.texts, data.known, wrong.labels, np.where(np.arange(120) < 40, 0.0, 1.0))
    assert accuracy(fit_perceptron(silenced, OPTIONS), bags(seed=1)) > 0.9


def test_few_texts_are_looked_at_until_something_is_learnt():
    data = bags()
    options = PerceptronOptions(width=64, epochs=1.0, texts=32, rate=0.01, dropout=0.0, input_dropout=0.0)
    logits = worst_segments(fit_perceptron(data, options).logits(data.coordinates).astype(float), data.texts)
    assert ((logits > np.median(logits)) == (data.labels == 1)).mean() > 0.9
