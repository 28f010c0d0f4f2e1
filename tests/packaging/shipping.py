"""Building the distributions, finding interpreters, and running commands in an environment that holds nothing but the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARTIFACT = Path("src/alknet_firewall/models/small")
CACHE = ROOT / "build" / "package-venvs"
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
EPOCH = "1700000000"
BIN = "Scripts" if os.name == "nt" else "bin"

# Refuses every connection and name look-up, and reports at exit what was tried and what was imported.
OBSERVER = """
import atexit, json, os, sys

BLOCKED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
attempts = []


def refuse(event, arguments):
    if event in BLOCKED:
        attempts.append(event)
        raise OSError("the network is blocked in this test")


def report():
    with open(os.environ["OBSERVER_REPORT"], "w", encoding="utf-8") as stream:
        json.dump({"attempts": attempts, "modules": sorted(sys.modules)}, stream)


sys.addaudithook(refuse)
atexit.register(report)
"""


@dataclass(frozen=True)
class Distributions:
    """One sdist and one wheel, both built from a tree, and the files of that tree."""

    files: list[Path]
    sdist: Path
    wheel: Path

    def metadata(self) -> Message:
        """The wheel's METADATA."""
        return Parser().parsestr(read_member(self.wheel, ".dist-info/METADATA"))


@dataclass(frozen=True)
class Run:
    """A finished process in an environment, with what the observer saw."""

    code: int
    stdout: str
    stderr: str
    attempts: list[str]
    modules: list[str]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds pip and what the wheel brought."""

    folder: Path
    scratch: Path

    def command(self, name: str) -> Path:
        """An executable of this environment."""
        return self.folder / BIN / name

    def run(self, *arguments: str | Path) -> Run:
        """Run an executable of this environment: no network, nothing inherited from the caller's settings, an empty home."""
        report = self.scratch / "report.json"
        report.unlink(missing_ok=True)
        env = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP", "TMPDIR") if name in os.environ}
        env |= {"HOME": str(self.scratch), "HF_HOME": str(self.scratch / "hf"), "HF_HUB_OFFLINE": "1"}
        env |= {"PYTHONPATH": str(self.scratch), "PYTHONIOENCODING": "utf-8", "OBSERVER_REPORT": str(report)}
        name, *rest = arguments
        done = subprocess.run(
            [self.command(str(name)), *rest], check=False, capture_output=True, encoding="utf-8", env=env, cwd=self.scratch, timeout=120
        )
        if not report.exists():
            pytest.fail(f"{name} ended without a report\n{done.stdout}\n{done.stderr}")
        seen = json.loads(report.read_text(encoding="utf-8"))
        return Run(done.returncode, done.stdout, done.stderr, seen["attempts"], seen["modules"])


def read_member(wheel: Path, ending: str) -> str:
    """Content of the one file of a wheel whose name ends so."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name).decode("utf-8")


def checked(*command: str | Path, **options: object) -> str:
    """Standard output of a command that must succeed; the test fails with all it printed."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def tree_files() -> list[Path]:
    """What git sees of the tree, and the embedded artifact; relative to the root."""
    if (ROOT / ".git").exists():
        listed = checked("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
        found = {Path(name) for name in listed if name and (ROOT / name).is_file()}
    else:  # an unpacked sdist
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()}
        found = {path for path in found if not {"__pycache__", "build", "dist"} & set(path.parts) and not path.parts[0].startswith(".")}
    return sorted(found | {path.relative_to(ROOT) for path in (ROOT / ARTIFACT).iterdir()})


def copy_files(names: list[Path], source: Path, target: Path, mode: int, modified: int) -> Path:
    """A copy of some files that all get this mode and this time, so that a build which records either is caught."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
        (target / name).chmod(mode)
        os.utime(target / name, (modified, modified))
    return target


def build(tree: Path, out: Path, *kinds: str) -> list[Path]:
    """Run `python -m build`; return what it made, sdist first."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    flags = [f"--{kind}" for kind in kinds]
    checked(sys.executable, "-m", "build", "--no-isolation", *flags, "--outdir", out, tree, env=env)
    return sorted(out.iterdir(), key=lambda path: path.suffix)


def find_python(version: str) -> str | None:
    """A working interpreter of this version that can make virtual environments: on the path, or one of pyenv's."""
    candidates = [shutil.which(f"python{version}"), *_pyenv_pythons(version)]
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        candidates.insert(0, sys.executable)
    return next((path for path in candidates if path and _answers(path, version)), None)


def _pyenv_pythons(version: str) -> list[str]:
    """pyenv's interpreters of this version, newest first; its shims only work for versions that are switched on."""
    if shutil.which("pyenv") is None:
        return []
    folders = (Path(checked("pyenv", "root").strip()) / "versions").glob(f"{version}.*")
    newest_first = sorted(folders, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)], reverse=True)
    return [str(folder / "bin" / "python") for folder in newest_first]


def _answers(path: str, version: str) -> bool:
    """Whether an interpreter runs, is of this version, and has what `python -m venv` needs."""
    script = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", script], capture_output=True, encoding="utf-8", check=False, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def make_environment(python: str, folder: Path, wheel: Path) -> None:
    """A fresh environment with the wheel in it, in the place of older ones for this Python."""
    for old in folder.parent.glob(f"{folder.name.partition('-')[0]}-*"):
        shutil.rmtree(old)
    checked(python, "-m", "venv", folder)
    checked(folder / BIN / "python", "-m", "pip", "install", "--quiet", wheel)
    (folder / "ready").touch()


def plain_environment() -> dict[str, str]:
    """The variables of this process without those that change what Python imports."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def installed_versions(folder: Path) -> dict[str, str]:
    """Versions of the distributions in an environment, by normalised name."""
    listed = json.loads(checked(folder / BIN / "python", "-m", "pip", "list", "--format", "json"))
    return {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"] for item in listed}
