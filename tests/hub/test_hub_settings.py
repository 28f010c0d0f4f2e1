"""huggingface_hub's own settings, proxies and progress bars do what people know them to do."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.client import REPOSITORY, failed
from tests.hub.proxy import Proxy


def test_cache_lies_under_hf_home(client, commit):
    folder = Path(client("download", f"{REPOSITORY}@{commit}").stdout.strip())
    assert folder.is_relative_to(client.home / "hub")


def test_hf_hub_cache_goes_before_hf_home(client, commit, tmp_path):
    folder = Path(client("download", f"{REPOSITORY}@{commit}", HF_HUB_CACHE=str(tmp_path / "cache")).stdout.strip())
    assert folder.is_relative_to(tmp_path / "cache")
    assert not (client.home / "hub").exists()


def test_hf_endpoint_is_the_only_host_that_is_asked(hub, client, commit):
    failed(client("download", f"{REPOSITORY}@{commit}", HF_ENDPOINT="http://127.0.0.1:9"), "the Hub cannot be reached")
    assert hub.requests == []
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0
    assert hub.requests


@pytest.mark.parametrize("value", ["1", "true"])
def test_hf_hub_offline_makes_no_request_and_takes_what_is_cached(hub, client, commit, value):
    failed(client("info", "--artifact", f"{REPOSITORY}@main", HF_HUB_OFFLINE=value), "offline mode is on")
    assert hub.requests == []
    assert client("download", f"{REPOSITORY}@main").returncode == 0
    asked = len(hub.requests)
    assert client("info", "--artifact", f"{REPOSITORY}@main", HF_HUB_OFFLINE=value).returncode == 0
    assert len(hub.requests) == asked


def test_hf_token_opens_a_private_repository_and_is_never_printed(hub, client, light):
    commit = hub.add(REPOSITORY, light, token="hf_right")
    for token in ({}, {"HF_TOKEN": "hf_wrong"}):
        run = client("download", f"{REPOSITORY}@{commit}", **token)
        failed(run, "does not exist, or is private")
        assert "hf_wrong" not in run.stderr
    run = client("download", f"{REPOSITORY}@{commit}", HF_TOKEN="hf_right")
    assert run.returncode == 0
    assert "hf_right" not in run.stdout + run.stderr


def test_login_of_the_hub_is_used(hub, client, light):
    commit = hub.add(REPOSITORY, light, token="hf_right")
    client.home.mkdir()
    (client.home / "token").write_text("hf_right")
    assert client("download", f"{REPOSITORY}@{commit}").returncode == 0


def test_proxy_carries_every_request(hub, client, commit):
    """The Hub has a name here that nobody but the proxy knows."""
    with Proxy({"hub.invalid": hub.url}) as proxy:
        run = client("download", f"{REPOSITORY}@{commit}", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=proxy.url)
    assert run.returncode == 0, run.stderr
    assert len(proxy.requests) == len(hub.requests) > 0


def test_no_proxy_goes_past_the_proxy(hub, client, commit):
    with Proxy({}) as proxy:
        run = client("download", f"{REPOSITORY}@{commit}", HTTP_PROXY=proxy.url, NO_PROXY="127.0.0.1,localhost")
    assert run.returncode == 0, run.stderr
    assert proxy.requests == []


def test_proxy_that_wants_a_login_gets_it_and_says_so_without_printing_it(hub, client, commit):
    with Proxy({"hub.invalid": hub.url}, login="user:hunter2") as proxy:
        through = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": proxy.url.replace("//", "//user:wrong7@")}
        run = client("download", f"{REPOSITORY}@{commit}", **through)
        failed(run, "the proxy wants a login (HTTP 407)")
        assert "wrong7" not in run.stderr
        run = client("download", f"{REPOSITORY}@{commit}", **(through | {"HTTP_PROXY": proxy.url.replace("//", "//user:hunter2@")}))
    assert run.returncode == 0, run.stderr


def test_proxy_that_is_down_is_an_error_of_ours(client, commit):
    through = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": "http://127.0.0.1:9"}
    failed(client("download", f"{REPOSITORY}@{commit}", **through), "prox")


def test_no_progress_bar_without_a_terminal(client, commit):
    run = client("download", f"{REPOSITORY}@{commit}")
    assert (run.returncode, run.stderr) == (0, "")


def test_progress_bar_on_a_terminal(client, commit):
    termios = pytest.importorskip("termios", reason="terminals of this kind are POSIX")
    fcntl = pytest.importorskip("fcntl")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # on one without columns nothing can be drawn
    environment = client.hub.environment(client.home, TERM="xterm")
    command = [sys.executable, "-m", "alknet_firewall", "download", f"{REPOSITORY}@{commit}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
        folder = process.stdout.read().decode().strip()
    os.close(ours)
    assert process.returncode == 0, shown
    assert Path(folder).is_dir()
    assert b"%" in shown
    assert b"Fetching" in shown or b"Downloading" in shown


def _read(descriptor):
    """What a terminal shows next; nothing when the program behind it has ended."""
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so; other systems give nothing
        return b""
