"""Artifacts from a Hub: fetched with huggingface_hub's own client from a server of ours, pinned, cached, verified."""

from __future__ import annotations

import json
import shutil

import pytest

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from tests.hub.client import REPOSITORY, failed
from tests.hub.server import Fault

ABSENT_COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = ("-t", "Water the tomatoes in the morning.", "--threshold", "1", "--format", "jsonl")

TYPE_OF_ERROR = """
import sys
from alknet_firewall import AlknetFirewallError
from alknet_firewall.hub import resolve
try:
    resolve(sys.argv[1], sys.argv[2] or None, offline=bool(sys.argv[3:]))
except AlknetFirewallError as err:
    print(type(err).__name__)
"""


def test_download_prints_nothing_but_a_folder(downloaded):
    assert downloaded.run.stdout == f"{downloaded.folder}\n"
    assert downloaded.folder.is_dir()
    assert downloaded.folder.is_relative_to(downloaded.client.home)


def test_download_takes_exactly_the_files_of_an_artifact(downloaded):
    assert {path.name for path in downloaded.folder.iterdir()} == {MANIFEST_FILE, *ARTIFACT_FILES}
    assert not [request for request in downloaded.requests if "training.log" in request]


def test_printed_folder_scans_like_the_embedded_artifact(downloaded):
    from_folder, embedded = downloaded.client("scan", "--artifact", str(downloaded.folder), *TEXT), downloaded.client("scan", *TEXT)
    assert (from_folder.returncode, from_folder.stderr) == (0, "")
    assert json.loads(from_folder.stdout) == json.loads(embedded.stdout)


@pytest.mark.parametrize(("options", "environment"), [([], {}), (["--offline"], {}), ([], {"HF_HUB_OFFLINE": "1"})])
def test_cached_commit_scans_without_any_request(downloaded, requests_made, options, environment):
    run = downloaded.client("scan", "--artifact", REPOSITORY, "--revision", downloaded.commit, *options, *TEXT, **environment)
    assert (run.returncode, run.stderr) == (0, "")
    verdict = json.loads(run.stdout)
    assert (verdict["flagged"], verdict["revision"]) == (False, downloaded.commit)
    assert requests_made() == []


def test_download_of_a_cached_commit_makes_no_request(downloaded, requests_made):
    assert downloaded.client("download", REPOSITORY, "--revision", downloaded.commit).stdout == downloaded.run.stdout
    assert requests_made() == []


@pytest.mark.parametrize("name", ["v1", "main"])
def test_tag_and_branch_lead_to_their_commit_and_then_work_offline(downloaded, requests_made, name):
    run = downloaded.client("download", REPOSITORY, "--revision", name)
    assert (run.returncode, run.stdout) == (0, downloaded.run.stdout)
    asked = len(requests_made())
    assert asked > 0
    offline = downloaded.client("scan", "--artifact", f"{REPOSITORY}@{name}", "--offline", *TEXT)
    assert json.loads(offline.stdout)["revision"] == downloaded.commit
    assert len(requests_made()) == asked


@pytest.mark.parametrize("command", ["info", "verify", "doctor"])
def test_other_commands_take_a_cached_artifact(downloaded, requests_made, command):
    run = downloaded.client(command, "--artifact", REPOSITORY, "--revision", downloaded.commit, "--offline")
    assert run.returncode == 0, run.stdout + run.stderr
    assert requests_made() == []


def test_hub_id_without_revision_says_what_to_give(downloaded, requests_made):
    run = downloaded.client("scan", "--artifact", REPOSITORY, *TEXT)
    assert (run.returncode, run.stdout) == (2, "")
    assert "needs a revision. Give the commit hash" in run.stderr
    assert downloaded.client.python("-c", TYPE_OF_ERROR, REPOSITORY, "").stdout == "InvalidInputError\n"
    assert requests_made() == []


def test_download_without_revision_is_a_usage_error(client):
    run = client("download", REPOSITORY)
    assert run.returncode == 2
    assert "--revision" in run.stderr


def test_download_takes_no_folder(client, tmp_path):
    run = client("download", str(tmp_path), "--revision", "v1")
    assert run.returncode == 2
    assert "must be the Hub id org/name" in run.stderr


