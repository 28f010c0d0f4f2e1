"""uv itself reads the README's settings and takes a CPU-only torch, from indexes on localhost that have what the wheel requires."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from shipping import ROOT, Distributions, checked

pytestmark = pytest.mark.packaging

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEWEST = "999.0"


class QuietHandler(SimpleHTTPRequestHandler):
    """Files and folders; a folder's list of links is what an index's page is."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(built: Distributions, tmp_path: Path) -> Iterator[str]:
    """URL of a server with two indexes: `pypi` with the wheel and empty packages for all it requires, `cpu` with torch and a decoy."""
    root = tmp_path / "index"
    names = {Requirement(line).name for line in built.metadata().get_all("Requires-Dist")}
    for name in names:
        write_empty_wheel(root / "pypi" / name, name, NEWEST)
    (root / "pypi" / "alknet-firewall").mkdir()
    shutil.copy(built.wheel, root / "pypi" / "alknet-firewall")
    write_empty_wheel(root / "cpu" / "torch", "torch", f"{NEWEST}+cpu")
    write_empty_wheel(root / "cpu" / "numpy", "numpy", "9999.0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def write_empty_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel with metadata and nothing else."""
    folder.mkdir(parents=True)
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def documented_settings() -> str:
    """The README's TOML for uv."""
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (settings,) = [block for block in blocks if "tool.uv" in block]
    return settings


def lock(project: Path, settings: str, index: str) -> dict[str, tuple[str, str]]:
    """Version and registry of each package that uv locks for a project with these settings."""
    project.mkdir()
    about = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.10"\n'
    (project / "pyproject.toml").write_text(about + settings.replace(CPU_INDEX, f"{index}/cpu"), encoding="utf-8")
    env = {**os.environ, "UV_CACHE_DIR": str(project / "cache"), "UV_DEFAULT_INDEX": f"{index}/pypi", "UV_NO_PROGRESS": "1"}
    checked(sys.executable, "-m", "uv", "lock", "--python", sys.executable, cwd=project, env=env)
    locked = (project / "uv.lock").read_text(encoding="utf-8")
    rows = re.findall(r'\[\[package\]\]\nname = "(.+)"\nversion = "(.+)"\nsource = \{ registry = "(.+)" \}', locked)
    return {name: (version, registry) for name, version, registry in rows}


def test_documented_settings_take_torch_alone_from_the_cpu_index(index: str, tmp_path: Path) -> None:
    settings = documented_settings()
    assert CPU_INDEX in settings
    locked = lock(tmp_path / "app", settings, index)
    assert locked["torch"] == (f"{NEWEST}+cpu", f"{index}/cpu")
    assert {registry for name, (_, registry) in locked.items() if name != "torch"} == {f"{index}/pypi"}
    assert {"alknet-firewall", "numpy", "onnxruntime", "transformers"} <= locked.keys()


def test_torch_must_be_named_since_uv_knows_sources_of_direct_dependencies_only(index: str, tmp_path: Path) -> None:
    unnamed = documented_settings().replace(', "torch"]', "]")
    assert unnamed != documented_settings()
    assert lock(tmp_path / "app", unnamed, index)["torch"] == (NEWEST, f"{index}/pypi")
