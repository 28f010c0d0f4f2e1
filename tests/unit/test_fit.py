"""Fitting: segments to a head, logits to scores, scores to thresholds."""

import numpy as np
import pytest

from alknet_firewall import InvalidInputError, ShapeError
from alknet_firewall.config import Calibration
from alknet_firewall.detector import calibrated
from alknet_firewall.fit import UNKNOWN, FitOptions, fit_calibration, fit_detector, operating_points, worst_segments

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


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_alone_is_an_error(labels):
    with pytest.raises(InvalidInputError, match="both labels"):
        fit_detector(np.ones((2, 4), np.float32), np.arange(2), np.array(labels), np.ones(2))


def test_arrays_that_do_not_fit_together_are_an_error():
    with pytest.raises(ShapeError, match="3 owners"):
        fit_detector(np.ones((2, 4), np.float32), np.arange(3), np.array([0, 1, 1]), np.ones(3))


def test_the_worst_segment_counts():
    assert worst_segments(np.array([0.1, 0.9, -2.0, 0.3]), np.array([0, 0, 1, 2])).tolist() == [0.9, -2.0, 0.3]


def texts_of_many_lengths(n=6000, seed=1):
    """Harmless texts whose worst of n segments is the largest of n draws; attacks stand out by the same whatever their length."""
    rng = np.random.default_rng(seed)
    n_segments = np.exp(rng.uniform(0, np.log(64), n)).astype(np.int64)
    labels = rng.integers(0, 2, n)
    logits = np.array([rng.normal(size=k).max() for k in n_segments]) + 2.5 * labels
    return logits, n_segments, labels


def test_one_threshold_holds_for_texts_of_every_length():
    logits, n_segments, labels = texts_of_many_lengths()
    scores = calibrated(logits, n_segments, fit_calibration(logits, n_segments, labels))
    benign, lengths = scores[labels == 0], n_segments[labels == 0]
    threshold = np.quantile(benign, 0.97)
    short, long = ((benign[chosen] >= threshold).mean() for chosen in (lengths <= 4, lengths >= 20))
    assert long / short < 1.5
    plain = np.quantile(logits[labels == 0], 0.97)
    raw = logits[labels == 0]
    assert (raw[lengths >= 20] >= plain).mean() / max(1e-3, (raw[lengths <= 4] >= plain).mean()) > 2.5


def test_scores_are_as_sure_as_they_are_right():
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 2, 6000)
    labels = (rng.uniform(size=6000) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    one = np.ones(6000, np.int64)
    scores = calibrated(5 * truth - 3, one, fit_calibration(5 * truth - 3, one, labels))  # a head that is far too sure
    for low in (0.1, 0.3, 0.5, 0.7):
        chosen = (scores >= low) & (scores < low + 0.2)
        assert labels[chosen].mean() == pytest.approx(scores[chosen].mean(), abs=0.05)


def test_sharpness_softens_scores_and_keeps_their_order():
    logits, n_segments, labels = texts_of_many_lengths(800)
    whole, soft = (fit_calibration(logits, n_segments, labels, sharpness) for sharpness in (1.0, 0.4))
    assert soft == Calibration(*(pytest.approx(0.4 * value) for value in (whole.slope, whole.shift, whole.length)))
    a, b = (calibrated(logits, n_segments, c) for c in (whole, soft))
    assert (np.diff(b[np.argsort(a)]) > -1e-12).all()
    assert np.abs(b - 0.5).max() < np.abs(a - 0.5).max()


def test_too_few_harmless_texts_say_nothing_about_length():
    logits, n_segments, labels = texts_of_many_lengths(120)
    assert fit_calibration(logits, n_segments, labels).length == 0.0


def test_logits_that_do_not_rise_with_the_labels_are_left_as_they_are():
    calibration = fit_calibration(np.array([3.0, 2.0, -1.0, -2.0]), np.ones(4, np.int64), np.array([0, 0, 1, 1]))
    assert calibration == Calibration(1.0, 0.0, 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01, 0.05, 0.5])
def test_a_threshold_flags_no_more_harmless_texts_than_its_rate(rate):
    rng = np.random.default_rng(4)
    scores = np.round(rng.uniform(0, 0.99, 3000), 2)  # many ties
    labels, origins = rng.integers(0, 2, 3000), ["prompt", "content"] * 1500
    for point in operating_points(scores, labels, origins, [rate], "made up"):
        own = np.array(origins) == point.origin
        benign = scores[own & (labels == 0)]
        assert (benign >= point.threshold).mean() <= rate
        assert point.n_benign == len(benign)
        assert point.tpr == pytest.approx((scores[own & (labels == 1)] >= point.threshold).mean())
