"""``alknet-firewall scan --follow -``: stdin as it arrives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import TYPE_CHECKING, Any, cast

import click

from alknet_firewall.cli.inputs import STDIN
from alknet_firewall.cli.options import EXIT_FLAGGED, friendly_errors
from alknet_firewall.cli.output import weighed

if TYPE_CHECKING:
    from alknet_firewall.stream import StreamGuard

CHUNK_BYTES = 65_536


def follow_stdin(guard: StreamGuard, output: str) -> int:
    """Judge stdin while it arrives, and print the verdict whenever it turns, and at the end.

    Parameters
    ----------
    guard : StreamGuard
        A fresh one.
    output : {"text", "jsonl"}
        How to print.

    Returns
    -------
    int
        The exit code: whether it was flagged at any time, for somebody may have acted upon it.

    Raises
    ------
    click.ClickException
        If stdin is closed, or what it holds cannot be judged.
    """
    if sys.stdin is None:
        raise click.ClickException("Standard input is closed. Pipe something in.")
    show = _as_json_line if output == "jsonl" else _as_text
    was_flagged = False
    with friendly_errors():
        for chunk in _chunks(cast("BufferedReader", sys.stdin.buffer)):
            if guard.feed(chunk).flagged != was_flagged:
                was_flagged = not was_flagged
                _echo(show, guard, is_final=False)
        guard.close()
    _echo(show, guard, is_final=True)
    return EXIT_FLAGGED if guard.flagged_at is not None else 0


def _chunks(stream: BufferedReader) -> Iterator[bytes]:
    """Bytes as soon as there are any, to the end."""
    while chunk := stream.read1(CHUNK_BYTES):
        yield chunk


def _echo(show: Callable[..., str], guard: StreamGuard, *, is_final: bool) -> None:
    """Print a line at once: somebody may wait for it."""
    click.echo(show(guard, is_final=is_final))
    sys.stdout.flush()


def _as_json_line(guard: StreamGuard, *, is_final: bool) -> str:
    """One JSON object, as of ``scan``, and how far it has come."""
    row: dict[str, Any] = {"source": STDIN, "line": None, "id": None, **guard.verdict.as_dict()}
    return json.dumps({**row, "characters": guard.n_characters, "flagged_at": guard.flagged_at, "final": is_final})


def _as_text(guard: StreamGuard, *, is_final: bool) -> str:
    """A line for a person. The text is not shown: it may be long gone."""
    verdict = guard.verdict
    label = click.style("FLAGGED", fg="red", bold=True) if verdict.flagged else click.style("ok     ", fg="green")
    lines = [f"{label} {weighed(verdict)}  {STDIN}  {verdict.origin}"]
    lines[0] += f"  {'all' if is_final else 'after'} {guard.n_characters} characters"
    lines += [f"        characters {span.start}-{span.end}  {span.score:.3f}" for span in verdict.spans]
    return "\n".join(lines)
