"""Judgements beside labels: each figure by hand or beside scikit-learn, and what is said where there is none."""

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from alknet_firewall import InvalidInputError
from alknet_firewall.config import OperatingPoint
from alknet_firewall.evaluation import MIN_BINNED, MIN_TEXTS, N_WORST, calibration, evaluate
from alknet_firewall.figures import Judged
from alknet_firewall.ranking import wilson

RESAMPLES = 50


def judged(label, score, source="mail", *, origin="prompt", threshold=0.5, place="rows:1", text=None, probability=None):
    return Judged(label, origin, source, place, score, score if probability is None else probability, threshold, 10, text)


def sample(n_benign=200, n_attack=100, seed=0, **changes):
    rng = np.random.default_rng(seed)
    scores = [*rng.beta(2, 5, n_benign), *rng.beta(5, 3, n_attack)]
    labels = [0] * n_benign + [1] * n_attack
    return [
        judged(label, float(score), "mail" if i % 3 else "chat", **changes)
        for i, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]


def measure(texts, points=(), **options):
    return evaluate(texts, points, "name@sha256", resamples=RESAMPLES, **options)


def only(texts, points=(), **options):
    (part,) = measure(texts, points, **options).origins
    return part


def point(origin, fpr, threshold):
    return OperatingPoint(origin=origin, fpr=fpr, threshold=threshold, tpr=0.5, n_benign=1, n_attack=1, data="")


