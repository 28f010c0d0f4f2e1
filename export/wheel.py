"""An artifact folder -> a data wheel: installed by pip, found by name, no code in it but an empty package."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import tempfile
from pathlib import Path

import click

from alknet_firewall.artifact import ARTIFACT_FILES, CARD_FILE, MANIFEST_FILE, Artifact, load_artifact
from alknet_firewall.installed import ENTRY_POINT_GROUP, SUBFOLDER

LICENCE_FILES = ("LICENSE", "NOTICE")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = {distribution}
version = {version}
description = {description}
readme = {card}
requires-python = ">=3.10"
license = {license}
license-files = {licence_files}

[project.entry-points.{group}]
{name} = {package}

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = [{package}]
"""
"""Static metadata. It requires nothing: an artifact of a format that the installed alknet-firewall does not read is refused in words."""


def build_wheel(folder: Path, out: Path, version: str, name: str | None = None) -> tuple[Path, Artifact]:
    """Write the data wheel ``alknet-firewall-model-NAME`` of an artifact.

    The same artifact, version and tools give the same bytes, whatever the time and the file modes; hatchling sees to that.

    Parameters
    ----------
    folder : Path
        An artifact; every file of it is verified, and nothing else in the folder is taken.
    out : Path
        Folder for the wheel; made when absent.
    version : str
        Of the wheel, as in PEP 440.
    name : str, optional
        What it is found by; by default the artifact's own name.

    Returns
    -------
    Path, Artifact

    Raises
    ------
    ArtifactError
        If the artifact cannot be trusted.
    ClickException
        If the name or the version cannot be used, or the tools that build wheels are not installed.
    """
    specs = [importlib.util.find_spec(tool) for tool in ("build", "hatchling")]
    if any(spec is None or spec.origin is None for spec in specs):  # a folder called build is found too
        raise click.ClickException("Building a wheel needs build and hatchling. Install them with: pip install build hatchling")
    artifact = load_artifact(folder)
    name = name or artifact.config.name
    if not _NAME.fullmatch(name):
        raise click.ClickException(f"{name!r} cannot be part of a distribution's name. Use letters, digits, '-', '_' and '.'.")
    with tempfile.TemporaryDirectory() as scratch:
        _write_tree(Path(scratch), artifact, name, version)
        return _build(Path(scratch), out, version), artifact


def _write_tree(tree: Path, artifact: Artifact, name: str, version: str) -> None:
    """What hatchling builds from."""
    package = "alknet_firewall_model_" + re.sub(r"[-.]+", "_", name).lower()
    held = tree / package / SUBFOLDER
    held.mkdir(parents=True)
    (tree / package / "__init__.py").touch()
    for file in (MANIFEST_FILE, *ARTIFACT_FILES):
        shutil.copyfile(artifact.path(file), held / file)
    for file in LICENCE_FILES:
        shutil.copyfile(artifact.path(file), tree / file)
    card = artifact.path(CARD_FILE).read_text(encoding="utf-8")
    (tree / CARD_FILE).write_text(re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL), encoding="utf-8")  # the Hub's metadata
    values = {
        "distribution": f"alknet-firewall-model-{name}",
        "version": version,
        "description": f"The artifact '{name}' of alknet-firewall: {artifact.config.base_model.id}, {artifact.config.encoder.precision}.",
        "card": CARD_FILE,
        "license": artifact.config.base_model.license,
        "licence_files": LICENCE_FILES,
        "group": ENTRY_POINT_GROUP,
        "name": name,
        "package": package,
    }
    project = PROJECT.format(**{key: json.dumps(value) for key, value in values.items()})  # a JSON string is a TOML string
    (tree / "pyproject.toml").write_text(project, encoding="utf-8")


def _build(tree: Path, out: Path, version: str) -> Path:
    """Run hatchling as any other front end would."""
    from build import BuildBackendException, ProjectBuilder
    from pyproject_hooks import quiet_subprocess_runner

    out.mkdir(parents=True, exist_ok=True)
    try:
        return Path(ProjectBuilder(tree, runner=quiet_subprocess_runner).build("wheel", out))
    except BuildBackendException as err:
        raise click.ClickException(f"hatchling refused. Check that {version!r} is a version and the licence an SPDX name.") from err
