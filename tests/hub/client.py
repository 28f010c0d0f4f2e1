"""The command line as a client of :mod:`tests.hub.server`."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from alknet_firewall.artifact import ARTIFACT_FILES, CONFIG_FILE, MODEL_FILE, write_manifest
from alknet_firewall.hub import EMBEDDED_FOLDER
from tests.hub.server import LARGE_FILE, HubServer

ROOT = Path(__file__).parents[2]
REPOSITORY = "acme/guard"
Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Client:
    """The command line against one server, with one cache."""

    hub: HubServer
    home: Path
    interpreter: str = sys.executable

    def __call__(self, *arguments: str, **environment: str) -> Run:
        """Run ``alknet-firewall``."""
        return self.python("-m", "alknet_firewall", *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> Run:
        """Run Python: huggingface_hub reads its settings when it is imported, so each run has its own process."""
        return self.run([self.interpreter, *arguments], **environment)

    def run(self, command: list[str], **environment: str) -> Run:
        """Run any program in the environment of this client."""
        env = self.hub.environment(self.home, **environment)
        return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@dataclass(frozen=True)
class Downloaded:
    """What the first download of the session printed and asked for, and the client that made it."""

    client: Client
    commit: str
    run: Run
    requests: list[str]

    @property
    def folder(self) -> Path:
        return Path(self.run.stdout.strip())


def linked_artifact(folder: Path, changed: dict[str, bytes] | None = None) -> Path:
    """Fill a folder with links to the files of the embedded artifact; `changed` gives some of them other bytes."""
    changed = changed or {}
    for path in EMBEDDED_FOLDER.iterdir():
        if path.name in changed:
            (folder / path.name).write_bytes(changed[path.name])
        else:
            (folder / path.name).symlink_to(path)
    return folder


def light_artifact(folder: Path) -> Path:
    """Fill a folder with an artifact that verifies but cannot scan: its graph is 1.5 MB of noise, its config is the embedded one's."""
    for name in ARTIFACT_FILES:
        (folder / name).write_text(f"{name}\n")
    (folder / CONFIG_FILE).write_bytes((EMBEDDED_FOLDER / CONFIG_FILE).read_bytes())
    (folder / MODEL_FILE).write_bytes(random.Random(0).randbytes(3 * LARGE_FILE // 2))
    write_manifest(folder, {})
    return folder


def failed(run: Run, words: str) -> None:
    """The command failed as it should: exit 1, nothing on stdout, one line of ours after the Hub's progress, no traceback."""
    assert (run.returncode, run.stdout) == (1, ""), run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last, last
