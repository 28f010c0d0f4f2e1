"""``python -m alknet_firewall`` in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 120


@dataclass(frozen=True)
class Answer:
    """What a run of the command line gave."""

    code: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without what would change colours, widths or encodings."""
    return {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING")} | more


def start(*arguments: str | bytes | Path, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line."""
    return subprocess.Popen([sys.executable, "-m", "alknet_firewall", *arguments], env=environment(**(env or {})), **options)


@contextmanager
def killed_when_stuck(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process that waits for ever, so that reading from it fails instead of waiting too."""
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
