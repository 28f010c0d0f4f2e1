"""A Hub of our own, and programs that use it: huggingface_hub reads its settings when it is imported, so each runs in its own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from alknet_firewall.hub import EMBEDDED_FOLDER
from tests.hub.server import HubServer

REPOSITORY = "acme/guard"
Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Client:
    """The command line against one server, with one cache."""

    hub: HubServer
    home: Path

    def __call__(self, *arguments: str, **environment: str) -> Run:
        """Run ``alknet-firewall``."""
        return self.python("-m", "alknet_firewall", *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> Run:
        """Run Python."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=self.hub.environment(self.home, **environment), capture_output=True, text=True, timeout=120, check=False
        )


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


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A server without repositories."""
    with HubServer() as server:
        yield server


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> Client:
    """The command line with an empty cache."""
    return Client(hub, tmp_path / "home")


@pytest.fixture(scope="session")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloaded]:
    """The embedded artifact with a stray file beside it, served as a repository and downloaded by its commit."""
    folder = linked_copy(tmp_path_factory.mktemp("repository"))
    (folder / "training.log").write_text("not part of the artifact")
    with HubServer() as server:
        commit = server.add(REPOSITORY, folder, refs=("main", "v1"))
        client = Client(server, tmp_path_factory.mktemp("home"))
        run = client("download", REPOSITORY, "--revision", commit)
        assert run.returncode == 0, run.stderr
        yield Downloaded(client, commit, run, list(server.requests))


@pytest.fixture
def quiet(downloaded: Downloaded) -> Callable[[], list[str]]:
    """The requests made since the test began."""
    before = len(downloaded.client.hub.requests)
    return lambda: downloaded.client.hub.requests[before:]


def linked_copy(folder: Path, **changed: bytes) -> Path:
    """Links to the files of the embedded artifact; `changed` replaces files, a dot in a name written as two underscores."""
    replaced = {name.replace("__", "."): content for name, content in changed.items()}
    for path in EMBEDDED_FOLDER.iterdir():
        if path.name in replaced:
            (folder / path.name).write_bytes(replaced[path.name])
        else:
            (folder / path.name).symlink_to(path)
    return folder
