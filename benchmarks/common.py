"""What the benchmarks share: fresh processes with pinned threads, interleaved rounds, results that say how they were made, tables.

Standard library only, so that a benchmark of an installed package brings nothing of its own into the measured processes.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[1]
RUNTIME_PACKAGES = ("alknet-firewall", "onnxruntime", "tokenizers", "huggingface-hub", "numpy", "scikit-learn", "safetensors", "click")
THREAD_VARIABLES = ("ALKNET_FIREWALL_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
MAXRSS_UNIT = 1 if platform.system() == "Darwin" else 1024
"""What `ru_maxrss` counts: bytes on macOS, KiB elsewhere (getrusage(2))."""

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One fresh process.

    Attributes
    ----------
    first_line_s : float
        Seconds from just before the process was started until its first line of output was here.
    wall_s : float
        Seconds until it had ended.
    peak_bytes : int
        Largest resident set of the process.
    output : str
        What it printed to stdout.
    """

    first_line_s: float
    wall_s: float
    peak_bytes: int
    output: str


def environment(threads: int | None = None, packages: Sequence[str] = RUNTIME_PACKAGES) -> dict[str, Any]:
    """How a result was made: commit, machine, threads and versions.

    Parameters
    ----------
    threads : int, optional
        Threads that were pinned; by default those that a scan in this process takes.
    packages : sequence of str
        Distributions of this process whose versions matter; absent ones are left out.

    Returns
    -------
    dict
        Plain values for JSON; no path, user or host name.
    """
    if threads is None:
        from alknet_firewall.threads import resolve_threads

        threads = resolve_threads()
    return {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "commit": git_commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": versions(packages),
    }


def git_commit(root: Path = ROOT) -> str | None:
    """Commit of a tree, with ``+changes`` when files that git follows differ from it; None where there is no git."""
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else head


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None when it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", check=False)  # noqa: S607
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, and the int8 instructions it has."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    words = set(facts.get("flags", facts.get("Features", "")).split())
    special = [word for word in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "asimddp", "i8mm") if word in words]
    return ", ".join([facts.get("model name", platform.machine()), *special])


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of the named distributions that are installed in this process's environment."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def pinned(threads: int) -> dict[str, str]:
    """The environment of a measured process: this one's, offline, with every thread pool that we know of set to one size."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ALKNET_FIREWALL_"))}
    return {**inherited, **dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def run_fresh(command: Sequence[str | Path], env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)) -> Sample:
    """Run a command in a new process and measure it. Linux and macOS: the kernel's own account of the process is read.

    Parameters
    ----------
    command : sequence of str or Path
    env : mapping, optional
        Its whole environment; by default this process's.
    codes : sequence of int
        Exit codes that mean success.

    Returns
    -------
    Sample
        Its peak is at least this process's own size when it started the other (execve(2) keeps the mark), so keep the caller small.

    Raises
    ------
    RuntimeError
        With the end of what the process wrote to stderr, if it exited with another code.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env, encoding="utf-8") as process:
            first = process.stdout.readline() if process.stdout else ""
            first_line_s = time.perf_counter() - started
            rest = process.stdout.read() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            errors.seek(0)
            tail = errors.read()[-2000:].decode("utf-8", "replace")
            raise RuntimeError(f"{' '.join(map(str, command))} exited with {process.returncode}: {tail}")
    return Sample(first_line_s, wall_s, usage.ru_maxrss * MAXRSS_UNIT, first + rest)


def interleave(rounds: int, tasks: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Run every task once a round, so that a slow minute of the machine hits all of them.

    Parameters
    ----------
    rounds : int
        At least 1. One more round goes before, which fills the caches and is not counted.
    tasks : mapping of str to callable

    Returns
    -------
    dict of str to list
        What each task returned, a value a round. Every other round runs the tasks in the opposite order.
    """
    for task in tasks.values():
        task()
    results: dict[str, list[T]] = {name: [] for name in tasks}
    for number in range(rounds):
        for name in list(tasks) if number % 2 == 0 else reversed(tasks):
            results[name].append(tasks[name]())
    return results


def median(values: Sequence[float]) -> float:
    """Middle value; of an even number of values, the mean of the middle two."""
    return statistics.median(values)


def human_bytes(size: float) -> str:
    """Bytes in decimal megabytes, as package indexes show them."""
    return f"{size / 1e6:.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"


def human_seconds(seconds: float) -> str:
    """Seconds, or milliseconds below one."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def human_ratio(own: float, peer: float) -> str:
    """How many times as much the peer takes."""
    return f"{peer / own:.1f} x" if own > 0 else "-"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; every column but the first is aligned to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def circumstances(results: Mapping[str, Any]) -> str:
    """One line about the machine and the run."""
    made = results["environment"]
    commit = ", commit {:.12}{}{}".format(*made["commit"].partition("+")) if made["commit"] else ""
    versions_ = made["versions"]
    runtime = f"ONNX Runtime {versions_['onnxruntime']}; " if "onnxruntime" in versions_ else ""
    return (
        f"Medians of {results['rounds']} rounds, in turn; {made['threads']} threads; {made['processor']}; {made['system']}; {runtime}"
        f"Python {made['python']}; {made['date'][:10]}{commit}."
    )


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def read_results(path: Path) -> dict[str, Any]:
    """Read what :func:`write_results` wrote."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results
