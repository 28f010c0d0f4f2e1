"""Labelled texts from JSON lines (floor 2): what to evaluate on, fit on and calibrate with."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from alknet_firewall.bounded import whole_lines
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.jsonlines import json_object
from alknet_firewall.text import check_origin, check_text
from alknet_firewall.verdict import Origin

LABELS: dict[float | str, int] = {0: 0, 1: 1, "benign": 0, "attack": 1}
"""What a label may be; true and false equal 1 and 0."""

SHOWN_PROBLEMS = 10
"""How many unusable rows an error lists; it counts the others."""


@dataclass(frozen=True)
class LabelledText:
    """One text of which is known whether it is an attack.

    Attributes
    ----------
    text : str
    label : int
        1 for an attack, 0 for a harmless text.
    origin : {"prompt", "content"}
    source : str
        Where the text was collected; texts of one source belong together.
    place : str
        ``file:line``, for messages.
    """

    text: str
    label: int
    origin: Origin
    source: str
    place: str = ""


def load_labelled(path: str | Path, origin: Origin | None = None) -> list[LabelledText]:
    """Read a file of labelled JSON lines, gzipped when its name ends in ``.gz``.

    Parameters
    ----------
    path : str or Path
    origin : {"prompt", "content"}, optional
        See :func:`parse_labelled`.

    Returns
    -------
    list of LabelledText
        In the order of the file, at least one.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or a row cannot be used.
    """
    path = Path(path)
    try:
        with closing(_open(path)) as stream:
            return parse_labelled(whole_lines(stream, str(path)), str(path), origin, source=path.name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise InvalidInputError(f"{path}: not a whole gzip file. Compress it again, or give it a name without .gz.") from err
    except OSError as err:
        raise InvalidInputError(
            f"{path}: cannot be read: {err.strerror or type(err).__name__}. Check the path and its permissions."
        ) from err


def parse_labelled(lines: Iterable[bytes], name: str, origin: Origin | None = None, *, source: str | None = None) -> list[LabelledText]:
    """Read labelled JSON lines.

    Each line is an object with ``text`` and ``label`` (0 or 1, false or true, "benign" or "attack"), and may have ``origin``
    and ``source``. Other fields are not looked at; empty lines are passed over. Nothing is left out silently: a row that
    the firewall would refuse to judge is an error.

    Parameters
    ----------
    lines : iterable of bytes
        UTF-8, for example a file opened with "rb".
    name : str
        What to call the lines in messages.
    origin : {"prompt", "content"}, optional
        Of rows that name none; without it every row must.
    source : str, optional
        Of rows that name none; by default `name`.

    Returns
    -------
    list of LabelledText
        At least one.

    Raises
    ------
    InvalidInputError
        If there is no row, or some cannot be used. The message names lines and says why, never what they hold.
    """
    rows, problems = [], []
    for number, raw in enumerate(lines, 1):
        content = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if not content.strip():
            continue
        try:
            rows.append(_row(json_object(content, "the file"), f"{name}:{number}", origin, source or name))
        except InvalidInputError as err:
            problems.append(f"{name}:{number}: {err}")
    if problems:
        raise InvalidInputError(_complaint(problems, len(rows)))
    if not rows:
        raise InvalidInputError(f"{name}: holds no row. Give JSON objects, one a line, with 'text' and 'label'.")
    return rows


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]  # GzipFile reads as IO does


def _row(value: dict[str, Any], place: str, origin: Origin | None, source: str) -> LabelledText:
    """One row, checked."""
    if "text" not in value:
        raise InvalidInputError("The object has no field 'text'.")
    named = value.get("source")
    if named is not None and not (isinstance(named, str) and named):
        raise InvalidInputError("The source must be a string that is not empty. Leave it out to use the file's name.")
    return LabelledText(check_text(value["text"]), _label(value), _origin(value.get("origin"), origin), named or source, place)


def _label(value: dict[str, Any]) -> int:
    """The row's label as 0 or 1."""
    if "label" not in value:
        raise InvalidInputError("The object has no field 'label'. Add 0 or 1, false or true, 'benign' or 'attack'.")
    label = value["label"]
    if not isinstance(label, (str, int, float)) or label not in LABELS:
        raise InvalidInputError("The label must be 0 or 1, false or true, 'benign' or 'attack'.")
    return LABELS[label]


def _origin(named: object, default: Origin | None) -> Origin:
    """The row's origin, else the caller's."""
    if named is None and default is None:
        raise InvalidInputError("The object has no field 'origin'. Add 'prompt' or 'content', or give one for all such rows (--origin).")
    return check_origin(default if named is None else named)


def _complaint(problems: list[str], n_usable: int) -> str:
    """One problem as it is; several under a heading."""
    if len(problems) == 1:
        return problems[0]
    hidden = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
    heading = f"{len(problems)} of {len(problems) + n_usable} rows cannot be used. Mend them or take them out:"
    return "\n  ".join([heading, *problems[:SHOWN_PROBLEMS], *hidden])
