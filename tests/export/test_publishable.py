"""What may be published: the embedded artifact may, and every way to spoil it is named."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from alknet_firewall.artifact import MANIFEST_FILE
from alknet_firewall.hub import EMBEDDED_FOLDER
from export.card import model_card
from export.publishable import PublishError, check_publishable

LOADED = "import sys, export.publish; print([name for name in ('torch', 'transformers', 'optimum', 'onnx') if name in sys.modules])"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def spoil(artifact_copy, change_file, rewrite_manifest):
    """``spoil(name, content)``: another content for a file, with a manifest that agrees; the reasons against publishing are given."""

    def change(name, content):
        change_file(artifact_copy / name, content)
        if name != MANIFEST_FILE:
            rewrite_manifest(artifact_copy)
        return reasons(artifact_copy)

    return change


def reasons(folder):
    """Why the folder must not be published."""
    with pytest.raises(PublishError, match="is not published, nothing was sent") as caught:
        check_publishable(folder)
    return str(caught.value)


def edited(**changes):
    """``parity.json`` with other values; None takes a key away."""

    def edit(old):
        document = json.loads(old) | changes
        return json.dumps({key: value for key, value in document.items() if value is not None}).encode()

    return edit


def zipped(content=b""):
    """A zip archive, behind something else."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("data.pkl", pickle.dumps({"a": 1}))
    return content + archive.getvalue()


def test_the_embedded_artifact_may_be_published(artifact_copy, embedded):
    assert check_publishable(artifact_copy).sha256 == embedded.artifact.sha256


def test_a_generated_card_may_be_published_and_says_what_the_files_say(artifact_copy, change_file, rewrite_manifest):
    from huggingface_hub import ModelCard

    config = json.loads((artifact_copy / "config.json").read_bytes())
    config["fitted_on"] = {"texts": 16_615, "attacks": 6_519, "sources": 119}
    change_file(artifact_copy / "config.json", json.dumps(config).encode())
    card = model_card(artifact_copy)
    change_file(artifact_copy / "README.md", card.encode())
    rewrite_manifest(artifact_copy)
    check_publishable(artifact_copy)
    assert ModelCard(card).data.to_dict() == {
        "license": config["base_model"]["license"],
        "base_model": config["base_model"]["id"],
        "library_name": "alknet-firewall",
        "pipeline_tag": "text-classification",
        "tags": ["prompt-injection", "jailbreak", "onnx"],
    }
    assert "- The head was fitted on 16615 labelled texts from 119 sources, 6519 of them attacks." in card
    assert all(f"- Thresholds were set on {point['data']}." in card for point in config["operating_points"])


def test_changed_byte_is_refused(artifact_copy, change_file):
    change_file(artifact_copy / "NOTICE", lambda old: old.replace(b"2026", b"2025"))
    assert "NOTICE has sha256" in reasons(artifact_copy)


@pytest.mark.parametrize("name", [MANIFEST_FILE, "parity.json", "README.md", "model.onnx"])
def test_missing_file_is_refused(artifact_copy, name):
    (artifact_copy / name).unlink()
    assert f"{name} is missing" in reasons(artifact_copy)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"passed": False, "failures": ["flips is 3, must be <= 0"]}, "does not say that parity passed"),
        ({"passed": None}, "does not say that parity passed"),
        ({"failures": ["flips is 3, must be <= 0"]}, "does not say that parity passed"),
        ({"flips": 3}, "parity.json does not hold: flips is 3, must be <= 0"),
        ({"hidden_mean_cosine": float("nan")}, "parity.json does not hold: hidden_mean_cosine is nan"),
        ({"flips": None}, "parity.json lacks figures"),
        ({"precision": "fp32"}, "is not about a graph of precision int8"),
    ],
)
def test_parity_must_have_passed(spoil, changes, words):
    assert words in spoil("parity.json", edited(**changes))


def test_empty_parity_is_no_parity(spoil):
    assert "does not say that parity passed" in spoil("parity.json", b"{}")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("training.log", b"loss", "training.log is not a file of the artifact format. Move it away."),
        ("head.pkl", b"anything", "head.pkl is not a file of the artifact format, and it is a pickle, or may hold one"),
        ("weights", pickle.dumps({"a": 1}), "and it is a pickle"),
        ("weights.safetensors", zipped(), "and it is a zip archive, as torch saves pickles in"),
        ("run", b"#!/bin/sh\n", "and it is an executable script"),
        ("tool", b"\x7fELF\x02\x01", "and it is executable (ELF)"),
        ("libhead.so", b"", "and it is executable"),
    ],
)
def test_what_is_no_part_of_the_format_is_refused(artifact_copy, name, content, words):
    (artifact_copy / name).write_bytes(content)
    assert words in reasons(artifact_copy)


def test_a_folder_within_is_refused(artifact_copy):
    (artifact_copy / ".git").mkdir()
    assert ".git is not a file of the artifact format" in reasons(artifact_copy)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("detector.safetensors", pickle.dumps({"a": 1}), "detector.safetensors is a pickle, not what its name says"),
        ("model.onnx", zipped(), "model.onnx is a zip archive, as torch saves pickles in"),
        ("model.onnx", zipped, "model.onnx is a zip archive behind something else"),
        ("model.onnx", b"nothing of a graph", "cannot load"),
        ("NOTICE", b"#!/bin/sh\necho\n", "NOTICE is an executable script"),
        ("LICENSE", b"Apache\0", "LICENSE is not plain text"),
        ("LICENSE", b"\xff\xfe", "LICENSE is not valid UTF-8 text"),
        ("selftest.json", pickle.dumps({"a": 1}, protocol=0), "selftest.json is not valid JSON"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_although_the_manifest_agrees(spoil, name, content, words):
    assert words in spoil(name, content)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"license: apache-2.0", "licence: apache-2.0", "README.md names no licence"),
        (r"license: apache-2.0", "license: unknown", "README.md names no licence"),
        (r"base_model: ", "base: ", "does not name the base model HuggingFaceTB/"),
        ("## Data", "## Date", "says nothing under '## Data'"),
        ("## Limits", "Limits", "says nothing under '## Limits'"),
        ("## Operating points", "## Points", "says nothing under '## Operating points'"),
        ("| prompt | 0.01 | ", "| prompt | 0.01 | 9", "does not list the operating points of config.json"),
        ("tags:", "tags: [", "no metadata that the Hub can read"),
    ],
)
def test_a_card_that_lacks_something_is_refused(spoil, old, new, words):
    card = (EMBEDDED_FOLDER / "README.md").read_text(encoding="utf-8")
    assert old in card
    assert words in spoil("README.md", card.replace(old, new).encode())


def test_every_reason_is_given_at_once(artifact_copy, change_file, rewrite_manifest):
    change_file(artifact_copy / "parity.json", b"{}")
    change_file(artifact_copy / "README.md", b"# A card\n")
    rewrite_manifest(artifact_copy)
    (artifact_copy / "head.pkl").write_bytes(b"")
    assert reasons(artifact_copy).count("\n- ") == 7


def test_publishing_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT)
    assert done.stdout == "[]\n"
