"""Files that must be what a manifest says (floor 0), whenever they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alknet_firewall.errors import ArtifactCorruptError, ArtifactNotFoundError

Stamp = tuple[int, ...]
"""Size, device, inode and times of a file: it changes when the file is written, replaced or put back."""


@dataclass(frozen=True)
class FileEntry:
    """What the manifest promises of one file."""

    size: int
    sha256: str


def file_sha256(path: Path) -> str:
    """Sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_file(path: Path) -> bytes:
    """A file's bytes; an ArtifactError when there is no such file, or it cannot be read."""
    with _named(path):
        return path.read_bytes()


def stamp_of(path: Path) -> Stamp:
    """What the system says of a file now; an ArtifactError when there is none."""
    with _named(path):
        found = path.stat()
    return found.st_size, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def check_file(path: Path, entry: FileEntry) -> Stamp:
    """Verify a file.

    Parameters
    ----------
    path : Path
    entry : FileEntry

    Returns
    -------
    Stamp
        What the system said of it before it was read.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such file.
    ArtifactCorruptError
        If its size or hash is another.
    """
    stamp = stamp_of(path)
    with _named(path):
        digest = file_sha256(path) if stamp[0] == entry.size else None
    compare(path, entry, stamp[0], digest)
    return stamp


def compare(path: Path, entry: FileEntry, size: int, digest: str | None) -> None:
    """Refuse a size or hash that is not the promised one, with an ArtifactCorruptError; the hash may be None when the size differs."""
    if digest != entry.sha256:
        found = f"{size} bytes instead of {entry.size}" if size != entry.size else f"sha256 {digest} instead of {entry.sha256}"
        raise ArtifactCorruptError(f"{path} has {found}: it was cut or changed. Fetch or build the artifact again.")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system as ours, which say which file is missing."""
    try:
        yield
    except FileNotFoundError as err:
        raise ArtifactNotFoundError(f"{path} is missing: the folder is not a whole artifact. Fetch or build it again.") from err
    except OSError as err:
        raise ArtifactCorruptError(f"{path} cannot be read ({err.strerror}). Check its permissions.") from err
