"""The artifact (floor 0): a folder that carries everything a scan needs, checked before anything in it is used.

The format, the same on disk, in the wheel and on the Hub, is written down in ``docs/adr/001-artifact-format.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from alknet_firewall.config import SCHEMA_VERSION, ArtifactConfig, check_config
from alknet_firewall.errors import ArtifactCorruptError, ArtifactNotFoundError, InvalidInputError
from alknet_firewall.integrity import FileEntry, Stamp, check_file, compare, file_sha256, read_file, stamp_of
from alknet_firewall.schema import parse

MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
DETECTOR_FILE = "detector.safetensors"
PARITY_FILE = "parity.json"
SELFTEST_FILE = "selftest.json"
CARD_FILE = "README.md"

ARTIFACT_FILES = (
    CONFIG_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    DETECTOR_FILE,
    PARITY_FILE,
    SELFTEST_FILE,
    CARD_FILE,
    "LICENSE",
    "NOTICE",
)
"""Every file of an artifact but its manifest; there are no others."""


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``: size and hash of every file, and the tools that made them."""

    schema_version: int
    files: dict[str, FileEntry]
    tools: dict[str, str]


@dataclass(frozen=True)
class Source:
    """Where an artifact was found.

    Attributes
    ----------
    kind : {"embedded", "folder", "installed", "hub"}
    name : str
        Name of the embedded artifact, path of the folder, ``distribution==version`` of the data wheel, or Hub id.
    revision : str or None
        Commit hash of the Hub repository; None for what is not from the Hub.
    """

    kind: Literal["embedded", "folder", "installed", "hub"]
    name: str
    revision: str | None = None


@dataclass(frozen=True)
class Artifact:
    """A folder whose files are what its manifest says."""

    folder: Path
    config: ArtifactConfig
    manifest: Manifest
    sha256: str
    """Hash of ``manifest.json``: it pins every byte of the artifact."""
    source: Source
    stamps: Mapping[str, Stamp] = field(compare=False, repr=False)
    """What the system said of each file just before it was hashed."""

    @property
    def id(self) -> str:
        """``name@`` and the first twelve hex digits of the manifest's hash."""
        return f"{self.config.name}@{self.sha256[:12]}"

    def path(self, name: str) -> Path:
        """Path of one of :data:`ARTIFACT_FILES`."""
        return self.folder / name

    def check_unchanged(self, *names: str) -> None:
        """Refuse files that were changed since they were verified; to be called once they have been read.

        Parameters
        ----------
        *names : str
            Of :data:`ARTIFACT_FILES`. A file is hashed again only where the system says that something was done to it.

        Raises
        ------
        ArtifactNotFoundError
            If one is gone.
        ArtifactCorruptError
            If one has another content.
        """
        for name in names:
            if stamp_of(self.path(name)) != self.stamps[name]:
                check_file(self.path(name), self.manifest.files[name])


def load_artifact(folder: str | Path, *, sha256: str | None = None, source: Source | None = None) -> Artifact:
    """Open an artifact and verify every file of it.

    Parameters
    ----------
    folder : str or Path
        The artifact's folder.
    sha256 : str, optional
        Hash that its ``manifest.json`` must have, as 64 hex digits; it is compared before anything is parsed.
    source : Source, optional
        Where the folder was found; by default it is only a folder.

    Returns
    -------
    Artifact

    Raises
    ------
    ArtifactNotFoundError
        If the folder or one of its files is missing.
    ArtifactCorruptError
        If the manifest is not the pinned one, a file's size or sha256 is not what it says, the schema is another, or a name would leave
        the folder.
    InvalidInputError
        If `sha256` is no such hash.
    """
    folder, pin = Path(folder), check_sha256(sha256)
    if not folder.is_dir():
        raise ArtifactNotFoundError(f"No artifact at {folder}: there is no such folder. Check the path.")
    raw = read_file(folder / MANIFEST_FILE)
    digest = hashlib.sha256(raw).hexdigest()
    if pin not in (None, digest):
        raise ArtifactCorruptError(
            f"{folder / MANIFEST_FILE} has sha256 {digest}, and {pin} is pinned: this is another artifact, or a changed one. "
            "Check where the pin and the artifact came from."
        )
    manifest = parse(Manifest, _decode(raw, folder / MANIFEST_FILE), str(folder / MANIFEST_FILE))
    _check_schema(manifest.schema_version, folder / MANIFEST_FILE)
    _check_names(manifest, folder)
    stamps = {name: check_file(folder / name, entry) for name, entry in manifest.files.items()}
    config = _config(folder / CONFIG_FILE, manifest.files[CONFIG_FILE])
    return Artifact(folder, config, manifest, digest, source or Source("folder", str(folder)), stamps)


def check_sha256(sha256: str | None) -> str | None:
    """A pin in lower case, when it is one.

    Raises
    ------
    InvalidInputError
        If it is not 64 hex digits.
    """
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", sha256)):
        found = f"it has {len(sha256)} characters" if isinstance(sha256, str) else f"it is {type(sha256).__name__}"
        raise InvalidInputError(f"The sha256 to pin is not 64 hex digits ({found}). 'alknet-firewall info' shows it as manifest_sha256.")
    return None if sha256 is None else sha256.lower()


def write_manifest(folder: Path, tools: dict[str, str]) -> Manifest:
    """Hash the files of a folder and write its ``manifest.json``.

    Parameters
    ----------
    folder : Path
        Holds all of :data:`ARTIFACT_FILES`.
    tools : dict of str to str
        Name and version of what made them.

    Returns
    -------
    Manifest
    """
    files = {name: FileEntry((folder / name).stat().st_size, file_sha256(folder / name)) for name in ARTIFACT_FILES}
    manifest = Manifest(SCHEMA_VERSION, files, tools)
    (folder / MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _config(path: Path, entry: FileEntry) -> ArtifactConfig:
    """The config in the bytes that were hashed, and no others."""
    raw = read_file(path)
    compare(path, entry, len(raw), hashlib.sha256(raw).hexdigest())
    document = _decode(raw, path)
    _check_schema(document.get("schema_version") if isinstance(document, dict) else None, path)
    config = parse(ArtifactConfig, document, str(path))
    check_config(config, path)
    return config


def _decode(raw: bytes, path: Path) -> Any:
    """JSON of a file, or the error that names it."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise ArtifactCorruptError(f"{path} is not valid JSON. Fetch or build the artifact again.") from err


def _check_schema(version: object, path: Path) -> None:
    """Refuse an artifact of another format."""
    if version != SCHEMA_VERSION:
        found = version if isinstance(version, int) else type(version).__name__
        raise ArtifactCorruptError(
            f"{path} has schema_version {found}; this version of alknet-firewall reads {SCHEMA_VERSION}. "
            "Install the version that the artifact was made for, or fetch a matching artifact."
        )


def _check_names(manifest: Manifest, folder: Path) -> None:
    """The manifest lists the files of the format, by plain name, and nothing else."""
    for name in manifest.files:
        if name not in ARTIFACT_FILES:
            raise ArtifactCorruptError(
                f"{folder / MANIFEST_FILE} lists {name!r}, which is not a file of the artifact format "
                "(a path that leaves the folder is never followed). Fetch or build the artifact again."
            )
    missing = [name for name in ARTIFACT_FILES if name not in manifest.files]
    if missing:
        raise ArtifactCorruptError(f"{folder / MANIFEST_FILE} does not list {', '.join(missing)}. Fetch or build the artifact again.")
