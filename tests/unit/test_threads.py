"""Threads: the argument, then the environment, then the cores that affinity and the cgroup quota give."""

import os

import pytest

from alknet_firewall import InvalidInputError
from alknet_firewall.threads import THREADS_VARIABLE, available_cores, resolve_threads

V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu"


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def quota_v1(folder, quota, period="100000"):
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


def make_root(root, cgroup, files):
    """A root folder with `cgroup` as ``/proc/self/cgroup`` and the given files."""
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


QUOTAS = {
    "v2": ("0::/pod\n", {f"{V2}/pod/cpu.max": "300000 100000\n"}, 3),
    "v2, rounded up": ("0::/pod\n", {f"{V2}/pod/cpu.max": "150000 100000\n"}, 2),
    "v2, less than one core": ("0::/pod\n", {f"{V2}/pod/cpu.max": "10000 100000\n"}, 1),
    "v2, another period": ("0::/pod\n", {f"{V2}/pod/cpu.max": "100000 50000\n"}, 2),
    "v2, no quota": ("0::/pod\n", {f"{V2}/pod/cpu.max": "max 100000\n"}, 8),
    "v2, more than the affinity": ("0::/pod\n", {f"{V2}/pod/cpu.max": "6400000 100000\n"}, 8),
    "v2, inside a container": ("0::/\n", {f"{V2}/cpu.max": "200000 100000\n"}, 2),
    "v2, set on a parent": (
        "0::/slice/pod/app\n",
        {f"{V2}/slice/cpu.max": "400000 100000\n", f"{V2}/slice/pod/app/cpu.max": "max 100000\n"},
        4,
    ),
    "v2, the tightest of all": (
        "0::/slice/pod\n",
        {f"{V2}/slice/cpu.max": "200000 100000\n", f"{V2}/slice/pod/cpu.max": "500000 100000\n"},
        2,
    ),
    "v2, a neighbour's": ("0::/pod\n", {f"{V2}/other/cpu.max": "100000 100000\n", f"{V2}/pod/child/cpu.max": "100000 100000\n"}, 8),
    "v1": ("4:cpu,cpuacct:/docker/abc\n", quota_v1(f"{V1}/docker/abc", 200000), 2),
    "v1, rounded up": ("4:cpu:/docker/abc\n", quota_v1(f"{V1}/docker/abc", 210000), 3),
    "v1, no quota": ("4:cpu,cpuacct:/docker/abc\n", quota_v1(f"{V1}/docker/abc", -1), 8),
    "v1, the host's path seen in a container": ("4:cpuacct,cpu:/docker/abc\n", quota_v1(V1, 300000), 3),
    "v1, of another controller": ("5:cpuset:/docker/abc\n6:memory:/docker/abc\n", quota_v1(f"{V1}/docker/abc", 100000), 8),
    "v1 and v2 together": ("4:cpu:/a\n0::/b\n", {**quota_v1(f"{V1}/a", 500000), f"{V2}/b/cpu.max": "300000 100000"}, 3),
    "no files": ("0::/pod\n", {}, 8),
    "period 0": ("4:cpu:/a\n", quota_v1(f"{V1}/a", 100000, 0), 8),
    "quota 0": ("0::/a\n", {f"{V2}/a/cpu.max": "0 100000\n"}, 1),
    "cpu.max is garbage": ("0::/pod\n", {f"{V2}/pod/cpu.max": "lots\n"}, 8),
    "cpu.max is not text": ("0::/pod\n", {f"{V2}/pod/cpu.max": b"\xff\xfe\x00"}, 8),
    "cgroup is garbage": ("what\n::\n:\n\n", {}, 8),
    "cgroup is not ASCII": (b"0::/\xff\n", {}, 8),
    "cgroup is empty": ("", {}, 8),
}


@pytest.mark.parametrize(("cgroup", "files", "cores"), QUOTAS.values(), ids=QUOTAS)
def test_the_cgroup_quota_limits_the_cores(cgroup, files, cores, eight_cores, tmp_path):
    assert available_cores(make_root(tmp_path, cgroup, files)) == cores


def test_the_affinity_counts_where_there_is_no_cgroup(eight_cores, tmp_path):
    assert available_cores(tmp_path) == 8


def test_the_hosts_cores_count_where_there_is_no_affinity(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_cores(tmp_path) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == 1


def test_this_machine_gives_at_least_one_core_and_no_more_than_it_has():
    assert 1 <= available_cores() <= os.cpu_count()


def test_the_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    assert resolve_threads(2) == 2


def test_the_environment_wins_over_the_cores(monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, " 77 ")
    assert resolve_threads() == 77


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_argument_and_environment_the_cores_decide(monkeypatch, value):
    if value is None:
        monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(THREADS_VARIABLE, value)
    assert resolve_threads() == available_cores()


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1e3", "0x2", "1,2"])
def test_a_bad_variable_is_an_error_that_names_it(monkeypatch, value):
    monkeypatch.setenv(THREADS_VARIABLE, value)
    with pytest.raises(InvalidInputError, match=THREADS_VARIABLE):
        resolve_threads()


@pytest.mark.parametrize("threads", [0, -2, True, False, 1.0, 2.5, float("nan"), [2], b"x"])
def test_a_bad_argument_is_an_error_that_names_it_whatever_the_environment_says(monkeypatch, threads):
    monkeypatch.setenv(THREADS_VARIABLE, "2")
    with pytest.raises(InvalidInputError, match=r"^threads must be"):
        resolve_threads(threads)


@pytest.mark.parametrize("threads", [1025, 10**9, 2**40])
def test_more_threads_than_any_host_has_cores_are_an_error(monkeypatch, threads):
    with pytest.raises(InvalidInputError, match=r"^threads must be at most 1024"):
        resolve_threads(threads)
    monkeypatch.setenv(THREADS_VARIABLE, str(threads))
    with pytest.raises(InvalidInputError, match=f"^{THREADS_VARIABLE} must be at most 1024"):
        resolve_threads()


def test_the_firewall_refuses_bad_threads_and_reports_good_ones(embedded):
    from alknet_firewall import Firewall

    assert embedded.threads == resolve_threads()
    assert Firewall(embedded.artifact, threads=1).reader.encoder.threads == 1
    with pytest.raises(InvalidInputError, match="threads"):
        Firewall(embedded.artifact, threads=0)
