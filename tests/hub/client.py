"""The command line as a client of :mod:`tests.hub.server`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from alknet_firewall.hub import EMBEDDED_FOLDER
from tests.hub.server import HubServer

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
        env = self.hub.environment(self.home, **environment)
        return subprocess.run([self.interpreter, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


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