def test_figures_are_those_of_scikit_learn_and_lie_in_their_intervals():
    texts = sample()
    part = only(texts)
    assert (part.n_benign, part.n_attack) == (200, 100)
    assert part.roc_auc.value == pytest.approx(roc_auc_score([t.label for t in texts], [t.score for t in texts]))
    for estimate in (part.roc_auc, part.detection[1].tpr, part.detection[2].tpr, part.fpr, part.tpr, *(s.at_default for s in part.sources)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high
        assert estimate.why is None


def test_the_threshold_of_a_rate_is_set_on_the_harmless_texts_of_the_origin():
    texts = [*sample(), *sample(seed=1, origin="content")]
    for part in measure(texts).origins:
        own = [t for t in texts if t.origin == part.origin]
        for d in part.detection[1:]:
            flagged = [t.label for t in own if t.score >= d.threshold]
            assert flagged.count(0) == d.fpr * 200
            assert flagged.count(1) / 100 == d.tpr.value


def test_every_text_is_held_against_the_threshold_of_its_verdict():
    part = only([judged(1, 0.6, threshold=0.7), judged(1, 0.6, threshold=0.6), judged(0, 0.1), judged(0, 0.5)])
    assert (part.tpr.value, part.fpr.value) == (0.5, 0.5)
    assert (part.n_misses, part.n_false_alarms) == (1, 1)
    assert part.threshold is None
    assert only([judged(1, 0.6), judged(0, 0.1)]).threshold == 0.5


def test_operating_points_are_measured_for_their_own_origin_by_rising_rate():
    texts = [judged(0, 0.2), judged(0, 0.8), judged(1, 0.8), judged(1, 0.8), judged(1, 0.4)]
    part = only(texts, [point("prompt", 0.05, 0.3), point("prompt", 0.01, 0.8), point("content", 0.01, 0.1)])
    assert [(p.stated_fpr, p.threshold, p.fpr.value, p.tpr.value) for p in part.points] == [(0.01, 0.8, 0.5, 2 / 3), (0.05, 0.3, 0.5, 1.0)]
    assert (part.points[0].tpr.low, part.points[0].tpr.high) == wilson(2, 3)


def test_each_source_has_a_row_for_each_of_its_labels():
    texts = [judged(1, 0.9, "b"), judged(1, 0.1, "b"), judged(0, 0.9, "b"), judged(0, 0.1, "a"), judged(0, 0.2, "a")]
    rows = only(texts).sources
    assert [(r.source, r.label, r.n, r.at_default.value) for r in rows] == [("a", 0, 2, 0.0), ("b", 1, 2, 0.5), ("b", 0, 1, 1.0)]
    assert (rows[0].at_default.low, rows[0].at_default.high) == wilson(0, 2)


def test_sources_are_compared_at_one_percent_of_the_harmless_texts_together():
    texts = sample()
    part = only(texts)
    threshold = part.detection[1].threshold
    for row in part.sources:
        own = [t.score >= threshold for t in texts if (t.source, t.label) == (row.source, row.label)]
        assert row.at_fpr.value == pytest.approx(sum(own) / len(own))


def test_calibration_by_hand():
    scores, labels = np.repeat([0.2, 0.7], 10), np.array([0] * 9 + [1] + [1] * 9 + [0])
    error, bins = calibration(scores, labels)
    assert error == pytest.approx(0.5 * 0.1 + 0.5 * 0.2)
    assert [(b.n, b.mean_probability, b.attack_share) for b in bins] == [(10, pytest.approx(0.2), 0.1), (10, pytest.approx(0.7), 0.9)]


def test_both_labels_count_alike_however_many_texts_they_have():
    probabilities, labels = np.repeat([0.2, 0.7], 10), np.array([0] * 9 + [1] + [1] * 9 + [0])
    once = calibration(probabilities, labels)
    more = np.repeat(np.arange(20), np.where(labels == 0, 9, 1))
    error, bins = calibration(probabilities[more], labels[more])
    assert error == pytest.approx(once[0])
    assert {(round(b.mean_probability, 9), round(b.attack_share, 9)) for b in bins} == {(0.2, 0.1), (0.7, 0.9)}


def test_reliability_is_of_probabilities_not_of_scores():
    texts = [judged(label, 0.5 + 0.1 * label, probability=float(label)) for label in (0, 1) for _ in range(MIN_BINNED)]
    part = only(texts)
    assert part.calibration_error.value == 0.0
    assert {(b.mean_probability, b.attack_share) for b in part.reliability} == {(0.0, 0.0), (1.0, 1.0)}


def test_bins_are_those_of_scikit_learn_when_no_scores_are_equal():
    texts = sample(250, 250)
    scores, labels = np.array([t.score for t in texts]), np.array([t.label for t in texts])
    shares, means = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    _, bins = calibration(scores, labels)
    assert [b.n for b in bins] == [50] * 10
    assert [b.mean_probability for b in bins] == pytest.approx(list(means))
    assert [b.attack_share for b in bins] == pytest.approx(list(shares))


def test_bins_do_not_depend_on_the_order_of_texts_with_equal_scores():
    scores, labels = np.repeat([0.1, 0.5, 0.9], [37, 26, 37]), np.tile([0, 1], 50)
    order = np.random.default_rng(0).permutation(100)
    assert calibration(scores, labels) == calibration(scores[order], labels[order])


def test_the_histogram_counts_every_text_once():
    histogram = only([judged(0, 0.0), judged(0, 0.049), judged(1, 0.05), judged(1, 1.0)]).histogram
    assert (histogram.edges[0], histogram.edges[1], histogram.edges[-1]) == (0.0, 0.05, 1.0)
    assert histogram.benign == (2, *[0] * 19)
    assert histogram.attacks == (0, 1, *[0] * 17, 1)


def test_the_worst_mistakes_come_first_and_the_rest_is_counted():
    misses = [judged(1, 0.4 - i / 100, place=f"rows:{i}") for i in range(N_WORST + 2)]
    alarms = [judged(0, 0.6 + i / 100, place=f"rows:{i}", text="shown") for i in range(N_WORST + 3)]
    part = only([*misses, *alarms, judged(1, 0.5), judged(0, 0.49)])
    assert (part.n_misses, part.n_false_alarms) == (N_WORST + 2, N_WORST + 3)
    assert [m.place for m in part.worst_misses] == [f"rows:{i}" for i in range(N_WORST + 1, 1, -1)]
    assert [m.place for m in part.worst_false_alarms] == [f"rows:{i}" for i in range(N_WORST + 2, 2, -1)]
    assert part.worst_misses[0].text is None
    assert part.worst_false_alarms[0].text == "shown"


@pytest.mark.parametrize(("label", "why"), [(0, "there are no attacks"), (1, "there are no harmless texts")])
def test_one_label_alone_gives_its_rate_and_says_why_there_is_no_more(label, why):
    part = only([judged(label, i / 200) for i in range(200)], [point("prompt", 0.01, 0.5)])
    for missing in (part.roc_auc, part.calibration_error, *(d.tpr for d in part.detection)):
        assert (missing.value, missing.low, missing.high, missing.why) == (None, None, None, why)
    assert (part.curve, part.reliability) == ((), ())
    rates = {0: part.fpr, 1: part.tpr}
    assert rates[label].value == part.sources[0].at_default.value == 0.5
    assert rates[1 - label].why == why
    assert (part.points[0].fpr if label == 0 else part.points[0].tpr).value == 0.5


def test_too_few_texts_of_a_label_give_no_ranking():
    part = only([*sample(200, MIN_TEXTS - 1)])
    assert part.roc_auc.why == f"{MIN_TEXTS - 1} attacks are too few; at least {MIN_TEXTS} are needed"
    assert part.detection[1].tpr.why == part.roc_auc.why
    assert part.detection[1].threshold is None
    assert only(sample(200, MIN_TEXTS)).roc_auc.value is not None


def test_a_rate_below_one_harmless_text_gives_no_tpr():
    part = only(sample(99, 50))
    assert [d.tpr.value is None for d in part.detection] == [True, True, False]
    assert part.detection[0].tpr.why == "99 harmless texts are too few for this rate; at least 1000 are needed"
    assert part.detection[1].tpr.why == "99 harmless texts are too few for this rate; at least 100 are needed"
    assert part.sources[0].at_fpr.why == part.detection[1].tpr.why
    assert only(sample(100, 50)).detection[1].tpr.value is not None


def test_too_few_texts_for_the_bins_give_no_reliability():
    part = only(sample(MIN_BINNED - 11, 10))
    assert f"at least {MIN_BINNED}" in part.calibration_error.why
    assert part.reliability == ()
    assert only(sample(MIN_BINNED - 10, 10)).calibration_error.value is not None


def test_the_same_texts_give_the_same_figures_and_all_of_them_are_json():
    texts = [*sample(), *sample(5, 0, origin="content")]
    first, second = (measure(texts, [point("prompt", 0.01, 0.5)]).as_dict() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert first != measure(texts, [point("prompt", 0.01, 0.5)], seed=1).as_dict()
    assert [part["origin"] for part in first["origins"]] == ["prompt", "content"]
    assert first["n_texts"] == 305


@pytest.mark.parametrize("rates", [(0.0,), (1.0,), (0.01, -0.1), (float("nan"),)])
def test_a_rate_out_of_range_is_an_error(rates):
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        measure([judged(0, 0.1)], rates=rates)


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(InvalidInputError, match="no text to evaluate"):
        measure([])
