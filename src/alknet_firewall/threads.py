"""How many threads a scan may use, and what a thread is told (floor 1, stdlib only).

ONNX Runtime sizes its pool by the host's cores, which in a container with a CPU quota means more threads than cores.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

from alknet_firewall.errors import InvalidInputError

THREADS_VARIABLE = "ALKNET_FIREWALL_THREADS"
"""Environment variable that sets the number of threads when no argument does."""


MOST_THREADS = 1024
"""More than any host has cores; ONNX Runtime would try to start as many as it is told."""


def resolve_threads(argument: int | None = None) -> int:
    """Number of threads to use: the argument, then ``ALKNET_FIREWALL_THREADS``, then the cores really available.

    Parameters
    ----------
    argument : int, optional
        From 1 to :data:`MOST_THREADS`.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InvalidInputError
        If the argument or the variable is not a whole number in that range.
    """
    if argument is not None:
        return _positive(argument, "threads")
    value = os.environ.get(THREADS_VARIABLE, "").strip()
    if value:
        return _positive(value, THREADS_VARIABLE)
    return available_cores()


def available_cores(root: Path = Path("/")) -> int:
    """Cores this process may use: the smaller of its CPU affinity and its cgroup's CPU quota (rounded up).

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are mounted; for tests.

    Returns
    -------
    int
        At least 1.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quotas = [quota for folder in _cgroup_folders(root) if (quota := _quota(folder)) is not None]
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas)]))


def check_going_on(stop: threading.Event | None) -> None:
    """End work that nobody waits for any more.

    Parameters
    ----------
    stop : threading.Event or None
        Whoever waits sets it.

    Raises
    ------
    CancelledError
        If it is set.
    """
    if stop is not None and stop.is_set():
        from concurrent.futures import CancelledError

        raise CancelledError


def _positive(value: int | str, name: str) -> int:
    """`value` as a whole number from 1 to :data:`MOST_THREADS`."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(value, (bool, float)):
        raise InvalidInputError(f"{name} must be a whole number of at least 1. Set it to 1 or more, or leave it out.")
    if number > MOST_THREADS:
        raise InvalidInputError(f"{name} must be at most {MOST_THREADS}. Set it to the number of cores, or leave it out.")
    return number


def _cgroup_folders(root: Path) -> list[Path]:
    """Every cgroup folder whose quota binds this process: its own and the parents of it, v2 and v1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for base in ("sys/fs/cgroup", "sys/fs/cgroup/cpu"):
            own = root / base / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if (root / base) in (parent, *parent.parents))]
    return list(dict.fromkeys(folders))


def _quota(folder: Path) -> float | None:
    """CPU quota of one cgroup in cores; None when it sets none."""
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            limit = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        return int(limit) / int(period) if limit not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
