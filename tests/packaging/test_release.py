"""What goes out beside the distributions: bill of materials and licences of a real installation, and documents that agree with the code."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from shipping import ROOT, SUPPORTED, Environment

import alknet_firewall
from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from alknet_firewall.config import SCHEMA_VERSION
from alknet_firewall.hub import EMBEDDED_FOLDER
from release import licences, sbom

pytestmark = pytest.mark.packaging

newest_python = pytest.mark.parametrize("environment", SUPPORTED[-1:], indirect=True)
PIN = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")


@newest_python
def test_bill_of_materials_lists_what_the_wheel_brings_and_the_model_in_it(environment: Environment, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bill.json"
    done = CliRunner().invoke(sbom.main, [str(environment.folder), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    bill = json.loads(out.read_text(encoding="utf-8"))
    components = {component["name"]: component for component in bill["components"]}
    assert bill["metadata"]["component"]["name"] == "alknet-firewall"
    assert {"numpy", "onnxruntime", "tokenizers", "scikit-learn"} <= components.keys()
    model = components["alknet-firewall artifact small"]
    assert model["hashes"][0]["content"] == hashlib.sha256((EMBEDDED_FOLDER / MANIFEST_FILE).read_bytes()).hexdigest()
    files = {entry["name"]: entry["hashes"][0]["content"] for entry in model["components"]}
    assert files == {name: hashlib.sha256((EMBEDDED_FOLDER / name).read_bytes()).hexdigest() for name in ARTIFACT_FILES}
    (main,) = [entry for entry in bill["dependencies"] if entry["ref"] == bill["metadata"]["component"]["bom-ref"]]
    assert model["bom-ref"] in main["dependsOn"]


@newest_python
def test_licences_of_what_the_wheel_brings_are_permissive(environment: Environment) -> None:
    done = CliRunner().invoke(licences.main, [str(environment.folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert re.search(r"^\| tqdm \| \S+ \| MPL-2\.0 AND MIT \|$", done.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("package", "licence", "allowed"),
    [
        ("any", "MIT", True),
        ("any", "MIT License", True),
        ("any", "MIT License; BSD License", True),
        ("any", "BSD-3-Clause AND 0BSD AND Zlib", True),
        ("any", "GPL-3.0-only OR MIT", True),
        ("any", "GPL-3.0-only AND MIT", False),
        ("any", "GPL-3.0-only WITH GCC-exception-3.1", False),
        ("any", "MPL-2.0 AND MIT", False),
        ("tqdm", "MPL-2.0 AND MIT", True),
        ("tqdm", "GPL-3.0-only", False),
        ("any", "MIT License; GNU Affero General Public License v3", False),
        ("any", "UNKNOWN", False),
        ("any", "", False),
    ],
)
def test_licence_is_allowed_when_every_part_of_it_is(package: str, licence: str, allowed: bool) -> None:
    assert licences.is_allowed(package, licence) is allowed


def test_versioning_says_which_schema_this_version_reads_and_writes() -> None:
    minor = ".".join(alknet_firewall.__version__.split(".")[:2])
    rows = re.findall(r"^\| ([\d.]+) \| (.+) \| (\d+) \|$", (ROOT / "docs" / "versioning.md").read_text(encoding="utf-8"), re.MULTILINE)
    (row,) = [row for row in rows if row[0] == minor]
    assert row[1:] == (str(SCHEMA_VERSION), str(SCHEMA_VERSION))


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="an unpacked sdist has no workflows")
def test_every_action_is_pinned_by_hash_and_the_checklist_names_where_from() -> None:
    used = {
        line
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    }
    assert used
    assert [line for line in used if not PIN.fullmatch(line)] == []
    names = {line.partition("@")[0].rpartition("/")[2] for line in used}
    checklist = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in checklist] == []
