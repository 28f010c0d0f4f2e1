"""The data wheel: what is in it, the same bytes every time, and installed by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser

import click
import pytest

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from alknet_firewall.integrity import file_sha256
from export.wheel import build_wheel

pytestmark = pytest.mark.packaging

PROGRAM = """
import json, sys
from alknet_firewall.hub import open_artifact
artifact = open_artifact("tiny-one")
print(json.dumps([str(artifact.folder), artifact.source.name]))
"""


@pytest.fixture(scope="module")
def wheel(light, tmp_path_factory):
    (light / "stray.log").write_text("not part of the artifact")
    return build_wheel(light, tmp_path_factory.mktemp("dist"), "1.0", "tiny-one")[0]


def test_wheel_holds_the_artifact_and_no_code(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names, about = archive.namelist(), "alknet_firewall_model_tiny_one-1.0.dist-info"
        metadata = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        assert archive.read("alknet_firewall_model_tiny_one/__init__.py") == b""
        assert (
            archive.read(f"{about}/entry_points.txt").decode() == "[alknet_firewall.artifacts]\ntiny-one = alknet_firewall_model_tiny_one\n"
        )
    assert wheel.name == "alknet_firewall_model_tiny_one-1.0-py3-none-any.whl"
    held = {f"alknet_firewall_model_tiny_one/artifact/{name}" for name in (MANIFEST_FILE, *ARTIFACT_FILES)}
    licences = {f"{about}/licenses/{name}" for name in ("LICENSE", "NOTICE")}
    others = {f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    assert set(names) == held | licences | others | {"alknet_firewall_model_tiny_one/__init__.py"}
    assert metadata["Name"] == "alknet-firewall-model-tiny-one"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Requires-Dist") is None
    assert metadata.get_all("Dynamic") is None


def test_wheel_has_the_same_bytes_again(wheel, light, tmp_path):
    for path in light.iterdir():
        path.chmod(0o600)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    again, _ = build_wheel(light, tmp_path, "1.0", "tiny-one")
    assert file_sha256(again) == file_sha256(wheel)


def test_wheel_is_installed_by_pip_and_found_by_name(wheel, tmp_path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = str(site / "alknet_firewall_model_tiny_one" / "artifact")
    assert json.loads(done.stdout) == [found, "alknet-firewall-model-tiny-one==1.0"]


def test_damaged_artifact_makes_no_wheel(artifact_copy, change_file, tmp_path):
    change_file(artifact_copy / "NOTICE", b"changed")
    with pytest.raises(ValueError, match="NOTICE has 7 bytes"):
        build_wheel(artifact_copy, tmp_path / "dist", "1.0")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(("version", "name"), [("1.0", "a/b"), ("1.0", "-a"), ("one", "tiny"), ('1.0"\nx = "', "tiny")])
def test_bad_name_or_version_is_refused(light, tmp_path, version, name):
    with pytest.raises(click.ClickException, match=r"cannot be part of|Check that"):
        build_wheel(light, tmp_path, version, name)


def test_command_says_what_to_install(light, tmp_path):
    command = [sys.executable, "-m", "export", "wheel", light, "--version", "2.0", "--out", tmp_path]
    facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert file_sha256(tmp_path / "alknet_firewall_model_small-2.0-py3-none-any.whl") == facts["sha256"]
    assert facts["manifest_sha256"] == file_sha256(light / MANIFEST_FILE)
