"""What the tests share: the embedded artifact, loaded once, and copies of it that a test may break."""

import json
import os
import shutil
from importlib.metadata import version

import pytest

from alknet_firewall import Firewall
from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE, MODEL_FILE, write_manifest
from alknet_firewall.hub import EMBEDDED_FOLDER


def pytest_report_header():
    packages = ("onnxruntime", "tokenizers", "numpy", "huggingface_hub")
    return "runtime: " + ", ".join(f"{package} {version(package)}" for package in packages)


@pytest.fixture(scope="session")
def embedded():
    """The embedded artifact."""
    return Firewall.from_pretrained()


@pytest.fixture
def artifact_copy(tmp_path):
    """A folder with the files of the embedded artifact. The graph may be a hard link: change files with `change_file` only."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name in (MANIFEST_FILE, *ARTIFACT_FILES):
        copy = _link if name == MODEL_FILE else shutil.copyfile
        copy(EMBEDDED_FOLDER / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def change_file():
    """``change_file(path, content)``: new content, given as bytes or as a function of the old, in a file of its own."""

    def change(path, content):
        new = content(path.read_bytes()) if callable(content) else content
        path.unlink()
        path.write_bytes(new)

    return change


@pytest.fixture(scope="session")
def rewrite_manifest():
    """``rewrite_manifest(folder)``: a manifest that matches the files as they are now, so that what is wrong with them gets past it."""

    def rewrite(folder):
        tools = json.loads((folder / MANIFEST_FILE).read_bytes())["tools"]
        return write_manifest(folder, tools)

    return rewrite


def _link(source, target):
    """A hard link, or a copy where the two folders lie on different file systems."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
