"""Hidden states to features of segments."""

import numpy as np
import pytest

from alknet_firewall import ShapeError
from alknet_firewall.pooling import segment_ends, segment_features


@pytest.mark.parametrize(
    ("n_tokens", "segment", "ends"),
    [
        (1, 4, [1]),
        (3, 4, [3]),
        (4, 4, [4]),
        (5, 4, [5]),
        (6, 4, [4, 6]),
        (8, 4, [4, 8]),
        (9, 4, [4, 9]),
        (11, 4, [4, 8, 11]),
        (12, 4, [4, 8, 12]),
        (3, 1, [1, 2, 3]),
    ],
)
def test_a_short_remainder_goes_to_the_last_segment(n_tokens, segment, ends):
    assert segment_ends(n_tokens, segment).tolist() == ends


@pytest.mark.parametrize(("n_tokens", "segment"), [(1, 4), (6, 4), (11, 4), (64, 16), (256, 32)])
def test_features_are_the_segments_own_mean_and_the_mean_up_to_its_end(n_tokens, segment):
    states = np.random.default_rng(n_tokens).normal(size=(n_tokens, 5)).astype(np.float32)
    features = segment_features(states, segment)
    ends = segment_ends(n_tokens, segment).tolist()
    expected = [np.concatenate([states[start:end].mean(0), states[:end].mean(0)]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    np.testing.assert_allclose(features, np.array(expected), rtol=1e-5, atol=1e-6)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous


def test_what_follows_does_not_change_earlier_segments():
    states = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    changed = states.copy()
    changed[16:] = 1000
    np.testing.assert_array_equal(segment_features(states, 8)[:2], segment_features(changed, 8)[:2])


def test_small_states_survive_beside_huge_ones():
    """A decoder's outsized activations must not swallow the others: sums are in double precision."""
    states = np.array([[1e8], [1.0], [-1e8], [1.0]], np.float32)
    np.testing.assert_allclose(segment_features(states, 4), [[0.5, 0.5]])


@pytest.mark.parametrize("shape", [(0, 4), (4,), (1, 4, 4)])
def test_states_that_cannot_be_pooled_are_an_error(shape):
    with pytest.raises(ShapeError, match=r"cannot be pooled"):
        segment_features(np.zeros(shape, np.float32), 2)
