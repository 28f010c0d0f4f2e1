"""Environments made for a benchmark: installing from an index with the size of every wheel, and what lies on disk afterwards."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from benchmarks.common import ROOT, run_fresh

PACKAGE = "alknet-firewall"


@dataclass(frozen=True)
class Installation:
    """An environment in which one contender is installed, and what that took.

    Attributes
    ----------
    python : Path
        Its interpreter.
    downloads : dict of str to int, or None
        Bytes of each wheel; None when it was installed already.
    disk : dict of str to int
        Bytes of the installed files of each distribution, compiled Python included.
    versions : dict of str to str
    """

    python: Path
    downloads: dict[str, int] | None
    disk: dict[str, int]
    versions: dict[str, str]


def existing(folder: Path) -> Installation:
    """An environment that somebody made; everything in it but pip and setuptools counts."""
    python = folder / "bin" / "python"
    if is_editable(site_packages(python)):
        raise click.UsageError(f"{PACKAGE} is installed there as an editable tree, which has no size of its own. Install the wheel.")
    return look_at(python, None, {"pip", "setuptools"})


def new_environment(folder: Path) -> Path:
    """A virtual environment with pip in it, in the place of an older one; its interpreter."""
    venv.create(folder, with_pip=True, clear=True, symlinks=True)
    return folder / "bin" / "python"


def build_wheel(python: Path, out: Path) -> Path:
    """The wheel of this tree."""
    pip(python, "wheel", "--no-deps", "--wheel-dir", out, ROOT)
    (wheel,) = out.glob("alknet_firewall-*.whl")
    return wheel


def install(python: Path, wheels: Path, steps: Sequence[Sequence[str]]) -> Installation:
    """Download what each step asks for, then install it from there, so that the sizes are those of the very files installed."""
    before = set(distributions(site_packages(python)))
    downloads: dict[str, int] = {}
    report = wheels / "report.json"
    for step in steps:
        requirements = [part for part in step if part not in index_arguments(step)]
        pip(python, "download", "--only-binary", ":all:", "--dest", wheels, "--find-links", wheels, *step)
        pip(python, "install", "--no-index", "--find-links", wheels, "--report", report, *requirements)
        downloads |= report_sizes(json.loads(report.read_text(encoding="utf-8")))
    return look_at(python, downloads, before - set(downloads))


def index_arguments(step: Sequence[str]) -> list[str]:
    """The option of a step that says where to download from, with its value."""
    return list(step[step.index("--index-url") :]) if "--index-url" in step else []


def pip(python: Path, *arguments: str | Path) -> None:
    """Run an environment's pip; its output goes to stderr."""
    subprocess.run([python, "-m", "pip", *arguments], check=True, stdout=sys.stderr)


def report_sizes(report: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of each wheel in a report of `pip install --report`, by distribution; the wheels are local files."""
    paths = {item["metadata"]["name"]: unquote(urlsplit(item["download_info"]["url"]).path) for item in report["install"]}
    return {normalised(name): Path(path).stat().st_size for name, path in paths.items()}


def look_at(python: Path, downloads: dict[str, int] | None, leave_out: set[str]) -> Installation:
    """What is installed in an environment, without the distributions named."""
    found = {name: dist for name, dist in distributions(site_packages(python)).items() if name not in leave_out}
    disk = {name: installed_bytes(dist) for name, dist in found.items()}
    return Installation(python, downloads, disk, {name: dist.version for name, dist in found.items()})


def site_packages(python: Path) -> Path:
    """Where an interpreter's packages are."""
    return Path(run_fresh([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).output.strip())


def distributions(site: Path) -> dict[str, importlib.metadata.Distribution]:
    """Installed distributions by normalised name."""
    return {normalised(dist.metadata["Name"]): dist for dist in importlib.metadata.distributions(path=[str(site)])}


def is_editable(site: Path) -> bool:
    """Whether alknet-firewall is only a link to a tree there."""
    found = distributions(site).get(PACKAGE)
    if found is None:
        raise click.UsageError(f"{PACKAGE} is not installed in that environment.")
    return '"editable": true' in (found.read_text("direct_url.json") or "")


def installed_bytes(distribution: importlib.metadata.Distribution) -> int:
    """Size of the files that an installed distribution recorded and that are there."""
    paths = [Path(str(file.locate())) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def normalised(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_graph(site: Path) -> dict[str, set[str]]:
    """What each installed distribution requires, extras left out."""
    graph = {}
    for name, dist in distributions(site).items():
        lines = [line for line in dist.requires or () if not re.search(r"\bextra\s*==", line)]
        graph[name] = {normalised(re.split(r"[\s\[(<>=!~;@]", line, maxsplit=1)[0]) for line in lines}
    return {name: wanted & set(graph) for name, wanted in graph.items()}


def exclusive(graph: Mapping[str, set[str]], package: str, root: str) -> set[str]:
    """The distributions that `root` would not need if it did not need `package`: that one, and what only it requires."""
    return reachable(graph, package) - reachable(graph, root, {package})


def reachable(graph: Mapping[str, set[str]], root: str, without: set[str] | frozenset[str] = frozenset()) -> set[str]:
    """`root` and everything it needs, directly or not, along ways that avoid `without`."""
    found, waiting = set(), [root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name] - without
    return found
