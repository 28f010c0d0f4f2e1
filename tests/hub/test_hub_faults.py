"""What goes wrong between a Hub and its clients, for real, and what is said about it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from alknet_firewall.artifact import MANIFEST_FILE, MODEL_FILE, write_manifest
from tests.hub.client import REPOSITORY, failed
from tests.hub.server import Fault

SHORT = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}


def sent(hub):
    """How many bytes of the large file went out, each time it was asked for."""
    return [n_bytes for request, n_bytes in hub.sent if "/store/" in request]


@pytest.mark.parametrize("where", ["/api/", "/resolve/"])
@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository_says_how_to_get_access(hub, client, commit, where, status):
    hub.faults.append(Fault(where, status, "GatedRepo"))
    run = client("download", f"{REPOSITORY}@{commit}", HF_TOKEN="hf_secret")
    failed(run, f"is gated. Ask for access on its page, {hub.url}/{REPOSITORY}, then log in with 'hf auth login' or set HF_TOKEN")
    assert "hf_secret" not in run.stderr


@pytest.mark.parametrize(("headers", "words"), [({"Retry-After": "90"}, "in 90 seconds"), ({}, "in a few minutes")])
def test_rate_limit_says_when_to_try_again(hub, client, commit, headers, words):
    hub.faults.append(Fault("/api/", 429, headers=headers))
    failed(client("download", f"{REPOSITORY}@{commit}"), f"limits how often it may be asked (HTTP 429). Try again {words}")


def test_rate_limit_with_a_hostile_header_prints_none_of_it(hub, client, commit):
    hub.faults.append(Fault("/api/", 429, headers={"Retry-After": "\x1b[31m soon"}))
    failed(client("download", f"{REPOSITORY}@{commit}"), "Try again in a few minutes")


def test_renamed_repository_is_followed(hub, client, commit):
    hub.moved["acme/old"] = REPOSITORY
    run = client("download", f"acme/old@{commit}")
    assert run.returncode == 0, run.stderr
    assert client("info", "--artifact", f"acme/old@{commit}", "--offline").returncode == 0
    assert any("acme/old" in request for request in hub.requests)


def test_slow_connection_gets_there(hub, client, commit):
    hub.faults.append(Fault("GET /store/", pause_s=0.3))
    assert client("download", f"{REPOSITORY}@{commit}", **SHORT).returncode == 0


def test_hub_that_takes_connections_and_never_answers_is_given_up(hub, client, commit):
    hub.faults.append(Fault("/", pause_s=60))
    began = time.monotonic()
    failed(client("download", f"{REPOSITORY}@{commit}", **SHORT), "the Hub cannot be reached")
    assert time.monotonic() - began < 50


def test_broken_connection_goes_on_where_it_broke(hub, client, tmp_path, light):
    """huggingface_hub keeps what it received in pieces of 10 MB. From 1.0 on it goes on by itself, before that when it is run again."""
    size, piece = 24_000_000, 10 << 20
    folder = shutil.copytree(light, tmp_path / "larger")
    (folder / MODEL_FILE).write_bytes(bytes(size))
    write_manifest(folder, {})
    commit = hub.add(REPOSITORY, folder)
    hub.faults += [Fault("GET /store/", cut=piece + 1, times=2)]
    for _ in range(3):
        run = client("download", f"{REPOSITORY}@{commit}")
        if run.returncode == 0:
            break
        failed(run, "could not be downloaded")
    assert run.returncode == 0, run.stderr
    assert len(sent(hub)) == 3
    assert sum(sent(hub)) <= size + 2


def test_wrong_bytes_are_refused_and_named(hub, client, commit):
    hub.faults.append(Fault("GET /store/", flip=True))
    failed(client("download", f"{REPOSITORY}@{commit}"), f"{MODEL_FILE} has sha256")
    failed(client("info", "--artifact", f"{REPOSITORY}@{commit}", "--offline"), f"{MODEL_FILE} has sha256")
    hub.faults.clear()
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0


def test_wrong_bytes_once_are_fetched_again(hub, client, commit):
    hub.faults.append(Fault("GET /store/", flip=True, times=1))
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0
    assert client("info", "--artifact", f"{REPOSITORY}@{commit}", "--offline").returncode == 0


def test_wrong_manifest_is_refused(hub, client, commit):
    hub.faults.append(Fault(MANIFEST_FILE, flip=True))
    run = client("download", f"{REPOSITORY}@{commit}")
    assert (run.returncode, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr


def test_wrong_etag_is_no_harm_when_the_bytes_are_right_and_refused_when_two_files_share_one(hub, client, commit):
    """The cache keeps files by their ETag, so one that is not the file's own can give another file's bytes."""
    hub.faults.append(Fault("/LICENSE", etag="a" * 40))
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0
    hub.faults[:] = [Fault(f"/{name}", etag="b" * 40) for name in ("LICENSE", "NOTICE")]
    other = client.__class__(hub, client.home.with_name("other"))
    failed(other("download", f"{REPOSITORY}@{commit}"), " has ")


def test_an_etag_that_leads_out_of_the_cache_does_not_overwrite_a_file_there(hub, client, commit):
    """huggingface_hub 2.4.0 follows such a name, and a forced download would write through it."""
    cache = Path(client.python("-c", "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)").stdout.strip())
    outside = cache.parent / "outside"
    outside.parent.mkdir(parents=True, exist_ok=True)
    outside.write_text("not the cache's", encoding="utf-8")
    hub.faults.append(Fault("/config.json", etag="../../../outside"))
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 1
    assert outside.read_text(encoding="utf-8") == "not the cache's"
