"""How much the texts count that the parts of a head are fitted on."""

import pytest

from export.data import Example
from export.scorer import PUBLIC, perceptron_weights, source_weights

EXAMPLES = [
    *(Example(f"ours {i}", i % 2, "content", "corpus:payload.plain") for i in range(4)),
    *(Example(f"of others {i}", i % 2, "content", "a_public_set") for i in range(9)),
]


def test_a_source_counts_as_the_root_of_its_size():
    weights = source_weights(EXAMPLES)
    assert weights[:4].sum() == pytest.approx(2.0)
    assert weights[4:].sum() == pytest.approx(3.0)


def test_a_perceptron_meets_texts_of_others_more_often_than_our_own():
    more = perceptron_weights(EXAMPLES) / source_weights(EXAMPLES)
    assert more.tolist() == pytest.approx([1.0] * 4 + [PUBLIC] * 9)
