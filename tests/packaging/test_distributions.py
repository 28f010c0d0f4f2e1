"""What an index and an installer make of the distributions: metadata and content that tools for it accept, and one result either way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from shipping import Distributions, checked

pytestmark = pytest.mark.packaging

RECORDED_BY_PIP = {"RECORD", "direct_url.json"}
"""Where an installation came from, and the hash of that."""


def installed_files(source: Path, target: Path) -> dict[str, bytes]:
    """What pip puts into a folder for one distribution, by path."""
    arguments = ("--no-deps", "--no-compile", "--no-build-isolation", "--target", target)
    checked(sys.executable, "-m", "pip", "install", "--quiet", *arguments, source)
    files = (path for path in target.rglob("*") if path.is_file() and path.name not in RECORDED_BY_PIP)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in files}


def test_twine_finds_nothing_to_say(built: Distributions) -> None:
    shown = checked(sys.executable, "-m", "twine", "--no-color", "check", "--strict", built.sdist, built.wheel)
    assert shown.count("PASSED") == 2


def test_check_wheel_contents_finds_nothing_to_say(built: Distributions) -> None:
    tree = built.sdist.parents[1] / "tree"
    checked(sys.executable, "-m", "check_wheel_contents", built.wheel, cwd=tree)


def test_sdist_and_wheel_install_the_same_files_and_metadata(built: Distributions, tmp_path: Path) -> None:
    of_sdist, of_wheel = (installed_files(source, tmp_path / source.suffix) for source in (built.sdist, built.wheel))
    assert any(name.endswith(".dist-info/METADATA") for name in of_wheel)
    assert any(name.endswith("/model.onnx") for name in of_wheel)
    assert of_sdist.keys() == of_wheel.keys()
    assert [name for name in of_wheel if of_sdist[name] != of_wheel[name]] == []
