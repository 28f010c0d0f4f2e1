"""Windows, batches, segments and spans, for any numbers."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alknet_firewall import Span
from alknet_firewall.pooling import segment_ends, segment_features
from alknet_firewall.verdict import merge_spans
from alknet_firewall.windows import batches, window_starts

sizes_and_strides = st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))
window_lists = st.lists(st.lists(st.integers(1, 50_000), min_size=1, max_size=80).map(lambda ids: np.array(ids, np.int64)), max_size=25)
span_lists = st.lists(
    st.builds(lambda start, length, score: Span(start, start + length, score), st.integers(0, 60), st.integers(1, 15), st.floats(0, 1))
)


@given(st.integers(1, 3000), sizes_and_strides)
def test_windows_cover_every_token_and_are_full(n_tokens, size_and_stride):
    size, stride = size_and_stride
    starts = window_starts(n_tokens, size, stride)
    covered = np.zeros(n_tokens, bool)
    for start in starts:
        covered[start : start + size] = True
        assert start >= 0
        assert start + size <= n_tokens or starts == [0]
    assert covered.all()
    assert starts[0] == 0
    assert all(0 < step <= stride for step in np.diff(starts))


@given(st.integers(1, 2000), st.integers(0, 1000), sizes_and_strides)
def test_windows_that_were_whole_stay_when_the_text_grows(n_tokens, more, size_and_stride):
    """All but the last, which ends with the text: what comes later cannot hide what was already there."""
    size, stride = size_and_stride
    assert set(window_starts(n_tokens, size, stride)[:-1]) <= set(window_starts(n_tokens + more, size, stride))


@given(window_lists, st.integers(1, 9))
def test_every_window_is_in_exactly_one_batch_with_the_right_mask(windows, batch_size):
    seen = []
    for batch in batches(windows, batch_size):
        seen += batch.indices
        assert 1 <= len(batch.indices) <= batch_size
        assert batch.ids.shape == batch.mask.shape == (len(batch.indices), max(len(windows[i]) for i in batch.indices))
        for ids, mask, index in zip(batch.ids, batch.mask, batch.indices, strict=True):
            n_tokens = len(windows[index])
            assert mask.tolist() == [1] * n_tokens + [0] * (len(mask) - n_tokens)
            assert ids.tolist() == windows[index].tolist() + [0] * (len(ids) - n_tokens)
    assert sorted(seen) == list(range(len(windows)))


@given(window_lists, st.integers(1, 9))
def test_a_batch_is_mostly_no_padding(windows, batch_size):
    for batch in batches(windows, batch_size):
        shortest = min(len(windows[i]) for i in batch.indices)
        assert batch.ids.shape[1] <= 1.5 * shortest + 8


@given(st.integers(1, 600), st.integers(1, 64))
def test_segments_cut_a_window_without_a_rest(n_tokens, segment):
    ends = segment_ends(n_tokens, segment).tolist()
    lengths = np.diff([0, *ends])
    assert ends[-1] == n_tokens
    assert (lengths < 1.5 * segment).all()
    assert (lengths[:-1] == segment).all()
    assert len(ends) == 1 or lengths[-1] >= segment / 2 - 0.5


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_features_are_means_so_they_stay_between_the_states(n_tokens, segment, seed):
    states = np.random.default_rng(seed).normal(size=(n_tokens, 4)).astype(np.float32)
    features = segment_features(states, segment)
    assert features.shape == (len(segment_ends(n_tokens, segment)), 8)
    low, high = states.min(0) - 1e-6, states.max(0) + 1e-6
    assert (features >= np.tile(low, 2)).all()
    assert (features <= np.tile(high, 2)).all()
    np.testing.assert_allclose(features[-1, 4:], states.mean(0, dtype=np.float64), rtol=1e-5, atol=1e-6)


def characters_of(spans):
    return {place for span in spans for place in range(span.start, span.end)}


@given(span_lists)
def test_joined_spans_are_ordered_apart_and_cover_the_same_characters(spans):
    merged = merge_spans(spans)
    assert characters_of(merged) == characters_of(spans)
    assert all(a.end < b.start for a, b in pairwise(merged))
    for whole in merged:
        assert whole.score == max(part.score for part in spans if whole.start <= part.start and part.end <= whole.end)


@given(span_lists, st.randoms(use_true_random=False))
def test_the_order_of_spans_does_not_matter_and_joining_twice_changes_nothing(spans, random):
    merged = merge_spans(spans)
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert merge_spans(shuffled) == merged == merge_spans(merged)
