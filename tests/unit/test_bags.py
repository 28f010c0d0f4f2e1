"""Bags: what is known of segments, their ranks within a text, and texts chosen from many."""

import numpy as np
import pytest

from alknet_firewall.bags import UNKNOWN, balanced, known_labels, ranks, renumbered, worst_segments

SEGMENTS = [(0, 32), (32, 64), (64, 96), (96, 128), (128, 160)]


@pytest.mark.parametrize(
    ("injected", "expected"),
    [
        ((64, 96), [0, 0, 1, UNKNOWN, UNKNOWN]),
        ((60, 70), [0, 1, 1, UNKNOWN, UNKNOWN]),
        ((62, 128), [0, UNKNOWN, 1, 1, UNKNOWN]),
        ((3, 9), [1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]),
        (None, [UNKNOWN] * 5),
    ],
)
def test_segments_before_the_injected_part_are_harmless_and_those_after_it_unknown(injected, expected):
    assert known_labels(SEGMENTS, injected) == expected


def test_the_worst_segment_counts():
    assert worst_segments(np.array([0.1, 0.9, -2.0, 0.3]), np.array([0, 0, 1, 2])).tolist() == [0.9, -2.0, 0.3]


def test_a_rank_is_among_the_segments_of_the_same_text():
    assert ranks(np.array([0.1, 0.9, 0.5, 7.0, 2.0, 3.0]), np.array([0, 0, 0, 1, 2, 2])).tolist() == [2, 0, 1, 0, 1, 0]


def test_chosen_texts_are_counted_from_zero_in_the_order_of_the_choice():
    kept, texts = renumbered(np.array([0, 0, 1, 2, 2, 3]), np.array([3, 0]), 4)
    assert kept.tolist() == [True, True, False, False, False, True]
    assert texts.tolist() == [1, 1, 0]


def test_both_labels_weigh_the_same():
    labels, weights = np.array([0, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 5.0])
    found = balanced(labels, weights)
    assert found[labels == 0].sum() == pytest.approx(2.0)
    assert found[labels == 1].sum() == pytest.approx(2.0)
    assert found[2] == pytest.approx(3 * found[0])
