"""What the server in :mod:`tests.hub.server` holds and says: files, commits, faults, answers."""

from __future__ import annotations

import hashlib
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
    """What goes wrong when `match` is in ``METHOD /path``, for the first `times` requests, or for all of them.

    With `status`, that is the answer, with the header ``X-Error-Code: code`` and `headers`. Else the answer is the usual one, but for
    these: `cut` closes the connection after so many bytes of the body (of the request's, where something is uploaded), `flip` changes a
    bit in its middle, `etag` replaces its ETag. `pause_s` passes before the answer, and before each quarter of a body.
    """

    match: str
    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    flip: bool = False
    etag: str | None = None
    pause_s: float = 0.0
    times: int | None = None

    def applies(self, request: str) -> bool:
        """Whether it is this request's turn to fail."""
        if self.match not in request or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


NO_FAULT = Fault("")


class Answer(Exception):  # noqa: N818 - it ends the handling of a request, whatever the status
    def __init__(
        self, status: int, code: str = "", body: object = None, *, headers: dict[str, str] | None = None, message: str = ""
    ) -> None:
        super().__init__(status)
        self.status, self.body = status, body
        own = {"X-Error-Code": code, "X-Error-Message": message}
        self.headers = {**(headers or {}), **{name: value for name, value in own.items() if value}}


def entry_of(path: Path) -> Entry:
    """A file, hashed as git and as LFS do."""
    content = path.read_bytes()
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Entry(path, len(content), sha1, hashlib.sha256(content).hexdigest())
