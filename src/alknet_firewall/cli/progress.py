"""A progress line on stderr, when stderr is a terminal and the work is long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from alknet_firewall.cli.inputs import Failure, Record

PATIENCE_S = 2.0
"""Work shorter than this shows nothing."""

INTERVAL_S = 0.2
BAR_WIDTH = 30


class Progress:
    """Counts records as they are read.

    click's own bar needs a known length and is drawn at once; here the length is often unknown (stdin), most runs are short, and results
    are printed to the same terminal.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        """Know how many bytes there are in all, when every path is a file."""
        self._enabled = sys.stderr.isatty()
        self._total = _total_size(paths)
        self._started = self._drawn = time.monotonic()
        self._records = self._bytes = 0
        self._visible = False

    def watch(self, records: Iterator[Record | Failure]) -> Iterator[Record | Failure]:
        """Pass records through and count them."""
        for record in records:
            self._records += 1
            if isinstance(record, Record) and self._enabled:
                self._bytes += len(record.text.encode("utf-8", "replace"))
            self._draw()
            yield record

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._visible = False

    def _draw(self) -> None:
        """Draw the line when it is time."""
        now = time.monotonic()
        if not self._enabled or now - self._started < PATIENCE_S or now - self._drawn < INTERVAL_S:
            return
        self._drawn = now
        line = f"{self._records} texts, {self._records / (now - self._started):.0f} a second"
        if self._total:
            share = min(1.0, self._bytes / self._total)
            filled = round(share * BAR_WIDTH)
            line = f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {share:4.0%}  {line}"
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
        self._visible = True


def _total_size(paths: tuple[str, ...]) -> int:
    """Bytes in all, or 0 when that cannot be known; a path that cannot be read is reported when its turn comes."""
    try:
        return sum(Path(path).stat().st_size for path in paths) if all(Path(path).is_file() for path in paths) else 0
    except OSError:
        return 0
