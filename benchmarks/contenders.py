"""Contenders of an interleaved comparison, each in a process of its own, so that none finds the caches or the threads of another."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, pinned

PEER_PYTHON = ROOT / ".venv-export" / "bin" / "python"
"""Has torch and transformers; contenders that need it are left out where it is missing."""


class Worker:
    """A contender in a process of its own: loaded once, it runs what it is told when it is told (``benchmarks/worker.py``)."""

    def __init__(self, command: Sequence[str | Path], threads: int) -> None:
        """Start it and wait until it is ready."""
        env = {**pinned(threads), "PYTHONPATH": str(ROOT / "src")}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, encoding="utf-8")
        self.versions: dict[str, str] = self._answer()

    def run(self, **order: Any) -> float:
        """Seconds that one order took, after a moment in which the threads of the contender before come to rest."""
        time.sleep(0.03)
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _answer(self) -> Any:
        """Its next line."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}.")
        return json.loads(line)
