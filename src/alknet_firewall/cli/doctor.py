"""``alknet-firewall doctor``: the set-up, step by step."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from alknet_firewall.cli.artifact import RUNTIME_PACKAGES, package_versions
from alknet_firewall.cli.options import Choice, artifact_options, format_option
from alknet_firewall.cli.output import printable
from alknet_firewall.errors import AlknetFirewallError

Status = Literal["pass", "warn", "fail"]
COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}
MODULES = {"huggingface-hub": "huggingface_hub", "scikit-learn": "sklearn"}
INT8_FEATURES = ("avx512_vnni", "avx_vnni", "i8mm", "asimddp", "avx2")
"""Instructions that make int8 fast, fastest first; names as in /proc/cpuinfo."""

MINIMUM_PYTHON = (3, 10)


@dataclass(frozen=True)
class Step:
    """One thing that was looked at, what was found, and what to do when it is not well."""

    name: str
    status: Status
    found: str
    advice: str = ""


@click.command()
@artifact_options
@format_option("text", "json")
def doctor(artifact: Choice, output: str) -> None:
    """Check the set-up step by step: Python, processor, packages, artifact, cache, torch. Exit 1 when a step fails.

    \b
    Examples:
      alknet-firewall doctor
      alknet-firewall doctor --format json
    """
    steps = []
    for step in _steps(artifact):
        steps.append(step)
        if output == "text":
            label = click.style(f"{step.status:<4}", fg=COLOURS[step.status])
            advice = f"\n      {'':<16} {printable(step.advice)}" if step.advice else ""
            click.echo(f"{label}  {step.name:<16} {printable(step.found)}" + advice)
    if output == "json":
        click.echo(json.dumps([asdict(step) for step in steps], indent=2))
    sys.exit(1 if any(step.status == "fail" for step in steps) else 0)


def _steps(artifact: Choice) -> Iterator[Step]:
    """Every step, in the order in which things can go wrong."""
    yield _python()
    yield _processor()
    yield _threads()
    versions = package_versions()
    for package in RUNTIME_PACKAGES:
        yield _package(package, versions[package])
    yield _guarded("cache", _cache)
    yield _guarded("offline mode", _offline_mode)
    yield _guarded("artifact", lambda: _artifact(artifact))
    yield _guarded("torch", _torch)


def _guarded(name: str, look: Callable[[], Step]) -> Step:
    """A step whose errors are its finding."""
    try:
        return look()
    except AlknetFirewallError as err:
        return Step(name, "fail", type(err).__name__, str(err))
    except Exception as err:  # noqa: BLE001 - a broken install can raise anything; the doctor must go on to the next step
        found = f"failed ({type(err).__name__})"
        return Step(name, "fail", found, "Reinstall: pip install --force-reinstall alknet-firewall")


def _python() -> Step:
    """The interpreter."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    if sys.version_info[:2] < MINIMUM_PYTHON:
        return Step("python", "fail", found, "Use Python 3.10 or later.")
    return Step("python", "pass", found)


def _processor() -> Step:
    """What the processor offers for int8."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return Step("processor", "pass", f"{platform.machine()} (features unknown on this system)")
    features = [feature for feature in INT8_FEATURES if feature in words]
    found = f"{platform.machine()}: {', '.join(features) or 'no int8 instructions'}"
    if not features:
        return Step("processor", "warn", found, "Verdicts are the same, but scanning is slow: prefer a processor with AVX2 or VNNI.")
    return Step("processor", "pass", found)


def _threads() -> Step:
    """How many threads a scan takes."""
    from alknet_firewall.threads import available_cores, resolve_threads

    return _guarded(
        "threads",
        lambda: Step("threads", "pass", f"{resolve_threads()} ({os.cpu_count()} on the host, {available_cores()} for this process)"),
    )


def _package(name: str, version: str) -> Step:
    """One import, with its version and time."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as sessions.py does before it imports onnxruntime
    started = time.perf_counter()
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as err:  # noqa: BLE001 - a broken install can raise anything; the doctor must go on to the next step
        advice = f"Reinstall it: pip install --force-reinstall {name}"
        return Step(name, "fail", f"{version}, import failed ({type(err).__name__})", advice)
    return Step(name, "pass", f"{version}, imported in {1000 * (time.perf_counter() - started):.0f} ms")


def _cache() -> Step:
    """Where Hub artifacts are kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Step("cache", "warn", f"{folder} is not writable", "Set HF_HOME to a writable folder, if Hub artifacts are to be fetched.")
    return Step("cache", "pass", str(folder))


def _offline_mode() -> Step:
    """Whether huggingface_hub may use the network."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return Step("offline mode", "pass", "on (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else "off")


def _artifact(artifact: Choice) -> Step:
    """Load, verify and self-test the artifact."""
    from alknet_firewall.artifact import SELFTEST_FILE
    from alknet_firewall.firewall import Firewall
    from alknet_firewall.selftest import load_selftest, run_selftest

    started = time.perf_counter()
    firewall = Firewall(artifact.open())
    loaded_ms = 1000 * (time.perf_counter() - started)
    result = run_selftest(firewall, load_selftest(firewall.artifact.path(SELFTEST_FILE)))
    found = (
        f"{firewall.artifact.id}, verified and loaded in {loaded_ms:.0f} ms, self-test differs by at most {result.largest_difference:.2g}"
    )
    if not result.passed:
        return Step("artifact", "fail", found, "Scores are not the artifact's own on this machine. Update onnxruntime, then run it again.")
    return Step("artifact", "pass", found)


def _torch() -> Step:
    """torch is never needed to scan; the parity checker uses it when it is there."""
    if importlib.util.find_spec("torch") is None:
        return Step("torch", "pass", "not installed (only 'parity' needs it: pip install 'alknet-firewall[torch]')")
    from importlib.metadata import version

    return Step("torch", "pass", f"{version('torch')} present; left alone, only 'parity' imports it")
