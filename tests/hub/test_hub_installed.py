"""Artifacts that were installed, found by name; and the order in which names of artifacts are looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alknet_firewall import ArtifactNotFoundError, InvalidInputError
from alknet_firewall.cli import cli
from alknet_firewall.cli.options import ARTIFACT_VARIABLE
from alknet_firewall.hub import open_artifact
from alknet_firewall.installed import ENTRY_POINT_GROUP, SUBFOLDER


@pytest.fixture
def install(tmp_path, monkeypatch, light):
    """``install(distribution, name)``: lay a data wheel out in a folder on the path, as pip does."""

    def call(distribution, name, site="site"):
        package = distribution.replace("-", "_")
        folder, info = tmp_path / site / package / SUBFOLDER, tmp_path / site / f"{package}-1.2.dist-info"
        shutil.copytree(light, folder)
        (folder.parent / "__init__.py").write_text("raise RuntimeError('a data wheel is never imported')\n")
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {package}\n")
        monkeypatch.syspath_prepend(str(tmp_path / site))
        monkeypatch.chdir(tmp_path)
        return folder

    return call


def test_installed_artifact_is_found_by_its_name_and_not_imported(install):
    folder = install("alknet-firewall-model-base", "base")
    artifact = open_artifact("base")
    assert artifact.folder == folder
    assert (artifact.source.kind, artifact.source.name) == ("installed", "alknet-firewall-model-base==1.2")
    assert "alknet_firewall_model_base" not in sys.modules


def test_damaged_installed_artifact_is_refused(install, change_file):
    folder = install("alknet-firewall-model-base", "base")
    change_file(folder / "NOTICE", b"changed twice")
    with pytest.raises(ValueError, match="NOTICE has 13 bytes instead of"):
        open_artifact("base")


def test_unknown_name_lists_what_is_installed(install):
    install("alknet-firewall-model-base", "base")
    install("acme-guard", "acme")
    with pytest.raises(ArtifactNotFoundError, match=r"No artifact at bsae: .*Installed: acme, base\. Check the name\."):
        open_artifact("bsae")


def test_unknown_name_says_that_nothing_is_installed():
    with pytest.raises(ArtifactNotFoundError, match=r"Installed: none\."):
        open_artifact("base")


def test_name_that_two_packages_have_is_ambiguous(install):
    folders = install("alknet-firewall-model-base", "base"), install("acme-guard", "base")
    with pytest.raises(InvalidInputError, match=r"ambiguous.*acme-guard==1\.2 \(.*alknet-firewall-model-base==1\.2 \(") as caught:
        open_artifact("base")
    assert all(str(folder) in str(caught.value) for folder in folders)


def test_the_same_package_twice_on_the_path_is_not_ambiguous(install):
    first = install("alknet-firewall-model-base", "base", "one")
    second = install("alknet-firewall-model-base", "base", "two")
    assert open_artifact("base").folder == second != first


def test_folder_goes_before_an_installed_name(install, tmp_path, light):
    install("alknet-firewall-model-base", "base")
    shutil.copytree(light, tmp_path / "base")
    assert open_artifact("base").source.kind == "folder"


def test_installed_name_takes_no_revision(install):
    install("alknet-firewall-model-base", "base")
    with pytest.raises(InvalidInputError, match="Leave the revision out"):
        open_artifact("base", "main")


def test_empty_name_is_no_folder():
    with pytest.raises(ArtifactNotFoundError):
        open_artifact("")


@pytest.mark.parametrize("path", ["models/small", "small"])
def test_path_is_a_folder_and_no_name(path):
    with pytest.raises(ArtifactNotFoundError, match=r"there is no such folder\. Check the path"):
        open_artifact(Path(path))


LOOKED = """
import json, sys
from alknet_firewall import Firewall
from alknet_firewall.hub import resolve
before = set(sys.modules)
resolve(*sys.argv[1:])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.parametrize("source", [[], ["."]])
def test_embedded_artifact_and_folders_cost_no_look_at_what_is_installed(source):
    done = subprocess.run([sys.executable, "-c", LOOKED, *source], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


# --- the environment


def run(*arguments, stdin=b"", **environment):
    """The command line in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin, env=environment, catch_exceptions=False)


def source_of(*options, **environment):
    return json.loads(run("info", "--format", "json", *options, **environment).output)["source"]


def test_variable_names_the_artifact_and_what_is_said_goes_before_it(light, install):
    install("alknet-firewall-model-base", "base")
    everywhere, here = {ARTIFACT_VARIABLE: "base"}, {"ALKNET_FIREWALL_INFO_ARTIFACT": str(light)}
    assert source_of()["kind"] == "embedded"
    assert source_of(**everywhere)["kind"] == "installed"
    assert source_of(**everywhere, **here) == {"kind": "folder", "name": str(light), "revision": None}
    assert source_of("--artifact", "base", **here)["kind"] == "installed"
    assert source_of(**{ARTIFACT_VARIABLE: ""})["kind"] == "embedded"


def test_variable_is_for_the_command_line_only(monkeypatch):
    monkeypatch.setenv(ARTIFACT_VARIABLE, "no-such-artifact")
    assert open_artifact().source.kind == "embedded"


@pytest.mark.parametrize("command", [["scan", "-t", "Good."], ["info"], ["verify"], ["doctor"], ["evaluate", "-"], ["calibrate", "-"]])
def test_variable_holds_for_every_command(command):
    answer = run(*command, stdin=b'{"text": "Good.", "label": 0, "origin": "prompt"}\n', **{ARTIFACT_VARIABLE: "no-such-artifact"})
    assert answer.exit_code == 1
    assert "No artifact at no-such-artifact" in answer.output


# --- provenance


def test_info_shows_where_every_part_is_from(embedded):
    facts = json.loads(run("info", "--format", "json").output)
    assert facts["source"] == {"kind": "embedded", "name": "small", "revision": None}
    assert facts["files_sha256"] == {name: entry.sha256 for name, entry in embedded.artifact.manifest.files.items()}
    assert facts["built_with"]["onnxruntime"]
    assert {"id", "revision", "weights_sha256", "tokenizer_sha256", "adapter_sha256"} <= set(facts["base_model"])
    config = embedded.artifact.config.as_dict()
    assert facts["data"]["fitted_on"] == config["fitted_on"]
    assert facts["data"]["thresholds_set_on"] == sorted({f"{p['origin']}: {p['data']}" for p in config["operating_points"]})
