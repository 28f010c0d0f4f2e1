"""Which artifact it is: pinned by commit and by hash, and what a branch led to is told."""

from __future__ import annotations

import hashlib
import json

import pytest

from alknet_firewall.artifact import MANIFEST_FILE, load_artifact
from alknet_firewall.errors import ArtifactCorruptError, InvalidInputError
from alknet_firewall.hub import EMBEDDED_FOLDER, open_artifact
from tests.hub.client import REPOSITORY, failed
from tests.hub.server import Fault

OTHER = "0" * 64


def pin_of(folder):
    return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()


def test_pinned_manifest_opens_and_any_other_is_refused():
    digest = pin_of(EMBEDDED_FOLDER)
    assert open_artifact(sha256=digest).sha256 == open_artifact(EMBEDDED_FOLDER, sha256=digest.upper()).sha256 == digest
    with pytest.raises(ArtifactCorruptError, match=f"sha256 {digest}, and {OTHER} is pinned"):
        open_artifact(sha256=OTHER)


def test_manifest_is_compared_before_it_is_parsed(tmp_path):
    (tmp_path / MANIFEST_FILE).write_text("no JSON")
    with pytest.raises(ArtifactCorruptError, match="is pinned"):
        load_artifact(tmp_path, sha256=OTHER)
    with pytest.raises(ArtifactCorruptError, match="not valid JSON"):
        load_artifact(tmp_path, sha256=pin_of(tmp_path))


@pytest.mark.parametrize("pin", ["", "0" * 63, "0" * 65, "g" * 64, f"sha256:{OTHER}", 5])
def test_pin_that_is_no_hash_is_refused_before_anything_is_fetched(pin):
    with pytest.raises(InvalidInputError, match="64 hex digits"):
        open_artifact("acme/guard", "main", sha256=pin)


@pytest.mark.parametrize("command", [["scan", "-t", "Good."], ["info"], ["verify"], ["doctor"]])
def test_every_command_takes_a_pin(client, command):
    run = client(*command, "--sha256", OTHER)
    assert run.returncode == 1
    assert f"{OTHER} is pinned" in run.stdout + run.stderr


def test_download_is_verified_against_the_pin(client, commit, light):
    assert client("download", f"{REPOSITORY}@{commit}", "--sha256", pin_of(light)).returncode == 0
    failed(client("download", f"{REPOSITORY}@{commit}", "--sha256", OTHER), f"{OTHER} is pinned")


def test_download_with_a_pin_replaces_a_manifest_that_was_changed_in_the_cache(client, commit, light):
    manifest = client.home.joinpath(client("download", f"{REPOSITORY}@{commit}").stdout.strip(), MANIFEST_FILE).resolve()
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    failed(client("info", "--artifact", f"{REPOSITORY}@{commit}", "--sha256", pin_of(light)), "is pinned")
    assert client("download", f"{REPOSITORY}@{commit}", "--sha256", pin_of(light)).returncode == 0
    assert client("info", "--artifact", f"{REPOSITORY}@{commit}", "--sha256", pin_of(light)).returncode == 0


@pytest.mark.parametrize("name", ["main", "v1"])
def test_info_tells_what_a_name_led_to(client, commit, name):
    facts = json.loads(client("info", "--artifact", f"{REPOSITORY}@{name}", "--format", "json").stdout)
    assert facts["source"] == {"kind": "hub", "name": REPOSITORY, "revision": commit}


def test_two_revisions_are_an_error(client, commit):
    run = client("info", "--artifact", f"{REPOSITORY}@v1", "--revision", "main")
    assert run.returncode == 2
    assert "two revisions, v1 and main" in run.stderr
    assert client.hub.requests == []


def test_branch_is_not_taken_from_the_cache_when_the_hub_does_not_answer(hub, client, commit):
    """huggingface_hub would take what it last knew by that name, without a word."""
    assert client("download", f"{REPOSITORY}@main").returncode == 0
    hub.faults.append(Fault("/", 503))
    failed(client("info", "--artifact", f"{REPOSITORY}@main"), "the Hub answered with HTTP 503")
    failed(client("info", "--artifact", f"{REPOSITORY}@main", HF_ENDPOINT="http://127.0.0.1:9"), "--offline takes what is in the cache")
    assert client("info", "--artifact", f"{REPOSITORY}@main", "--offline").returncode == 0


def test_branch_that_moved_is_followed_and_the_old_commit_stays(hub, client, commit, tmp_path, light):
    assert client("download", f"{REPOSITORY}@main").returncode == 0
    for path in light.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "extra.txt").write_text("a new commit")
    newer = hub.add(REPOSITORY, tmp_path)
    facts = json.loads(client("info", "--artifact", f"{REPOSITORY}@main", "--format", "json").stdout)
    assert facts["source"]["revision"] == newer != commit
    assert client("info", "--artifact", f"{REPOSITORY}@{commit}", "--offline").returncode == 0
