"""Verdicts -> text for a person, JSON, or JSON lines."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import click

from alknet_firewall.cli.inputs import Failure, Record
from alknet_firewall.verdict import PLAIN, Span, Verdict

CONTEXT_CHARACTERS = 40
"""How much is shown before and after a span."""

SPAN_CHARACTERS = 160
"""How much of a span is shown; the middle of a longer one is left out."""

SHOWN_SPANS = 5


def verdict_row(record: Record, verdict: Verdict) -> dict[str, Any]:
    """One JSON object for one text; full-precision floats, offsets in characters."""
    return {"source": record.source, "line": record.line, "id": record.id, **verdict.as_dict()}


def failure_row(failure: Failure) -> dict[str, Any]:
    """One JSON object for what could not be scanned, without anything that could be taken for a verdict."""
    return {"source": failure.source, "line": failure.line, "id": failure.id, "error": failure.message}


def as_json_line(row: dict[str, Any]) -> str:
    """The row on one line, in ASCII, so that any terminal and locale can take it."""
    return json.dumps(row)


def as_text(record: Record, verdict: Verdict) -> str:
    """A few lines for a person: what, where, how sure."""
    label = click.style("FLAGGED", fg="red", bold=True) if verdict.flagged else click.style("ok     ", fg="green")
    name = printable(record.place if record.id is None else f"{record.place} (id {record.id})")
    lines = [f"{label} {weighed(verdict)}  {name}  {verdict.origin}"]
    lines += [_span_line(record.text, span) for span in verdict.spans[:SHOWN_SPANS]]
    if len(verdict.spans) > SHOWN_SPANS:
        lines.append(f"        and {len(verdict.spans) - SHOWN_SPANS} more; see --format json")
    return "\n".join(lines)


def weighed(verdict: Verdict) -> str:
    """Score, threshold and probability, as both ``scan`` and ``scan --follow`` show them."""
    return f"{verdict.score:.3f} (threshold {verdict.threshold:.3f}, probability {_probability(verdict.probability)})"


def _probability(value: float) -> str:
    """Two digits, but for what would read as certain."""
    if value > 0.99:
        return "> 0.99"
    return "< 0.01" if value < 0.01 else f"{value:.2f}"


def summary(n_scanned: int, n_flagged: int, n_failed: int) -> str:
    """One closing line."""
    failed = f", {n_failed} could not be scanned" if n_failed else ""
    return f"{n_scanned} scanned, {n_flagged} flagged{failed}"


def printable(text: str) -> str:
    """Text that cannot steer a terminal: line breaks, control, format and surrogate characters are written as escapes."""
    return "".join(
        c if unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def position(text: str, offset: int) -> str:
    """``line:column`` of a character, both from 1."""
    before = text[:offset]
    return f"{before.count(chr(10)) + 1}:{offset - (before.rfind(chr(10)) + 1) + 1}"


def _span_line(text: str, span: Span) -> str:
    """Where a span is, and the span in its surroundings."""
    start, end = span.start, span.end
    before, after = text[max(0, start - CONTEXT_CHARACTERS) : start], text[end : end + CONTEXT_CHARACTERS]
    middle = text[start:end]
    if len(middle) > SPAN_CHARACTERS:
        half = SPAN_CHARACTERS // 2
        middle = f"{middle[:half]} […] {middle[-half:]}"
    marked = click.style(f"[[{printable(middle)}]]", fg="red")
    ellipses = ("…" if start > CONTEXT_CHARACTERS else "", "…" if end + CONTEXT_CHARACTERS < len(text) else "")
    where = f"{position(text, start)}-{position(text, max(start, end - 1))}"
    view = "" if span.view == PLAIN else f"{span.view}  "
    return f"        {where}  {span.score:.3f}  {view}{ellipses[0]}{printable(before)}{marked}{printable(after)}{ellipses[1]}"


class JsonArray:
    """Prints rows as one JSON array, a row a line, while they come."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        """Print through `echo`."""
        self._echo, self._pending = echo, ""

    def add(self, row: dict[str, Any]) -> None:
        """Print the row before this one; the last needs no comma."""
        self._flush(",")
        self._pending = as_json_line(row)

    def close(self) -> None:
        """Print what is left and the closing bracket; there is a row, for what cannot be judged has one too."""
        self._flush("")
        self._echo("]")

    def _flush(self, comma: str) -> None:
        """Print the pending row."""
        if self._pending:
            self._echo(f" {self._pending}{comma}")
        elif comma:
            self._echo("[")
