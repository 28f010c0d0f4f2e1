"""Builds the distributions once, and gives each supported Python an environment with nothing but the wheel in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from shipping import (
    BIN,
    CACHE,
    OBSERVER,
    ROOT,
    SUPPORTED,
    Distributions,
    Environment,
    build,
    checked,
    copy_files,
    find_python,
    make_environment,
    tree_files,
)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The distributions of a clean copy of this tree."""
    folder, files = tmp_path_factory.mktemp("built"), tree_files()
    tree = copy_files(files, ROOT, folder / "tree", 0o644, 1_600_000_000)
    return Distributions(files, *build(tree, folder / "dist", "sdist", "wheel"))


@pytest.fixture(scope="session")
def built_again(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The distributions of another copy."""
    folder, tree = tmp_path_factory.mktemp("again"), built.sdist.parents[1] / "tree"
    other = copy_files(built.files, tree, folder / "other", 0o600, 1_650_000_000)
    return Distributions(built.files, *build(other, folder / "dist", "sdist", "wheel"))


@pytest.fixture(scope="session")
def wheel_of_sdist(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that somebody who has only the sdist builds."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(built.sdist, folder, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    (tree,) = folder.iterdir()
    (wheel,) = build(tree, folder / "dist", "wheel")
    return wheel


@pytest.fixture(scope="session", params=SUPPORTED)
def environment(request: pytest.FixtureRequest, built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment of one Python with the wheel and what it requires.

    The requirements are kept between runs, for as long as the metadata asks for the same ones; the wheel is always
    installed anew.
    """
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"Python {request.param} is not on this machine")
    requirements = sorted(built.metadata().get_all("Requires-Dist"))
    identity = json.dumps([checked(python, "-c", "import sys; print(sys.version)"), os.path.realpath(python), requirements])
    folder = CACHE / f"{request.param}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if not (folder / "ready").exists():
        make_environment(python, folder, built.wheel)
    checked(folder / BIN / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", built.wheel)
    scratch = tmp_path_factory.mktemp("scratch")
    (scratch / "sitecustomize.py").write_text(OBSERVER, encoding="utf-8")
    return Environment(folder, scratch)
