"""A Hub of our own, and what was downloaded from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub.client import REPOSITORY, Client, Downloaded, light_artifact, linked_artifact
from tests.hub.server import HubServer


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
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small artifact; see :func:`tests.hub.client.light_artifact`."""
    return light_artifact(tmp_path_factory.mktemp("light"))


@pytest.fixture
def commit(hub: HubServer, light: Path) -> str:
    """Commit of the small artifact, which the Hub has as ``main`` and ``v1``."""
    return hub.add(REPOSITORY, light, refs=("main", "v1"))


@pytest.fixture(scope="session")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloaded]:
    """The embedded artifact with a stray file beside it, served as a repository and downloaded by its commit."""
    folder = linked_artifact(tmp_path_factory.mktemp("repository"))
    (folder / "training.log").write_text("not part of the artifact")
    with HubServer() as server:
        commit = server.add(REPOSITORY, folder, refs=("main", "v1"))
        client = Client(server, tmp_path_factory.mktemp("home"))
        run = client("download", REPOSITORY, "--revision", commit)
        assert run.returncode == 0, run.stderr
        yield Downloaded(client, commit, run, list(server.requests))


@pytest.fixture
def requests_made(downloaded: Downloaded) -> Callable[[], list[str]]:
    """The requests made since the test began."""
    before = len(downloaded.client.hub.requests)
    return lambda: downloaded.client.hub.requests[before:]
