"""What keeps an artifact from being published: everything that can be said of a folder without the Hub."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from alknet_firewall.artifact import (
    ARTIFACT_FILES,
    CONFIG_FILE,
    MANIFEST_FILE,
    PARITY_FILE,
    SELFTEST_FILE,
    TOKENIZER_FILE,
    Artifact,
    load_artifact,
)
from alknet_firewall.errors import AlknetFirewallError
from export.card import card_problems

PUBLISHED_FILES = (MANIFEST_FILE, *ARTIFACT_FILES)

RUNS_CODE = {
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".npy", ".npz"), "a pickle, or may hold one"),
    **dict.fromkeys((".so", ".dll", ".dylib", ".exe", ".com", ".bat", ".cmd", ".ps1", ".sh", ".py", ".pyc", ".pyd", ".jar"), "executable"),
}
"""Endings of files that run code when they are opened."""

MAGIC = {
    **{bytes([0x80, protocol]): "a pickle" for protocol in range(2, 6)},
    b"PK\3\4": "a zip archive, as torch saves pickles in",
    b"\x7fELF": "executable (ELF)",
    b"MZ": "executable (Windows)",
    b"\xcf\xfa\xed\xfe": "executable (Mach-O)",
    b"\xca\xfe\xba\xbe": "executable (Mach-O or Java)",
    b"\0asm": "executable (WebAssembly)",
    b"#!": "an executable script",
}
"""First bytes of files that run code when they are opened."""

JSON_FILES = (MANIFEST_FILE, CONFIG_FILE, TOKENIZER_FILE, PARITY_FILE, SELFTEST_FILE)
TEXT_FILES = ("README.md", "LICENSE", "NOTICE")


class PublishError(AlknetFirewallError):
    """An artifact must not be published, or the Hub did not take it."""


def check_publishable(folder: Path) -> Artifact:
    """Open an artifact that may be published.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Artifact
        Verified: hashes, parity, card, and that every file is what its name says.

    Raises
    ------
    PublishError
        With every reason why it must not be.
    """
    reasons = _file_problems(folder)
    try:
        artifact = load_artifact(folder)
    except AlknetFirewallError as err:
        raise _refusal(folder, [*reasons, str(err)]) from err
    reasons += _parity_problems(artifact) + _card_problems(artifact)
    if not reasons:  # what is no artifact is not handed to libraries that parse it
        reasons = _load_problems(artifact)
    if reasons:
        raise _refusal(folder, reasons)
    return artifact


def _refusal(folder: Path, reasons: list[str]) -> PublishError:
    return PublishError("\n- ".join([f"{folder} is not published, nothing was sent:", *reasons]))


def _file_problems(folder: Path) -> list[str]:
    """What lies in the folder and must not be there."""
    if not folder.is_dir():
        return []
    problems = []
    for path in sorted(folder.iterdir()):
        danger = _danger(path)
        if path.name not in PUBLISHED_FILES:
            problems.append(
                f"{path.name} is not a file of the artifact format" + (f", and it is {danger}" if danger else "") + ". Move it away."
            )
        elif danger:
            problems.append(f"{path.name} is {danger}, not what its name says. Build the artifact again.")
    return problems


def _danger(path: Path) -> str | None:
    """Why a file could run code when it is opened, by its content and its name; None when nothing speaks for it."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        start = stream.read(8)
    by_content = next((what for magic, what in MAGIC.items() if start.startswith(magic)), None)
    if by_content is None and zipfile.is_zipfile(path):
        by_content = "a zip archive behind something else"
    if by_content is None and path.name in (*JSON_FILES, *TEXT_FILES):
        by_content = _not_text(path)
    return by_content or RUNS_CODE.get(path.suffix.lower())


def _not_text(path: Path) -> str | None:
    """What is wrong with a file that should be text, or JSON."""
    try:
        text = path.read_bytes().decode("utf-8")
        if path.name in JSON_FILES:
            json.loads(text)
    except (ValueError, RecursionError):
        return "not valid " + ("JSON" if path.name in JSON_FILES else "UTF-8 text")
    return "not plain text (it has a NUL)" if "\0" in text else None


def _parity_problems(artifact: Artifact) -> list[str]:
    """Whether the comparison with torch is there, says that it passed, and has the figures to say so."""
    from alknet_firewall.parity import GATES, gate_failures

    precision = artifact.config.encoder.precision
    figures = _read_object(artifact.path(PARITY_FILE))
    if figures.get("passed") is not True or figures.get("failures"):
        return [f"{PARITY_FILE} does not say that parity passed. Build the artifact again."]
    if figures.get("precision") != precision or precision not in GATES:
        return [f"{PARITY_FILE} is not about a graph of precision {precision}. Build the artifact again."]
    if not all(type(figures.get(name)) in (int, float) for name in GATES[precision]):
        return [f"{PARITY_FILE} lacks figures that parity is judged by. Build the artifact again."]
    return [f"{PARITY_FILE} does not hold: {failure}" for failure in gate_failures(precision, figures)]


def _card_problems(artifact: Artifact) -> list[str]:
    """What the card lacks."""
    try:
        return card_problems(artifact.path("README.md").read_text(encoding="utf-8"), artifact.config)
    except UnicodeDecodeError:
        return ["README.md is not valid UTF-8 text. Build the artifact again."]


def _load_problems(artifact: Artifact) -> list[str]:
    """Whether graph, tokenizer and head open as what their names say."""
    from alknet_firewall.firewall import Firewall
    from alknet_firewall.selftest import load_selftest

    try:
        Firewall(artifact)
        load_selftest(artifact.path(SELFTEST_FILE))
    except AlknetFirewallError as err:
        return [str(err)]
    return []


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one for what is none."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
