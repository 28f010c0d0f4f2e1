"""Windows cover a text, and batches pad them."""

import numpy as np
import pytest

from alknet_firewall import ShapeError
from alknet_firewall.windows import batches, window_starts


@pytest.mark.parametrize(
    ("n_tokens", "size", "stride", "starts"),
    [
        (1, 4, 3, [0]),
        (3, 4, 3, [0]),
        (4, 4, 3, [0]),
        (5, 4, 3, [0, 1]),
        (7, 4, 3, [0, 3]),
        (8, 4, 3, [0, 3, 4]),
        (8, 4, 4, [0, 4]),
        (9, 4, 4, [0, 4, 5]),
        (6, 4, 1, [0, 1, 2]),
        (3, 1, 1, [0, 1, 2]),
        (600, 256, 192, [0, 192, 344]),
    ],
)
def test_windows_start_every_stride_and_the_last_ends_with_the_text(n_tokens, size, stride, starts):
    assert window_starts(n_tokens, size, stride) == starts


@pytest.mark.parametrize(("n_tokens", "size", "stride"), [(0, 4, 3), (-1, 4, 3), (5, 4, 5), (5, 4, 0), (5, 0, 0), (5, 4, -1)])
def test_what_cannot_be_covered_is_an_error(n_tokens, size, stride):
    with pytest.raises(ShapeError, match="1 <= stride <= size"):
        window_starts(n_tokens, size, stride)


def windows_of(*lengths):
    return [np.arange(1, length + 1, dtype=np.int64) for length in lengths]


def test_windows_are_padded_on_the_right_with_zeros_that_the_mask_leaves_out():
    (batch,) = batches(windows_of(3, 5), 8)
    assert batch.indices == (0, 1)
    assert batch.ids.tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.ids.dtype == batch.mask.dtype == np.int64


def test_a_batch_is_never_larger_than_asked():
    sizes = [len(batch.indices) for batch in batches(windows_of(*[6] * 7), 3)]
    assert sizes == [3, 3, 1]


def test_short_windows_do_not_ride_with_long_ones():
    groups = [set(batch.indices) for batch in batches(windows_of(256, 4, 250, 5), 8)]
    assert groups == [{1, 3}, {0, 2}]


def test_no_windows_give_no_batches():
    assert list(batches([], 4)) == []


def test_the_callers_windows_are_not_changed():
    windows = windows_of(2, 4)
    batch = next(batches(windows, 2))
    batch.ids[:] = 99
    assert [window.tolist() for window in windows] == [[1, 2], [1, 2, 3, 4]]
