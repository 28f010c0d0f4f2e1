"""Files, lines and JSON objects -> records to scan. What cannot be read becomes a failure with its place, and the rest goes on."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from alknet_firewall.bounded import MAX_BYTES, MAX_OBJECT_BYTES, TOO_LONG, bounded_lines, read_at_most, whole_lines
from alknet_firewall.errors import AlknetFirewallError, InvalidInputError
from alknet_firewall.jsonlines import decoded, json_object
from alknet_firewall.text import check_origin, check_text
from alknet_firewall.verdict import Origin

if TYPE_CHECKING:
    from alknet_firewall.labelled import LabelledText

STDIN = "-"
ARGUMENT = "-t"
CLOSED = "Standard input is closed. Pipe something in, or name files."


@dataclass(frozen=True)
class Record:
    """One text to scan, and where it came from.

    Attributes
    ----------
    source : str
        Path as given, ``-`` for stdin, ``-t`` for an argument.
    line : int or None
        Line in the source, or which argument, from 1; None when the whole file is the text.
    id : Any
        The ``id`` of a JSON object; None otherwise.
    label : Any
        The ``label`` of a JSON object, as it is; None otherwise.
    """

    source: str
    line: int | None
    id: Any
    origin: Origin
    text: str
    label: Any = None

    @property
    def place(self) -> str:
        """``source:line``, or the source alone."""
        return _place(self.source, self.line)


@dataclass(frozen=True)
class Failure:
    """An input that could not be scanned: where it came from, as of a :class:`Record`, and why. `message` never holds its text."""

    source: str
    message: str
    line: int | None = None
    id: Any = None

    @property
    def place(self) -> str:
        """``source:line``, or the source alone."""
        return _place(self.source, self.line)


def _place(source: str, line: int | None) -> str:
    return (source or "''") if line is None else f"{source}:{line}"


@dataclass(frozen=True)
class Reader:
    """How inputs are read: the options of ``scan``."""

    kind: str
    field: str
    origin: Origin | None

    def records(self, paths: tuple[str, ...], texts: tuple[str, ...]) -> Iterator[Record | Failure]:
        """Everything to scan, in order: the arguments of ``-t`` first, then the files."""
        for number, text in enumerate(texts, 1):
            yield _record(ARGUMENT, number, None, self.origin or "prompt", text)
        for path in paths:
            yield from self._file(path)

    def _file(self, path: str) -> Iterator[Record | Failure]:
        """The records of one file or of stdin; at least one record or failure."""
        try:
            if path == STDIN:
                if sys.stdin is None:
                    yield Failure(STDIN, CLOSED)
                    return
                yield from self._stream(STDIN, sys.stdin.buffer)
                return
            if not path:
                yield Failure(path, "The path is empty. Name a file, or '-' for stdin.")
                return
            if Path(path).is_dir():
                yield Failure(path, "This is a directory. Name the files in it.")
                return
            with Path(path).open("rb") as stream:
                yield from self._stream(path, stream)
        except OSError as err:
            yield Failure(path, f"Cannot be read: {err.strerror or type(err).__name__}. Check the path and its permissions.")
        except InvalidInputError as err:
            yield Failure(path, str(err))

    def _stream(self, source: str, stream: BinaryIO) -> Iterator[Record | Failure]:
        """The records of one open stream."""
        if self.kind == "text":
            content = read_at_most(stream, MAX_BYTES)
            yield Failure(source, TOO_LONG) if content is None else self._decoded(source, None, content.removeprefix(codecs.BOM_UTF8))
            return
        n_records = 0
        for number, raw in enumerate(bounded_lines(stream, MAX_OBJECT_BYTES if self.kind == "jsonl" else MAX_BYTES), 1):
            if raw is None:
                n_records += 1
                yield Failure(source, TOO_LONG, number)
                continue
            content = raw.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                content = content.removeprefix(codecs.BOM_UTF8)
            if not content.strip():  # an empty line separates records; it is none
                continue
            n_records += 1
            yield self._decoded(source, number, content) if self.kind == "lines" else self._object(source, number, content)
        if not n_records:
            yield Failure(source, "Holds no text. Give a file that has some.")

    def _decoded(self, source: str, line: int | None, raw: bytes) -> Record | Failure:
        """Bytes that are one text."""
        try:
            text = decoded(raw)
        except InvalidInputError as err:
            return Failure(source, str(err), line)
        return _record(source, line, None, self.origin or "content", text)

    def _object(self, source: str, line: int, raw: bytes) -> Record | Failure:
        """A line that is a JSON object."""
        identifier = None
        try:
            value = json_object(raw, parse_constant=_no_constant)
            _check_id(value.get("id"))
            identifier = value.get("id")
            origin = check_origin(value["origin"]) if value.get("origin") is not None else self.origin or "content"
        except InvalidInputError as err:
            return Failure(source, str(err), line, identifier)
        if self.field not in value:
            return Failure(
                source, f"The object has no field {self.field!r}. Name the field that holds the text with --field.", line, identifier
            )
        return _record(source, line, identifier, origin, value[self.field], value.get("label"))


def _check_id(identifier: Any) -> None:
    """Refuse an id that cannot be passed through: 1e999 is read as infinity, which is no JSON."""
    try:
        json.dumps(identifier, allow_nan=False)
    except (ValueError, RecursionError):
        raise InvalidInputError("The id has a number too large for JSON, or is nested too deeply. Write it as a string.") from None


def labelled_rows(paths: tuple[str, ...], origin: Origin | None) -> list[LabelledText]:
    """Every labelled row of files and of stdin; see :func:`alknet_firewall.labelled.parse_labelled`."""
    from alknet_firewall.labelled import load_labelled, parse_labelled

    rows = []
    for path in paths:
        if path != STDIN:
            rows += load_labelled(path, origin)
        elif sys.stdin is None:
            raise InvalidInputError(CLOSED)
        else:
            rows += parse_labelled(whole_lines(sys.stdin.buffer, STDIN), STDIN, origin)
    return rows


def _record(source: str, line: int | None, identifier: Any, origin: Origin, text: object, label: Any = None) -> Record | Failure:
    """A record when its text can be judged, else a failure."""
    try:
        return Record(source, line, identifier, origin, check_text(text), label)
    except AlknetFirewallError as err:
        return Failure(source, str(err), line, identifier)


def _no_constant(name: str) -> None:
    """NaN and Infinity are not JSON; passed through in an id, they would make the output no JSON either."""
    raise ValueError(name)
