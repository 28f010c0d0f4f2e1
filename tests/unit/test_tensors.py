"""Arrays on disk: whatever their memory order, they come back as they were."""

import json
import stat
import struct

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError, ArtifactNotFoundError
from alknet_firewall.tensors import load_about, load_tensors, save_tensors

COUNTING = np.arange(24, dtype=np.float32).reshape(4, 6)
CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

ARRAYS = {
    "C order": COUNTING,
    "Fortran order": np.asfortranarray(COUNTING),
    "transposed": COUNTING.T,
    "every other column": COUNTING[:, ::2],
    "rows backwards": COUNTING[::-1],
    "a column": COUNTING[:, 1],
    "axes moved": CUBE.transpose(2, 0, 1),
    "repeated without a copy": np.broadcast_to(COUNTING[0], (3, 6)),
    "empty": np.zeros((0, 3), np.float32),
    "one number": np.array([3.5], np.float32),
    "not a number": np.array([np.nan, np.inf, -0.0], np.float32),
    "int64": np.array([[1, -(2**62)]]).T,
    "int8": np.array([-128, 127], np.int8),
    "float64": np.array([1 / 3]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_any_memory_order_comes_back_equal_and_contiguous(name, tmp_path):
    array = ARRAYS[name]
    before = array.copy()
    save_tensors(tmp_path / "x.safetensors", {"x": array, "other": COUNTING})
    loaded = load_tensors(tmp_path / "x.safetensors")
    assert set(loaded) == {"x", "other"}
    np.testing.assert_array_equal(loaded["x"], array)
    assert loaded["x"].dtype == array.dtype
    assert loaded["x"].flags.c_contiguous
    np.testing.assert_array_equal(array, before)


def test_the_memory_of_a_fortran_array_read_as_c_would_be_another_array():
    """What a save that ignores the order would write: the cases above would not pass by luck."""
    array = ARRAYS["Fortran order"]
    scrambled = np.frombuffer(array.tobytes("A"), np.float32).reshape(array.shape)
    assert not np.array_equal(scrambled, array)


def test_components_of_a_truncated_svd_are_still_orthonormal_after_a_round_trip(tmp_path):
    from sklearn.decomposition import TruncatedSVD

    rows = np.random.default_rng(0).normal(size=(60, 20)).astype(np.float32)
    components = TruncatedSVD(5, random_state=0).fit(rows).components_
    save_tensors(tmp_path / "x.safetensors", {"components": components})
    loaded = load_tensors(tmp_path / "x.safetensors")["components"]
    np.testing.assert_array_equal(loaded, components)
    np.testing.assert_allclose(loaded @ loaded.T, np.eye(5), atol=1e-5)


def test_the_same_arrays_give_the_same_bytes_in_any_order(tmp_path):
    save_tensors(tmp_path / "one", {"a": COUNTING, "b": CUBE})
    save_tensors(tmp_path / "two", {"b": np.asfortranarray(CUBE), "a": COUNTING.copy()})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_others_may_read_the_file(tmp_path):
    save_tensors(tmp_path / "x", {"a": COUNTING})
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_a_file_that_does_not_read_back_equal_is_an_error(tmp_path, monkeypatch):
    import safetensors.numpy

    save = safetensors.numpy.save_file
    monkeypatch.setattr(safetensors.numpy, "save_file", lambda tensors, path, _: save({k: v * 0 for k, v in tensors.items()}, path))
    with pytest.raises(ArtifactCorruptError, match=r"x\.safetensors: tensor a does not read back"):
        save_tensors(tmp_path / "x.safetensors", {"a": COUNTING})


@pytest.mark.parametrize("about", [None, {}, {"made": "für \n dich"}])
def test_what_is_said_about_the_arrays_comes_back(about, tmp_path):
    save_tensors(tmp_path / "x", {"a": COUNTING}, about)
    assert load_about(tmp_path / "x") == (about or {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"gone\.safetensors"):
        load_tensors(tmp_path / "gone.safetensors")


def with_header(header, data=b""):
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


BROKEN = {
    "empty": b"",
    "garbage": b"not tensors at all",
    "a header without end": struct.pack("<Q", 2**60) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"{{{{",
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.",
    "less data than promised": with_header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"1234"),
    "a shape that does not fit": with_header({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}, b"1234"),
    "an unknown type": with_header({"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    "a type that numpy lacks": with_header({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
    "another type that numpy lacks": with_header({"x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, b"1234"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_our_error_and_named(content, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(content)
    with pytest.raises(ArtifactCorruptError, match=r"broken\.safetensors"):
        load_tensors(tmp_path / "broken.safetensors")


def test_a_folder_in_place_of_the_file_is_our_error(tmp_path):
    with pytest.raises(ArtifactCorruptError, match=r"not a readable safetensors file"):
        load_tensors(tmp_path)
