"""A line of JSON lines -> its object (floor 1), with complaints that never hold what the line says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from alknet_firewall.errors import InvalidInputError


def decoded(raw: bytes, what: str = "it") -> str:
    """Bytes as text.

    Raises
    ------
    InvalidInputError
        If they are not UTF-8; the message says to convert `what`.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        raise InvalidInputError(f"Not UTF-8 at byte {err.start}. Convert {what} to UTF-8 first, for example with iconv.") from None


def json_object(raw: bytes, what: str = "it", parse_constant: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """A line as a JSON object.

    Parameters
    ----------
    raw : bytes
    what : str
        As of :func:`decoded`.
    parse_constant : callable, optional
        As of :func:`json.loads`.

    Raises
    ------
    InvalidInputError
        If it is not UTF-8, not JSON or no object.
    """
    text = decoded(raw, what)
    try:
        value = json.loads(text, parse_constant=parse_constant)
    except (ValueError, RecursionError) as err:
        column = f" at column {err.colno}" if isinstance(err, json.JSONDecodeError) else ""
        raise InvalidInputError(f"Not valid JSON{column}. Each line must be one JSON object.") from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"A JSON {type(value).__name__}, not an object. Each line must be one JSON object.")
    return value