NOT_FOUND = [
    ("acme/other", "v1", [], "acme/other at v1 does not exist, or is private."),
    ("acme/other", ABSENT_COMMIT, [], "acme/other at 0123456789abcdef0123456789abcdef01234567 does not exist, or is private."),
    (REPOSITORY, "v9", [], "the repository has no such revision"),
    (REPOSITORY, ABSENT_COMMIT, [], "the repository has no such revision"),
]
REFUSED = [
    (REPOSITORY, "v1", [Fault("/resolve/", 401, "GatedRepo")], "is gated. Ask for access"),
    (REPOSITORY, "v1", [Fault("/resolve/", 403, "GatedRepo")], "is gated. Ask for access"),
    (REPOSITORY, "v1", [Fault("/api/", 403, "GatedRepo")], "is gated. Ask for access"),
    (REPOSITORY, "v1", [Fault("/api/", 500)], "could not be downloaded: the Hub answered with HTTP 500"),
    (REPOSITORY, "v1", [Fault("GET /acme/", 403)], "could not be downloaded: the Hub refused (HTTP 403). Check that HF_TOKEN"),
    (REPOSITORY, "v1", [Fault("/store/", 404)], "could not be downloaded: the Hub answered with HTTP 404"),
]
CASES = [("ArtifactNotFoundError", *case) for case in NOT_FOUND] + [("DownloadError", *case) for case in REFUSED]


@pytest.mark.parametrize(("error", "repository", "revision", "faults", "words"), CASES)
def test_refusal_of_the_hub_is_an_error_of_ours(hub, client, light, error, repository, revision, faults, words):
    hub.add(REPOSITORY, light, refs=("v1",))
    hub.faults += faults
    failed(client("download", repository, "--revision", revision), words)
    assert client.python("-c", TYPE_OF_ERROR, repository, revision).stdout == f"{error}\n"


def test_server_down_is_an_error_of_ours(hub, client):
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9"}  # the discard port: nothing listens there
    failed(client("scan", "--artifact", REPOSITORY, "--revision", "v1", *TEXT, **dead), "the Hub cannot be reached")
    assert client.python("-c", TYPE_OF_ERROR, REPOSITORY, "v1", **dead).stdout == "DownloadError\n"
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["v1", ABSENT_COMMIT])
def test_not_cached_and_offline_names_the_command_that_fetches(hub, client, revision):
    run = client("scan", "--artifact", REPOSITORY, "--revision", revision, "--offline", *TEXT)
    failed(run, f"alknet-firewall download {REPOSITORY} --revision {revision}")
    assert client.python("-c", TYPE_OF_ERROR, REPOSITORY, revision, "offline").stdout == "ArtifactNotFoundError\n"
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["v1", ABSENT_COMMIT])
def test_not_cached_in_the_offline_mode_of_the_hub_makes_no_request(hub, client, revision):
    run = client("scan", "--artifact", REPOSITORY, "--revision", revision, *TEXT, HF_HUB_OFFLINE="1")
    failed(run, "is not in the cache")
    assert hub.requests == []


def test_private_repository_opens_to_its_token_only(hub, client, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "note.txt").write_text("one")
    hub.add(REPOSITORY, folder, refs=("v1",), token="hf_secret")
    program = f"from alknet_firewall.hub import fetch; print((fetch({REPOSITORY!r}, 'v1', ['note.txt']) / 'note.txt').read_text())"
    assert "private repository set HF_TOKEN" in client.python("-c", program).stderr
    assert client.python("-c", program, HF_TOKEN="hf_secret").stdout == "one\n"


def test_repository_that_is_no_artifact_names_the_missing_file(hub, client, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    hub.add(REPOSITORY, tmp_path, refs=("v1",))
    failed(client("download", REPOSITORY, "--revision", "v1"), "manifest.json is missing")


@pytest.mark.parametrize("name", ["tokenizer.json", "LICENSE"])
def test_file_with_wrong_bytes_is_refused_by_name(hub, client, light, tmp_path, name):
    folder = shutil.copytree(light, tmp_path / "changed")
    (folder / name).write_text((light / name).read_text().swapcase())
    commit = hub.add(REPOSITORY, folder)
    failed(client("download", REPOSITORY, "--revision", commit), f"{name} has sha256")
    failed(client("scan", "--artifact", REPOSITORY, "--revision", commit, "--offline", *TEXT), f"{name} has sha256")


def test_download_replaces_a_damaged_copy_in_the_cache(client, commit):
    folder = client("download", REPOSITORY, "--revision", commit).stdout
    damaged = client.home.joinpath(folder.strip(), "config.json").resolve()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    failed(client("scan", "--artifact", REPOSITORY, "--revision", commit, *TEXT), "config.json has")
    failed(client("download", REPOSITORY, "--revision", commit, HF_HUB_OFFLINE="1"), "config.json has")
    again = client("download", REPOSITORY, "--revision", commit)
    assert (again.returncode, again.stdout) == (0, folder)
    assert client("info", "--artifact", REPOSITORY, "--revision", commit).returncode == 0


def test_cut_connection_is_an_error_and_the_next_download_completes(hub, client, commit):
    hub.faults.append(Fault(f"GET /{REPOSITORY}/resolve/{commit}/config.json", cut=0))
    failed(client("download", REPOSITORY, "--revision", commit), "could not be downloaded")
    failed(client("scan", "--artifact", REPOSITORY, "--revision", commit, "--offline", *TEXT), "is not in the cache")
    hub.faults.clear()
    assert client("download", REPOSITORY, "--revision", commit).returncode == 0
