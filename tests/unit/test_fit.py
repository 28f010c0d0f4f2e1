"""Fitting: segments to a head."""

from dataclasses import replace

import numpy as np
import pytest

from alknet_firewall import InvalidInputError, ShapeError
from alknet_firewall.bags import UNKNOWN
from alknet_firewall.fit import FitOptions, fit_detector

N_FEATURES = 24
OPTIONS = FitOptions(n_components=N_FEATURES - 1, regularization=1.0)


def bags(n_texts=400, n_segments=6, seed=0):
    """Texts of several segments, all noise, but for one segment of each attack that is moved along one direction."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_texts) % 2
    texts = np.repeat(np.arange(n_texts), n_segments)
    features = rng.normal(size=(len(texts), N_FEATURES)).astype(np.float32)
    carriers = np.flatnonzero(labels) * n_segments + rng.integers(0, n_segments, labels.sum())
    features[carriers, 0] += 4
    return features, texts, labels, carriers


def test_the_segment_that_carries_the_attack_is_found_without_being_told():
    features, texts, labels, carriers = bags()
    detector = fit_detector(features, texts, labels, np.ones(len(labels)), OPTIONS)
    logits = detector.logits(features)
    found = [int(np.flatnonzero(texts == text)[logits[texts == text].argmax()]) for text in np.flatnonzero(labels)]
    assert np.mean(np.isin(found, carriers)) > 0.8


def test_being_told_which_segments_carry_the_attack_helps():
    features, texts, labels, carriers = bags(n_texts=60, n_segments=20, seed=3)
    known = np.full(len(texts), UNKNOWN)
    known[labels[texts] == 1] = 0
    known[carriers] = 1
    margins = []
    for told in (None, known):
        logits = fit_detector(features, texts, labels, np.ones(len(labels)), OPTIONS, told).logits(features)
        others = np.setdiff1d(np.arange(len(texts)), carriers)
        margins.append((np.median(logits[carriers]) - np.median(logits[others])) / logits[others].std())
    assert margins[1] > margins[0]


def test_a_known_harmless_segment_of_an_attack_is_never_a_witness():
    """Told that what looks worst is harmless, the head learns that it is."""
    features, texts, labels, carriers = bags()
    known = np.full(len(texts), UNKNOWN)
    known[carriers] = 0
    known[carriers + np.where((carriers + 1) % 6 == 0, -1, 1)] = 1
    logits = fit_detector(features, texts, labels, np.ones(len(labels)), OPTIONS, known).logits(features)
    assert np.median(logits[carriers]) < np.median(logits[known == 1])


def test_a_head_that_knows_what_rounding_does_is_moved_less_by_it_and_tells_as_much():
    """Two directions say the same; integers disturb one of them."""
    features, texts, labels, carriers = bags(seed=5)
    features[carriers, 1] += 4
    features[:, -1] = features[:, -2]  # the truncation drops what these differ in, and nothing else
    rounding = np.zeros((500, N_FEATURES), np.float32)
    rounding[:, 0] = np.random.default_rng(2).normal(scale=0.3, size=500)
    moved, margins = [], []
    for known in (None, rounding):
        detector = fit_detector(
            features, texts, labels, np.ones(len(labels)), replace(OPTIONS, regularization=0.01, caution=300.0), rounding=known
        )
        logits = detector.logits(features)
        others = np.setdiff1d(np.arange(len(texts)), carriers)
        margins.append((logits[carriers].mean() - logits[others].mean()) / logits[others].std())
        moved.append(np.std(detector.logits(features[:500] + rounding) - logits[:500]) / logits.std())
    assert moved[1] < 0.3 * moved[0]
    assert margins[1] > 0.8 * margins[0]


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_alone_is_an_error(labels):
    with pytest.raises(InvalidInputError, match="both labels"):
        fit_detector(np.ones((2, 4), np.float32), np.arange(2), np.array(labels), np.ones(2))


def test_arrays_that_do_not_fit_together_are_an_error():
    with pytest.raises(ShapeError, match="3 owners"):
        fit_detector(np.ones((2, 4), np.float32), np.arange(3), np.array([0, 1, 1]), np.ones(3))
