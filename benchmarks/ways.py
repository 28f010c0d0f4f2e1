"""The ways to install alknet-firewall, with what each downloads and takes on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import environment, human_bytes, markdown_table
from benchmarks.installations import build_wheel, install, new_environment

BASE = "alknet-firewall"
TORCH = "torch==2.13.0"


def torch_step(index: str | None) -> list[str]:
    """What pip installs first where torch is wanted: its source decides how large it is."""
    return [TORCH, "--index-url", index] if index else [TORCH]


def ways(wheel: Path, torch: list[str], data_wheel: Path | None) -> dict[str, list[list[str]]]:
    """Steps of pip for each way; a download does not see what is installed, so torch is named again."""
    found = {
        BASE: [[str(wheel)]],
        f"{BASE}[report]": [[f"{wheel}[report]"]],
        f"{BASE}[torch], with torch for CPU": [torch, [TORCH, f"{wheel}[torch]"]],
    }
    return found | ({f"{BASE} and a data wheel": [[str(wheel)], [str(data_wheel)]]} if data_wheel else {})


def measure_ways(folder: Path, wheel: Path | None, torch: list[str], data_wheel: Path | None) -> dict[str, Any]:
    """Install in each way, into an environment of its own.

    Parameters
    ----------
    folder : Path
        Where environments and downloads go.
    wheel : Path or None
        The wheel to install; None means one built from this tree.
    torch : list of str
        Arguments of the step of pip that installs torch.
    data_wheel : Path or None
        The wheel of an artifact, which makes one more way.

    Returns
    -------
    dict
        For each way the number of packages and the bytes of their wheels and of their files; and how this was made.
    """
    wheel = wheel or build_wheel(new_environment(folder / "build"), folder / "wheel")
    sizes = {}
    for number, (name, steps) in enumerate(ways(wheel, torch, data_wheel).items()):
        done = install(new_environment(folder / f"way-{number}"), folder / f"way-{number}-wheels", steps)
        downloads = done.downloads or {}
        sizes[name] = {"packages": len(downloads), "download_bytes": sum(downloads.values()), "disk_bytes": sum(done.disk.values())}
    return {"environment": environment(1, ()), "sizes": sizes}


def ways_table(results: Mapping[str, Any]) -> str:
    """The ways as a markdown table, with how they were measured below."""
    rows = [
        [
            re.sub(r"^[^ ,]+", r"`\g<0>`", name),
            str(size["packages"]),
            human_bytes(size["download_bytes"]),
            human_bytes(size["disk_bytes"]),
        ]
        for name, size in results["sizes"].items()
    ]
    made = results["environment"]
    where = f"{made['system']}; Python {made['python']}; {made['date'][:10]}."
    return f"{markdown_table(['install', 'packages', 'download (wheels)', 'disk'], rows)}\n\nModel included; {where}"
