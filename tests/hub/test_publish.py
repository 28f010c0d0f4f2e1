"""Artifacts to a Hub: sent with huggingface_hub's own client to a server of ours, in one commit or not at all."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from tests.hub.circle import NAMESPACES, TOKEN, copy_artifact, printed, publish, walk_the_circle
from tests.hub.client import REPOSITORY, ROOT
from tests.hub.repository import LARGE_FILE, Fault

WRITES = ("POST", "PUT")


@pytest.fixture
def folder(tmp_path):
    """A copy of the embedded artifact."""
    return copy_artifact(tmp_path / "artifact")


@pytest.fixture
def publisher(client):
    """A client whose token may write."""
    client.hub.writers[TOKEN] = NAMESPACES
    return client


@pytest.fixture
def second(publisher, folder, tmp_path, change_file, rewrite_manifest):
    """The Hub has version 1; the folder is version 2, which differs in a small file and its manifest. The first commit is given."""
    first = publisher.hub.add(REPOSITORY, copy_artifact(tmp_path / "first"), refs=("main", "v1"))
    files = publisher.hub.repositories[REPOSITORY].files.values()
    publisher.hub.stored.update({entry.sha256: entry for entry in files if entry.size >= LARGE_FILE})
    change_file(folder / "NOTICE", lambda old: old + b"\nSecond.\n")
    rewrite_manifest(folder)
    return first


def writes(hub):
    """Requests that may have changed something, except those that only ask."""
    asking = ("/validate-yaml", "/preupload/", "/objects/batch")
    return [request for request in hub.requests if request.startswith(WRITES) and not any(part in request for part in asking)]


def test_the_whole_circle(client, folder, tmp_path):
    said = walk_the_circle(client, folder, tmp_path)
    repository = client.hub.repositories[REPOSITORY]
    assert repository.refs == {"main": said["commit"], "v1.0.0": said["commit"]}
    assert set(repository.files) == {".gitattributes", MANIFEST_FILE, *ARTIFACT_FILES}
    assert len(repository.commits) == 2  # the repository's own first one, and one for all files


def test_dry_run_shows_sizes_and_makes_no_request(client, folder):
    run = publish(client, folder, "--tag", "v1", "--dry-run", HF_TOKEN="")
    assert run.returncode == 0, run.stderr
    shown = dict(reversed(line.split()) for line in run.stdout.splitlines()[1:-1])
    assert {name: int(size.replace(",", "")) for name, size in shown.items()} == {
        path.name: path.stat().st_size for path in folder.iterdir()
    }
    assert client.hub.requests == []


def test_progress_is_for_a_terminal_and_not_for_a_log(publisher, folder):
    run = publish(publisher, folder, "--tag", "v1")
    assert (run.returncode, run.stderr) == (0, "")


def test_a_second_version_leaves_the_first_where_it_was(publisher, folder, second):
    said = printed(publish(publisher, folder, "--tag", "v2"))
    repository = publisher.hub.repositories[REPOSITORY]
    assert repository.refs == {"main": said["commit"], "v1": second, "v2": said["commit"]}
    assert b"Second" not in repository.commits[second]["NOTICE"].path.read_bytes()
    assert b"Second" in repository.files["NOTICE"].path.read_bytes()
    assert not [request for request in publisher.hub.requests if request.startswith("PUT")]  # large files are there already


@pytest.mark.parametrize("tag", ["v1", "main"])
def test_an_existing_tag_is_refused_before_anything_is_sent(publisher, folder, second, tag):
    run = publish(publisher, folder, "--tag", tag)
    assert (run.returncode, run.stdout) == (1, "")
    assert "'main' cannot be a tag" in run.stderr if tag == "main" else f"has the tag v1 already, at {second}" in run.stderr
    assert writes(publisher.hub) == []
    assert publisher.hub.repositories[REPOSITORY].refs == {"main": second, "v1": second}


INTERRUPTIONS = [
    (Fault("POST /api/models/acme/guard/commit/", cut=100), "connection failed or was cut"),
    (Fault("POST /api/models/acme/guard/commit/", 500), "HTTP 500, the Hub failed"),
    (Fault("POST /api/models/acme/guard/commit/", 429), "HTTP 429, the Hub limits"),
    (Fault("POST /api/models/acme/guard/commit/", 412), "HTTP 412, main has changed meanwhile"),
    (
        Fault(
            "POST /acme/guard.git/info/lfs/objects/batch", 401, headers={"X-Error-Message": "Invalid credentials in Authorization header"}
        ),
        "HTTP 401",
    ),
    (Fault("POST /api/models/acme/guard/preupload/", 403), "HTTP 403, the token may not do this. Use one with write access to acme"),
]


@pytest.mark.parametrize(("fault", "words"), INTERRUPTIONS)
def test_an_upload_that_fails_leaves_main_and_the_old_tag(publisher, folder, second, fault, words):
    publisher.hub.stored.clear()  # so that large files are sent again
    publisher.hub.faults.append(replace(fault))
    run = publish(publisher, folder, "--tag", "v2")
    assert (run.returncode, run.stdout) == (1, "")
    assert words in run.stderr
    assert publisher.hub.repositories[REPOSITORY].refs == {"main": second, "v1": second}


def test_a_killed_upload_leaves_everything_and_the_next_run_finishes(publisher, folder, second):
    publisher.hub.stored.clear()
    publisher.hub.faults.append(Fault("PUT /store/", pause_s=20.0))
    command = [sys.executable, "-m", "export", "publish", str(folder), "--repo-id", REPOSITORY, "--tag", "v2"]
    environment = publisher.hub.environment(publisher.home, HF_TOKEN=TOKEN)
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        until(lambda: any(request.startswith("PUT") for request in publisher.hub.requests))
        process.kill()
        process.communicate()
    repository = publisher.hub.repositories[REPOSITORY]
    assert repository.refs == {"main": second, "v1": second}
    publisher.hub.faults.clear()
    said = printed(publish(publisher, folder, "--tag", "v2"))
    assert publisher.hub.repositories[REPOSITORY].refs == {"main": said["commit"], "v1": second, "v2": said["commit"]}


@pytest.mark.parametrize("fault", [Fault("PUT /store/", cut=1 << 20, times=1), Fault("PUT /store/", 500, times=1)])
def test_a_large_file_that_fails_once_is_sent_again(publisher, folder, fault):
    publisher.hub.faults.append(replace(fault))
    said = printed(publish(publisher, folder))
    assert publisher.hub.repositories[REPOSITORY].refs == {"main": said["commit"]}
    assert said["tag"] == "-"


def test_a_commit_whose_tag_failed_is_tagged_by_the_next_run(publisher, folder):
    publisher.hub.faults.append(Fault("/tag/", 500))
    run = publish(publisher, folder, "--tag", "v1")
    commit = publisher.hub.repositories[REPOSITORY].commit
    assert run.returncode == 1
    assert f"commit {commit} is on main and whole, but the tag v1 could not be set: HTTP 500" in run.stderr
    publisher.hub.faults.clear()
    assert printed(publish(publisher, folder, "--tag", "v1"))["commit"] == commit
    repository = publisher.hub.repositories[REPOSITORY]
    assert repository.refs == {"main": commit, "v1": commit}
    assert len(repository.commits) == 2


def test_what_the_hub_holds_is_compared_before_it_is_tagged(publisher, folder, second):
    """The Hub says that it has the large files already, and has others."""
    stored = publisher.hub.stored
    stored.update({name: replace(entry, sha256="0" * 64) for name, entry in stored.items()})
    publisher.hub.repositories[REPOSITORY].files.clear()  # nothing there is as it should be, so everything is in the commit
    run = publish(publisher, folder, "--tag", "v2")
    assert run.returncode == 1
    assert "than was sent, and was not tagged" in run.stderr
    assert "v2" not in publisher.hub.repositories[REPOSITORY].refs


@pytest.mark.parametrize(
    ("writers", "words"),
    [
        ({}, "HTTP 401, the Hub does not accept the token"),
        ({TOKEN: ("gardener",)}, "HTTP 403, the token may not do this. Use one with write access to acme"),
    ],
)
def test_a_token_that_may_not_write_is_refused(client, folder, writers, words):
    client.hub.writers.update(writers)
    run = publish(client, folder)
    assert (run.returncode, run.stdout) == (1, "")
    assert words in run.stderr
    assert client.hub.repositories == {}


def test_no_token_is_an_error_that_makes_no_request(client, folder):
    run = publish(client, folder, HF_TOKEN="")
    assert run.returncode == 1
    assert "needs a token with write access. Log in with 'hf auth login', or set HF_TOKEN" in run.stderr
    assert client.hub.requests == []


def test_the_token_of_a_login_is_used(publisher, folder):
    publisher.home.mkdir()
    (publisher.home / "token").write_text(TOKEN)
    printed(publish(publisher, folder, HF_TOKEN=""))


@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}\u20ac", f"{TOKEN}\x01"])
def test_a_token_is_not_shown_when_the_hub_repeats_it_or_it_cannot_be_sent(publisher, folder, token):
    publisher.hub.faults.append(Fault("", 403, headers={"X-Error-Message": f"Bearer {TOKEN} may not do this"}))
    run = publish(publisher, folder, HF_TOKEN=token)  # asserts that it is not shown
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"Error: {REPOSITORY}: the repository cannot be looked up: ")


def test_a_private_repository_is_hidden_from_others(publisher, folder, tmp_path):
    commit = printed(publish(publisher, folder, "--private"))["commit"]
    other = replace(publisher, home=tmp_path / "other")
    assert "does not exist, or is private" in other("download", REPOSITORY, "--revision", commit).stderr
    assert other("download", REPOSITORY, "--revision", commit, HF_TOKEN=TOKEN).returncode == 0


def test_private_is_not_taken_lightly_when_the_repository_is_public(publisher, folder, second):
    run = publish(publisher, folder, "--private", "--tag", "v2")
    assert run.returncode == 1
    assert "exists and is public. Nothing was sent" in run.stderr
    assert writes(publisher.hub) == []


def test_metadata_that_only_the_hub_can_judge_is_refused_before_a_file_is_sent(publisher, folder, second, change_file, rewrite_manifest):
    change_file(folder / "README.md", lambda old: old.replace(b"license: apache-2.0", b"license: free-for-friends"))
    rewrite_manifest(folder)
    run = publish(publisher, folder, "--tag", "v2")
    assert run.returncode == 1
    assert "HTTP 400, the Hub cannot read what was sent. Most likely it is the card's metadata" in run.stderr
    assert writes(publisher.hub) == []


def test_a_folder_that_must_not_be_published_makes_no_request(client, folder):
    (folder / "training.log").write_text("loss")
    run = publish(client, folder)
    assert (run.returncode, run.stdout) == (1, "")
    assert "- training.log is not a file of the artifact format" in run.stderr
    assert client.hub.requests == []


def until(condition, seconds=60):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
