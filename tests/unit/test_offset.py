"""The change of the head: what it minimises, what stands for a text, and how a penalty holds it back."""

import numpy as np
import pytest

from alknet_firewall.offset import Bags, fit_change, losses, no_change, witnesses

N_TEXTS, N_COMPONENTS = 24, 5


def make_bags(seed=0, segments=3):
    """Texts whose attacks have one segment that points along the first coordinate."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N_TEXTS) % 2
    texts = np.repeat(np.arange(N_TEXTS), segments)
    projected = rng.normal(size=(len(texts), N_COMPONENTS)).astype(np.float32)
    projected[::segments, 0] += 4 * labels
    return Bags(projected, rng.normal(scale=0.1, size=len(texts)), texts, labels, np.ones(N_TEXTS))


def test_the_change_finds_what_the_shipped_logit_does_not():
    change = fit_change(make_bags(), 0.1)
    assert np.argmax(np.abs(change.weights)) == 0
    unseen = make_bags(seed=1)
    worst = np.maximum.reduceat(change.logits(unseen), np.arange(0, len(unseen.texts), 3))
    assert worst[unseen.labels == 1].mean() > worst[unseen.labels == 0].mean() + 0.5


@pytest.mark.parametrize("segments", [1, 3])
def test_a_strong_penalty_leaves_the_head_as_it_is_and_a_weaker_one_moves_it_more(segments):
    sizes = [np.linalg.norm(fit_change(make_bags(segments=segments), penalty).weights) for penalty in (1e9, 10.0, 1.0, 0.1)]
    assert sizes[0] < 1e-6
    assert sizes == sorted(sizes)


def test_no_change_changes_nothing():
    bags = make_bags()
    np.testing.assert_array_equal(no_change(N_COMPONENTS).logits(bags), bags.logits)


@pytest.mark.parametrize("n_components", [5, 60])
def test_the_answer_is_where_the_gradient_is_zero(n_components):
    """With one segment a text nothing is chosen: the plain problem. With 60 coordinates it is solved in the span of the rows."""
    rng = np.random.default_rng(2)
    labels = np.arange(N_TEXTS) % 2
    bags = Bags(
        rng.normal(size=(N_TEXTS, n_components)).astype(np.float32), rng.normal(size=N_TEXTS), np.arange(N_TEXTS), labels, np.ones(N_TEXTS)
    )
    change = fit_change(bags, 0.7)
    variance = bags.projected.var(axis=0, dtype=np.float64)
    scale = (variance * variance.mean()) ** 0.25 * np.sqrt(n_components)
    chances = 1 / (1 + np.exp(-change.logits(bags)))
    np.testing.assert_allclose((bags.projected / scale).T @ (chances - labels) + 0.7 * change.weights * scale, 0.0, atol=1e-4)
    assert (chances - labels).sum() + 0.7 * change.bias == pytest.approx(0.0, abs=1e-4)


def test_a_text_without_weight_does_not_count():
    bags = make_bags()
    weights = np.ones(N_TEXTS)
    weights[-4:] = 0.0
    kept = bags.subset(np.arange(N_TEXTS - 4))
    flipped = np.where(np.arange(N_TEXTS) >= N_TEXTS - 4, 1 - bags.labels, bags.labels)
    without = [fit_change(Bags(bags.projected, bags.logits, bags.texts, labels, weights), 1.0) for labels in (bags.labels, flipped)]
    np.testing.assert_allclose(without[0].weights, without[1].weights, atol=1e-6)
    assert len(kept.labels) == N_TEXTS - 4


def test_an_attack_stands_on_its_worst_segment_and_a_harmless_text_on_its_worst_few():
    texts = np.repeat([0, 1], 6)
    logits = np.array([3.0, 1, 2, 6, 5, 4, 0.3, 0.1, 0.2, 0.6, 0.5, 0.4])
    chosen, share = witnesses(logits, texts, np.array([0, 1]))
    assert sorted(chosen.tolist()) == [0, 3, 4, 5, 9]
    assert sorted(share.tolist()) == [0.25] * 4 + [1.0]


def test_a_subset_keeps_the_segments_of_its_texts():
    bags = make_bags()
    part = bags.subset(np.array([5, 2]))
    assert part.labels.tolist() == [bags.labels[5], bags.labels[2]]
    for new, old in ((0, 5), (1, 2)):
        np.testing.assert_array_equal(part.projected[part.texts == new], bags.projected[bags.texts == old])


def test_the_loss_is_the_logistic_one_with_both_labels_alike():
    labels, logits = np.array([0, 0, 0, 1]), np.array([-2.0, 0.0, 1.0, 3.0])
    expected = (np.log1p(np.exp(logits[:3])).mean() + np.log1p(np.exp(-3.0))) / 2
    assert losses(logits, labels, np.ones(4)).mean() == pytest.approx(expected)
