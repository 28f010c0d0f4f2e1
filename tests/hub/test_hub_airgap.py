"""docs/install.md, run for real: wheels are gathered with a network, and installed and used in a network namespace without a route."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alknet_firewall.hub import EMBEDDED_FOLDER

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
NO_ROUTE = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"


def block(name: str) -> str:
    """The commands that docs/install.md gives under one name."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (commands,) = re.findall(rf"<!-- run: {name} -->\n```sh\n(.*?)```", page, re.DOTALL)
    return commands


def sh(commands: str, folder: Path, *wrapper: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, with this Python first on the path; they must succeed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON", "ALKNET_"))}
    env = {**own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HF_HOME": str(folder / "hf"), **environment}
    done = subprocess.run(
        [*wrapper, "sh", "-euc", commands], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def isolated() -> list[str]:
    """What to put before a command so that it has no network."""
    for wrapper in (["unshare", "-rn"], ["unshare", "-n"]):
        if shutil.which("unshare") and subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode == 0:
            return wrapper
    pytest.skip("network namespaces are not permitted here")


def test_air_gapped_path_as_written(isolated, tmp_path):
    refused = subprocess.run([*isolated, sys.executable, "-c", NO_ROUTE], capture_output=True, text=True, check=False)
    assert "Network is unreachable" in refused.stderr
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    (tmp_path / "constraints.txt").write_text(f"alknet-firewall @ {wheel.as_uri()}\n")
    sh(block("connected"), tmp_path, PIP_CONSTRAINT=str(tmp_path / "constraints.txt"))
    sh(block("wheel"), tmp_path, ARTIFACT=str(EMBEDDED_FOLDER), PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    first = sh(block("isolated"), tmp_path, *isolated)
    assert "0 verdicts differ" in first.stdout
    assert "FLAGGED" in first.stdout
    second = sh(block("installed"), tmp_path, *isolated)
    assert "0 verdicts differ" in second.stdout
    assert '"flagged": false' in second.stdout
    assert not (tmp_path / "hf").exists()
