"""ROC AUC, TPR at an FPR and their intervals: by hand, beside scikit-learn, and by how often the intervals hold."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from alknet_firewall.ranking import Ranking, bootstrap, n_allowed, threshold_at, wilson


def sample(n_benign, n_attack, seed=0, digits=None):
    """Scores of two overlapping classes, shuffled; with `digits`, many are equal."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.beta(2, 5, n_benign), rng.beta(5, 3, n_attack)])
    labels = np.repeat([0, 1], [n_benign, n_attack])
    order = rng.permutation(len(labels))
    return (scores if digits is None else scores.round(digits))[order], labels[order]


def by_hand(benign, attacks):
    return Ranking.of(np.array([*benign, *attacks], float), np.repeat([0, 1], [len(benign), len(attacks)]))


def test_figures_of_a_few_texts_are_those_computed_by_hand():
    ranking = by_hand([0.1, 0.4, 0.6, 0.8], [0.4, 0.7, 0.9])
    assert ranking.roc_auc() == pytest.approx((1.5 + 3 + 4) / 12)
    assert ranking.tpr(0.0) == pytest.approx(1 / 3)
    assert ranking.tpr(0.25) == pytest.approx(2 / 3)
    assert ranking.tpr(0.5) == pytest.approx(2 / 3)  # the attack at 0.4 ties with a harmless text that may not be flagged
    assert ranking.tpr(0.75) == 1.0
    assert ranking.tpr(1.0) == 1.0


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_roc_auc_is_that_of_scikit_learn(seed, digits):
    scores, labels = sample(211, 83, seed, digits)
    assert Ranking.of(scores, labels).roc_auc() == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("fpr", [0.001, 0.01, 0.05, 0.3, 1.0])
def test_tpr_is_the_best_that_the_curve_of_scikit_learn_has_at_this_fpr(fpr, digits):
    scores, labels = sample(400, 150, 3, digits)
    fprs, tprs, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert Ranking.of(scores, labels).tpr(fpr) == pytest.approx(tprs[fprs <= fpr].max())


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("fpr", [0.001, 0.01, 0.05, 0.3])
def test_the_threshold_gives_that_tpr_and_no_more_than_that_fpr(fpr, digits):
    scores, labels = sample(400, 150, 3, digits)
    threshold = threshold_at(scores[labels == 0], fpr)
    assert (scores[labels == 0] >= threshold).mean() <= fpr
    assert (scores[labels == 1] >= threshold).mean() == pytest.approx(Ranking.of(scores, labels).tpr(fpr))


def test_a_threshold_flags_nothing_where_the_highest_score_may_not_be_flagged():
    assert threshold_at(np.array([0.2, 1.0]), 0.1) > 1.0
    assert threshold_at(np.array([0.2, 0.3]), 1.0) == 0.0


def test_a_rate_allows_a_whole_number_of_texts_whatever_the_float():
    assert 0.29 * 100 < 29
    assert [n_allowed(0.29, 100), n_allowed(0.01, 99), n_allowed(0.01, 100), n_allowed(0.001, 2999)] == [29, 0, 1, 2]


@pytest.mark.parametrize("digits", [None, 1])
def test_weights_count_a_text_as_if_it_stood_there_that_often(digits):
    scores, labels = sample(60, 40, 1, digits)
    ranking, rng = Ranking.of(scores, labels), np.random.default_rng(0)
    weights = rng.integers(0, 4, 60), rng.integers(0, 4, 40)
    repeated = by_hand(np.repeat(ranking.benign, weights[0]), np.repeat(ranking.attacks, weights[1]))
    assert ranking.roc_auc(*weights) == pytest.approx(repeated.roc_auc())
    for fpr in (0.0, 0.01, 0.05, 0.2, 0.9):
        assert ranking.tpr(fpr, *weights) == repeated.tpr(fpr)


def test_the_curve_runs_through_the_tpr_of_each_fpr_and_is_dense_where_that_is_low():
    scores, labels = sample(3000, 200, 2)
    ranking = Ranking.of(scores, labels)
    curve = ranking.curve()
    assert (curve[0], curve[-1]) == ((0.0, ranking.tpr(0.0)), (1.0, 1.0))
    assert [fpr for fpr, _ in curve[:4]] == pytest.approx([0, 1 / 3000, 2 / 3000, 3 / 3000])
    assert all(tpr == ranking.tpr(fpr) for fpr, tpr in curve)
    assert len(curve) <= 201


def test_wilsons_interval_is_that_of_the_books():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I, method 3
    assert wilson(0, 20) == (0.0, pytest.approx(0.1611, abs=5e-5))
    assert wilson(29, 29) == (pytest.approx(1 - 0.1170, abs=5e-5), 1.0)


def test_bootstrap_intervals_hold_as_often_as_they_say():
    """The truth is known here: Beta(2, 5) against Beta(5, 3)."""
    truth = Ranking.of(*sample(100_000, 100_000, 99))
    area, tpr = truth.roc_auc(), truth.tpr(0.05)
    n_area = n_tpr = 0
    for seed in range(60):
        scores, labels = sample(200, 100, seed)
        (low, high), ((tpr_low, tpr_high),) = bootstrap(scores, labels, np.zeros(300, int), (0.05,), 200, seed)
        n_area += low <= area <= high
        n_tpr += tpr_low <= tpr <= tpr_high
    assert n_area >= 52
    assert n_tpr >= 52


def test_bootstrap_says_the_same_of_the_same_texts_and_another_seed_something_else():
    scores, labels = sample(200, 100)
    strata = np.zeros(300, int)
    assert bootstrap(scores, labels, strata, (0.01, 0.05), 50, 7) == bootstrap(scores, labels, strata, (0.01, 0.05), 50, 7)
    assert bootstrap(scores, labels, strata, (0.01, 0.05), 50, 7) != bootstrap(scores, labels, strata, (0.01, 0.05), 50, 8)


def test_bootstrap_keeps_the_size_of_each_source():
    """Two sources, each with a score of its own: drawn within sources nothing varies, drawn from all together the TPR does."""
    scores = np.concatenate([np.full(100, 0.1), np.full(30, 0.9), np.full(15, 0.05)])
    labels = np.repeat([0, 1, 1], [100, 30, 15])
    apart = bootstrap(scores, labels, np.repeat([0, 1, 2], [100, 30, 15]), (0.01,), 200)[1][0]
    together = bootstrap(scores, labels, np.zeros(145, int), (0.01,), 200)[1][0]
    assert apart == (2 / 3, 2 / 3)
    assert together[0] < 0.6
    assert together[1] > 0.73


def test_sources_of_few_texts_are_drawn_together_for_a_text_drawn_from_itself_does_not_vary():
    scores, labels = sample(60, 60)
    own, shared = np.arange(120), np.zeros(120, int)
    assert bootstrap(scores, labels, own, (0.05,), 100) == bootstrap(scores, labels, shared, (0.05,), 100)


@pytest.mark.parametrize(("score", "expected"), [(0.9, wilson(30, 30)), (0.1, wilson(0, 30))])
def test_where_every_resample_agrees_the_interval_is_wilsons_and_not_a_point(score, expected):
    scores = np.concatenate([np.linspace(0.2, 0.5, 100), np.full(30, score)])
    (interval,) = bootstrap(scores, np.repeat([0, 1], [100, 30]), np.zeros(130, int), (0.01,), 50)[1]
    assert interval == expected
    assert not math.isclose(*interval)
