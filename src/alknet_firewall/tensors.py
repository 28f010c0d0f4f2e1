"""Named arrays on disk (floor 1): the only import of safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alknet_firewall.errors import ArtifactCorruptError, ArtifactNotFoundError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def save_tensors(path: Path, tensors: Mapping[str, Array], about: Mapping[str, str] | None = None) -> None:
    """Write arrays to a safetensors file, then read it back and compare.

    safetensors 0.8.0 writes an array's memory as if it were in C order; a Fortran-ordered array, as scikit-learn's
    ``components_`` is, would come back scrambled without a word (safetensors issue #825). So everything is copied to C order first, and a
    file that does not read back equal is an error.

    Parameters
    ----------
    path : Path
        File to write.
    tensors : mapping of str to ndarray
        Any memory order; copied, never changed.
    about : mapping of str to str, optional
        Metadata, which :func:`load_about` gives back.

    Raises
    ------
    ArtifactCorruptError
        If what was written does not read back equal.
    """
    from safetensors.numpy import save_file

    ordered = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    save_file(ordered, path, None if about is None else dict(about))
    path.chmod(0o644)  # safetensors makes it private; an artifact is copied, packed and read by others
    written = load_tensors(path)
    for name, array in ordered.items():
        if not np.array_equal(written[name], array, equal_nan=True):
            raise ArtifactCorruptError(f"{path}: tensor {name} does not read back as it was written. Check the disk, then save again.")


def load_tensors(path: Path) -> dict[str, Array]:
    """Read a safetensors file.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    dict of str to ndarray
        C-contiguous arrays.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If it is not a readable safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError as err:
        raise ArtifactNotFoundError(f"{path} does not exist. Check the path.") from err
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as err:  # the last two: a type that numpy lacks
        raise ArtifactCorruptError(f"{path} is not a readable safetensors file. Fetch or build the artifact again.") from err


def load_about(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file that :func:`load_tensors` could read; empty when it has none."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return dict(file.metadata() or {})


def float_tensor(tensors: Mapping[str, Any], name: str, where: str, stored: str = "float32") -> FloatArray:
    """One array by name as float32, or the error that says what is wrong with it; `stored` is the type it must have on disk."""
    tensor = tensors.get(name)
    if tensor is None or tensor.dtype != stored:
        problem = "is missing" if tensor is None else f"is {tensor.dtype}, not {stored}"
        raise ArtifactCorruptError(f"{where}: tensor {name} {problem}. Fetch or build the artifact again.")
    array: FloatArray = tensor.astype(np.float32, copy=False)
    return array


def in_half_precision(array: Array) -> FloatArray:
    """The array as it will be when it has been written in half precision and read again."""
    return array.astype(np.float16).astype(np.float32)
