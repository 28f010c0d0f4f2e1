"""The cache's disk: read-only, full, and shared by two processes at once. Mounts live in a namespace of their own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alknet_firewall.artifact import MODEL_FILE
from tests.hub.client import REPOSITORY, failed

MODULE = shlex.join([sys.executable, "-m", "alknet_firewall"])


@pytest.fixture
def mounted(client):
    """``mounted(mount, command)``: run a command line of ours after a mount that nobody else sees; ``HOME_`` is the cache's folder."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are not permitted here")
    client.home.mkdir()

    def call(mount, *arguments):
        script = f"{mount.replace('HOME_', shlex.quote(str(client.home)))} && exec {MODULE} {shlex.join(arguments)}"
        return client.run(["unshare", "-rm", "sh", "-ec", script])

    return call


READ_ONLY = "mount --bind HOME_ HOME_ && mount -o remount,bind,ro HOME_"


def test_cached_artifact_opens_from_a_read_only_cache_without_a_request(hub, client, commit, mounted):
    assert client("download", f"{REPOSITORY}@main").returncode == 0
    asked = len(hub.requests)
    run = mounted(READ_ONLY, "info", "--artifact", f"{REPOSITORY}@{commit}")
    assert (run.returncode, run.stderr) == (0, "")
    run = mounted(READ_ONLY, "info", "--artifact", f"{REPOSITORY}@main", "--offline")
    assert (run.returncode, run.stderr) == (0, "")
    assert len(hub.requests) == asked


def test_read_only_cache_that_lacks_the_artifact_says_what_to_set(client, commit, mounted):
    failed(mounted(READ_ONLY, "download", f"{REPOSITORY}@{commit}"), f"the cache, {client.home / 'hub'}, cannot be written. Set HF_HOME")


def test_full_disk_is_an_error_of_ours_and_leaves_no_half_artifact(hub, client, commit, mounted):
    one_megabyte = "mount -t tmpfs -o size=1m none HOME_"
    failed(mounted(one_megabyte, "download", f"{REPOSITORY}@{commit}"), f"the disk of the cache, {client.home / 'hub'}, is full")


def test_file_size_limit_leaves_a_cache_that_the_next_download_completes(client, commit):
    """A quota stops a write as a full disk does."""
    resource = pytest.importorskip("resource", reason="limits of this kind are POSIX")
    limit = 1 << 20
    program = (
        f"import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY)); "
        f"sys.argv = ['alknet-firewall', 'download', '{REPOSITORY}@{commit}']; runpy.run_module('alknet_firewall', run_name='__main__')"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    failed(client.python("-c", program), "is full")
    failed(client("info", "--artifact", f"{REPOSITORY}@{commit}", "--offline"), "is not in the cache")
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0


def test_two_processes_at_once_share_one_download(hub, client, commit):
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: client("download", f"{REPOSITORY}@{commit}"), range(3)))
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")] * 3
    (folder,) = {run.stdout.strip() for run in runs}
    assert (Path(folder) / MODEL_FILE).stat().st_size
    assert len([request for request in hub.requests if request.startswith("GET /store/")]) == 1
