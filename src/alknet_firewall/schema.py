"""Strict reading of JSON into frozen dataclasses (floor 0, stdlib only).

Artifacts come from disks and networks: a key that is missing, unknown or of another type is an error that names it. Only what a dataclass
gives a default may be missing.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from alknet_firewall.errors import ArtifactCorruptError

T = TypeVar("T")


def parse(cls: type[T], data: object, where: str) -> T:
    """Build a dataclass from decoded JSON, checking every key and type.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are str, int, float, bool, ``X | None``, ``tuple[X, ...]``, ``dict[str, X]`` or dataclasses.
    data : object
        What ``json.loads`` gave.
    where : str
        File or key, for the error.

    Returns
    -------
    instance of `cls`

    Raises
    ------
    ArtifactCorruptError
        If a key is missing or unknown, or a value has another type or is a float that is not finite.
    """
    if not isinstance(data, Mapping):
        raise _mismatch(where, "an object", data)
    known = fields(cls)  # type: ignore[arg-type]
    names, needed = {field.name for field in known}, {field.name for field in known if field.default is MISSING}
    for problem, keys in (("misses", needed - set(data)), ("has the unknown key", set(data) - names)):
        if keys:
            raise ArtifactCorruptError(
                f"{where} {problem} {', '.join(sorted(map(repr, keys)))}. "
                "The artifact was made for another version of alknet-firewall, or changed by hand: fetch or build it again."
            )
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], data[name], f"{where}: {name}") for name in data})


def _value(hint: Any, value: object, where: str) -> Any:
    """`value` checked against one type hint and converted to it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kept = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _value(kept, value, where)
    if is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise _mismatch(where, "a list", value)
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _mismatch(where, "an object", value)
        return {str(key): _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _mismatch(where, hint.__name__, value)
    return value


def _finite(value: float, where: str) -> float:
    """A float, unless it is one that every comparison goes wrong with: JSON has no NaN or infinity, but Python reads them, and 1e999."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ArtifactCorruptError(f"{where} must be a finite number. Fetch or build the artifact again.")
    return number


def _mismatch(where: str, expected: str, value: object) -> ArtifactCorruptError:
    """The error for a value of the wrong type; the value itself is not shown."""
    return ArtifactCorruptError(f"{where} must be {expected}, not {type(value).__name__}. Fetch or build the artifact again.")
