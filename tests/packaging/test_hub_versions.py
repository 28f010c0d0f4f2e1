"""The circle from publishing to an offline scan, with each major version of huggingface-hub that is supported."""

from __future__ import annotations

import json
import site
import sys
from pathlib import Path

import pytest
from shipping import BIN, checked

from tests.hub.circle import copy_artifact, walk_the_circle
from tests.hub.client import Client
from tests.hub.server import HubServer

pytestmark = pytest.mark.packaging

VERSIONS = {"0.34": ">=0.34,<0.35", "1": ">=1,<2", "2": ">=2,<3"}
WHICH = "import huggingface_hub as hub, json; print(json.dumps([hub.__version__, hub.__file__]))"


@pytest.fixture(params=VERSIONS)
def interpreter(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Python of an environment that has one version of huggingface-hub, and all else from the environment of the tests."""
    environment = tmp_path / "environment"
    checked(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / BIN / "python"
    requirement = f"huggingface-hub{VERSIONS[request.param]}"
    checked(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check", requirement)
    (folder,) = environment.glob("**/site-packages")
    (folder / "others.pth").write_text("".join(f"import site; site.addsitedir({other!r})\n" for other in site.getsitepackages()))
    version, file = json.loads(checked(python, "-c", WHICH))
    assert version.startswith(f"{request.param}.")
    assert Path(file).is_relative_to(folder)
    return str(python)


def test_the_circle_with_each_major_version(interpreter: str, tmp_path: Path) -> None:
    with HubServer() as server:
        client = Client(server, tmp_path / "home", interpreter)
        said = walk_the_circle(client, copy_artifact(tmp_path / "artifact"), tmp_path)
        assert server.repositories["acme/guard"].refs == {"main": said["commit"], "v1.0.0": said["commit"]}
