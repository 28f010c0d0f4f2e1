"""Arrays of any type, shape and memory order survive the disk."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from alknet_firewall.tensors import load_tensors, save_tensors

shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=6)
contiguous = st.one_of(
    arrays.arrays(np.float32, shapes, elements=st.floats(width=32)),
    arrays.arrays(st.sampled_from([np.float64, np.int64, np.int8, np.uint8, np.bool_]), shapes),
)


@st.composite
def arrays_in_any_order(draw):
    """An array in C or Fortran order, transposed, or a view of every other element, forwards or backwards."""
    array = draw(contiguous)
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    steps = draw(st.lists(st.sampled_from([1, 2, -1, -2]), min_size=array.ndim, max_size=array.ndim))
    return array[tuple(slice(None, None, step) for step in steps)]


@given(st.dictionaries(st.sampled_from("abcdef"), arrays_in_any_order(), min_size=1))
def test_what_is_loaded_is_what_was_saved(tensors):
    before = {name: array.copy() for name, array in tensors.items()}
    with TemporaryDirectory() as folder:
        save_tensors(Path(folder) / "x.safetensors", tensors)
        loaded = load_tensors(Path(folder) / "x.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, array in loaded.items():
        assert array.dtype == tensors[name].dtype
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_array_equal(tensors[name], before[name])
