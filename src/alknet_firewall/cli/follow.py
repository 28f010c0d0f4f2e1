"""``alknet-firewall scan --follow -``: stdin as it arrives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from alknet_firewall.cli.arrival import arriving, interrupted
from alknet_firewall.cli.inputs import STDIN
from alknet_firewall.cli.options import EXIT_FLAGGED
from alknet_firewall.cli.output import weighed
from alknet_firewall.errors import AlknetFirewallError

if TYPE_CHECKING:
    from typing import BinaryIO

    from alknet_firewall.stream import StreamGuard

SLICE_BYTES = 32
"""Bytes that the guard gets at a time: no more than the characters of its steps (:data:`alknet_firewall.stream.guard.STEP`), so that every
turn is seen."""


def follow_stdin(guard: StreamGuard, output: str) -> int:
    """Judge stdin while it arrives, and print the verdict whenever it turns, and at the end or at Ctrl-C.

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
        If stdin cannot be read, or what it holds cannot be judged.
    """
    if sys.stdin is None:
        raise click.ClickException("Standard input is closed. Pipe something in.")
    show = _as_json_line if output == "jsonl" else _as_text
    try:
        _follow(guard, sys.stdin.buffer, show)
    except AlknetFirewallError as err:
        raise click.ClickException(f"{err}{_flag(guard)}") from err
    _echo(show, guard, is_final=True)
    return EXIT_FLAGGED if guard.flagged_at is not None else 0


def _follow(guard: StreamGuard, stream: BinaryIO, show: Callable[..., str]) -> None:
    """Feed the guard to the end and close it, let it look ahead in pauses, and print every turn."""
    was_flagged = False
    with interrupted() as stop:
        for piece in arriving(stream, stop):
            for start in range(0, len(piece), SLICE_BYTES):
                guard.feed(piece[start : start + SLICE_BYTES])
                was_flagged = _told(guard, show, was_flagged)
            if not piece:
                guard.peek()
                was_flagged = _told(guard, show, was_flagged)
        guard.close()


def _told(guard: StreamGuard, show: Callable[..., str], was_flagged: bool) -> bool:
    """Print a verdict that turned; whether it is flagged now."""
    if guard.verdict.flagged != was_flagged:
        _echo(show, guard, is_final=False)
    return guard.verdict.flagged


def _flag(guard: StreamGuard) -> str:
    """That a stream without a verdict had been flagged: it must not be lost with the verdict."""
    return "" if guard.flagged_at is None else f" It had been flagged before, after {guard.flagged_at} characters."


def _echo(show: Callable[..., str], guard: StreamGuard, *, is_final: bool) -> None:
    """Print a line at once: somebody may wait for it."""
    click.echo(show(guard, is_final=is_final))
    sys.stdout.flush()


def _as_json_line(guard: StreamGuard, *, is_final: bool) -> str:
    """One JSON object, as of ``scan``, and how far it has come."""
    row: dict[str, Any] = {"source": STDIN, "line": None, "id": None, **guard.verdict.as_dict()}
    return json.dumps({**row, "characters": guard.judged_at, "flagged_at": guard.flagged_at, "final": is_final})


def _as_text(guard: StreamGuard, *, is_final: bool) -> str:
    """A line for a person. The text is not shown: it may be long gone."""
    verdict = guard.verdict
    label = click.style("FLAGGED", fg="red", bold=True) if verdict.flagged else click.style("ok     ", fg="green")
    lines = [f"{label} {weighed(verdict)}  {STDIN}  {verdict.origin}"]
    lines[0] += f"  {'all' if is_final else 'after'} {guard.judged_at} characters"
    lines += [f"        characters {span.start}-{span.end}  {span.score:.3f}" for span in verdict.spans]
    return "\n".join(lines)
