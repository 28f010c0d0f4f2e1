"""Logits to scores, scores to thresholds."""

import sys

import numpy as np
import pytest

from alknet_firewall.calibration import Harmless, Limits, fit_calibration, operating_points
from alknet_firewall.config import Calibration
from alknet_firewall.detector import calibrated


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


def test_length_is_learnt_from_the_same_documents_cut_short_and_long_where_there_are_some():
    rng = np.random.default_rng(7)
    logits, n_segments, labels = texts_of_many_lengths()
    logits = logits - 1.5 * np.log(n_segments) * (labels == 0)  # long texts of another, calmer kind
    assert fit_calibration(logits, n_segments, labels).length == 0.0
    drawn = rng.normal(size=(200, 160))
    cut = Harmless(np.concatenate([drawn[:, :n].max(1) for n in (16, 50, 160)]), np.repeat([16, 50, 160], 200))
    calibration = fit_calibration(logits, n_segments, labels, lengths=cut)
    corrected = calibrated(cut.logits, cut.n_segments, calibration).reshape(3, 200)
    threshold = np.quantile(corrected, 0.97)
    assert (corrected[2] >= threshold).sum() <= 1.5 * (corrected[0] >= threshold).sum() + 2
    limited = fit_calibration(logits, n_segments, labels, Limits(length=0.1), cut)
    assert limited.length == pytest.approx(0.1 * limited.slope)
    assert calibration.length > 0.2 * calibration.slope


def test_texts_beyond_the_longest_are_corrected_as_the_longest():
    logits, n_segments, labels = texts_of_many_lengths()
    calibration = fit_calibration(logits, n_segments, labels, Limits(longest=32))
    assert calibration.longest == 32
    scores = calibrated(np.full(5, 2.0), np.array([1, 16, 32, 33, 10**9]), calibration)
    assert scores[0] > scores[1] > scores[2] == scores[3] == scores[4]


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
    whole, soft = (fit_calibration(logits, n_segments, labels, Limits(sharpness)) for sharpness in (1.0, 0.4))
    assert soft == Calibration(*(pytest.approx(0.4 * value) for value in (whole.slope, whole.shift, whole.length)), 0.4, whole.longest)
    a, b = (calibrated(logits, n_segments, c) for c in (whole, soft))
    assert (np.diff(b[np.argsort(a)]) > -1e-12).all()
    assert np.abs(b - 0.5).max() < np.abs(a - 0.5).max()


def test_too_few_harmless_texts_say_nothing_about_length():
    logits, n_segments, labels = texts_of_many_lengths(120)
    assert fit_calibration(logits, n_segments, labels).length == 0.0


def test_logits_that_do_not_rise_with_the_labels_are_left_as_they_are():
    calibration = fit_calibration(np.array([3.0, 2.0, -1.0, -2.0]), np.ones(4, np.int64), np.array([0, 0, 1, 1]))
    assert calibration == Calibration(1.0, 0.0, 0.0, 1.0, sys.maxsize)


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
