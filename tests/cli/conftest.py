"""Three ways to run the command line: in this process (fast), in its own process, and on a terminal."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alknet_firewall import firewall, hub
from alknet_firewall.artifact import Artifact
from alknet_firewall.cli import cli
from alknet_firewall.firewall import Firewall
from tests.cli.running import TIMEOUT_S, Answer, killed_when_stuck, start


@pytest.fixture
def run(embedded: Firewall, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Run ``alknet-firewall`` in this process; the embedded artifact is not loaded again. An exception that is no exit fails the test."""
    real_open, real_firewall = hub.open_artifact, firewall.Firewall

    def open_artifact(source: str | None = None, revision: str | None = None, **options: Any) -> Artifact:
        plain = source is None and revision is None and options.get("sha256") is None
        return embedded.artifact if plain else real_open(source, revision, **options)

    def wired(artifact: Artifact, *, threads: int | None = None, thresholds: str | None = None) -> Firewall:
        plain = artifact is embedded.artifact and threads in (None, embedded.threads) and thresholds is None
        return embedded if plain else real_firewall(artifact, threads=threads, thresholds=thresholds)

    monkeypatch.setattr(hub, "open_artifact", open_artifact)
    monkeypatch.setattr(firewall, "Firewall", wired)

    def invoke(*arguments: str | Path, stdin: bytes | None = None, **environment: str) -> Answer:
        try:
            runner = CliRunner(mix_stderr=False)  # click before 8.2
        except TypeError:
            runner = CliRunner()
        words = [str(argument) for argument in arguments]
        result = runner.invoke(cli, words, input=stdin, env=environment, prog_name="alknet-firewall", catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def program() -> Callable[..., Answer]:
    """Run ``python -m alknet_firewall`` in its own process."""

    def call(*arguments: str | bytes | Path, stdin: bytes = b"", **env: str) -> Answer:
        pipe = subprocess.PIPE
        with start(*arguments, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                stdout, stderr = process.communicate(stdin, TIMEOUT_S)
            finally:
                process.kill()
        return Answer(process.returncode, stdout.decode(), stderr.decode())

    return call


@pytest.fixture
def on_terminal() -> Callable[..., tuple[bytes, bytes]]:
    """Run ``python -m alknet_firewall`` with stderr, and stdout where wanted, on a terminal.

    `feed` is sent to stdin piece by piece, each a moment after something came back, so that the work takes longer than its pause.
    Gives what the terminal showed and what came out of stdout when that is a pipe.
    """
    pytest.importorskip("pty", reason="terminals of this kind are POSIX")

    def call(*arguments: str | Path, stdout: bool = True, feed: Sequence[bytes] = (), pause_s: float = 0.0) -> tuple[bytes, bytes]:
        ours, theirs = os.openpty()
        process = start(*arguments, stdin=subprocess.PIPE, stdout=theirs if stdout else subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        piped = b""
        with process, killed_when_stuck(process):
            for piece in feed:
                process.stdin.write(piece)
                process.stdin.flush()
                piped += process.stdout.readline() if process.stdout else b""
                time.sleep(pause_s)
            process.stdin.close()
            shown = _read_to_end(ours)
            piped += process.stdout.read() if process.stdout else b""
        os.close(ours)
        return shown, piped

    return call


def _read_to_end(descriptor: int) -> bytes:
    """Everything a terminal shows until the program behind it ends."""
    shown = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux says so; other systems give nothing
            return shown
        if not piece:
            return shown
        shown += piece
