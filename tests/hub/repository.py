"""What the server in :mod:`tests.hub.server` holds and says: files, commits, faults, answers."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

LARGE_FILE = 1 << 20
"""Files of this size are stored as LFS: their ETag is a sha256 and they are delivered by a redirect."""


@dataclass(frozen=True)
class Entry:
    """One file of a repository, hashed when the repository was added."""

    path: Path
    size: int
    sha1: str
    sha256: str

    @property
    def etag(self) -> str:
        return self.sha256 if self.size >= LARGE_FILE else self.sha1


@dataclass
class Repository:
    """The newest commit of one repository, those before it, and the names they go by: the branch ``main``, all others are tags."""

    files: dict[str, Entry]
    commit: str
    refs: dict[str, str]
    token: str | None = None
    earlier: dict[str, dict[str, Entry]] = field(default_factory=dict)

    @property
    def commits(self) -> dict[str, dict[str, Entry]]:
        """The files of every commit."""
        return {**self.earlier, self.commit: self.files}


@dataclass
class Fault:
    """What goes wrong when `match` is in ``METHOD /path``.

    The answer is `status` with the headers ``X-Error-Code: code`` and ``X-Error-Message: message``; with `cut` the connection is closed
    after that many bytes of the body, which is that of the request where something is uploaded; with `hold` nothing happens until that is
    set. After `times` requests it is over.
    """

    match: str
    status: int = 500
    code: str = ""
    cut: int | None = None
    times: float = float("inf")
    message: str = ""
    hold: threading.Event | None = None


class Answer(Exception):  # noqa: N818 - it ends the handling of a request, whatever the status
    def __init__(self, status: int, code: str = "", body: object = None, message: str = "") -> None:
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = {name: value for name, value in (("X-Error-Code", code), ("X-Error-Message", message)) if value}


def entry_of(path: Path) -> Entry:
    """A file, hashed as git and as LFS do."""
    content = path.read_bytes()
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Entry(path, len(content), sha1, hashlib.sha256(content).hexdigest())
