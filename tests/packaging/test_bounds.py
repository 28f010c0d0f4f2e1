"""The bounds on what the package requires: as low as `constraints/lowest.txt`, open above, and the runtime tests pass at both ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from shipping import BIN, CACHE, ROOT, SUPPORTED, Distributions, checked, find_python, installed_versions, plain_environment

pytestmark = pytest.mark.packaging

PYTHON_OF = {"lowest": SUPPORTED[0], "highest": SUPPORTED[-1]}
RUNTIME_TESTS = ("-m", "not offline_world and not packaging", "--ignore", "tests/packaging")
"""These need what the group 'test' has, and no tools for building."""


def pins(bound: str) -> dict[str, Version]:
    """The releases in a constraints file."""
    lines = (ROOT / "constraints" / f"{bound}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in pairs}


def requirements(built: Distributions) -> dict[str, Requirement]:
    """What the wheel requires without extras."""
    found = [Requirement(line) for line in built.metadata().get_all("Requires-Dist")]
    return {requirement.name: requirement for requirement in found if requirement.marker is None}


def test_lowest_pins_are_the_lower_bounds(built: Distributions) -> None:
    bounds = {
        name: [Version(spec.version) for spec in wanted.specifier if spec.operator == ">="] for name, wanted in requirements(built).items()
    }
    assert {name: [version] for name, version in pins("lowest").items()} == bounds


def test_highest_pins_are_of_all_requirements_and_allowed(built: Distributions) -> None:
    wanted, highest = requirements(built), pins("highest")
    assert highest.keys() == wanted.keys()
    assert [name for name, version in highest.items() if version not in wanted[name].specifier] == []


def test_there_is_no_upper_bound(built: Distributions) -> None:
    operators = {spec.operator for wanted in requirements(built).values() for spec in wanted.specifier}
    assert operators <= {">=", "!="}


@pytest.mark.downloads
@pytest.mark.parametrize("bound", PYTHON_OF)
def test_runtime_tests_pass(bound: str, built: Distributions) -> None:
    python = find_python(PYTHON_OF[bound])
    if python is None:
        pytest.skip(f"Python {PYTHON_OF[bound]} is not on this machine")
    environment = make_bounded(python, bound, built.wheel)
    installed = installed_versions(environment)
    assert {name: Version(installed[name]) for name in pins(bound)} == pins(bound)
    command = [environment / BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *RUNTIME_TESTS]
    done = subprocess.run(command, cwd=ROOT, env=plain_environment(), capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def make_bounded(python: str, bound: str, wheel: Path) -> Path:
    """An environment with the wheel, the pinned releases of what it requires, and what the tests need."""
    folder = CACHE / bound
    checked(python, "-m", "venv", "--clear", folder)
    pip = [folder / BIN / "python", "-m", "pip", "install", "--quiet"]
    checked(*pip, "--upgrade", "pip>=25.1")  # the first that knows dependency groups
    constraints = ROOT / "constraints" / f"{bound}.txt"
    checked(*pip, wheel, "--constraint", constraints, "--group", f"{ROOT / 'pyproject.toml'}:test")
    return folder


@pytest.mark.downloads
def test_artifact_verifies_with_every_minor_release_of_onnxruntime(built: Distributions, tmp_path: Path) -> None:
    """One release between the ends, of several in a row, once ended the process while it loaded the graph."""
    specifier = requirements(built)["onnxruntime"].specifier
    first, last = (pins(bound)["onnxruntime"].minor for bound in ("lowest", "highest"))
    minors = [minor for minor in range(first, last + 1) if f"1.{minor}.9" in specifier]
    python = make_environment_for_releases(CACHE / "releases", built.wheel)
    for minor in minors:
        checked(python, "-m", "pip", "install", "--quiet", "--no-deps", f"onnxruntime==1.{minor}.*{specifier_without_bound(specifier)}")
        shown = checked(python, "-m", "alknet_firewall", "verify", cwd=tmp_path, env=plain_environment())
        assert "0 verdicts differ" in shown, f"onnxruntime 1.{minor}"


def make_environment_for_releases(folder: Path, wheel: Path) -> Path:
    """Python of an environment for onnxruntime's old releases too, which were built for numpy 1."""
    python = find_python("3.11") or sys.executable
    checked(python, "-m", "venv", "--clear", folder)
    checked(folder / BIN / "python", "-m", "pip", "install", "--quiet", wheel, "numpy<2")
    return folder / BIN / "python"


def specifier_without_bound(specifier: SpecifierSet) -> str:
    """The releases that are refused, to be put behind another specifier."""
    return "".join(f",{spec}" for spec in specifier if spec.operator == "!=")
