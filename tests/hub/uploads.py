"""The half of :mod:`tests.hub.server` that writes: repositories, large files by LFS, commits, tags.

What is uploaded lies aside until a commit names it, and a commit is there whole or not at all, as on the Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.hub.metadata import check_card
from tests.hub.repository import LARGE_FILE, Answer, Entry, Fault, Repository

if TYPE_CHECKING:
    from tests.hub.server import HubServer

ATTRIBUTES = b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"
"""What a new repository holds, in its first commit."""

_ONE_WRITER = threading.Lock()


@dataclass(frozen=True)
class Write:
    """A request that may change something, with its whole body."""

    hub: HubServer
    token: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))

    def check_may_write(self, namespace: str) -> None:
        """Answer 401 to a token nobody has, and 403 to one that may not write here."""
        if namespace not in self.namespaces():
            raise Answer(403, message="You don't have the rights to write to this namespace")

    def namespaces(self) -> tuple[str, ...]:
        """Where the token may write to; its owner first."""
        if self.token not in self.hub.writers:
            raise Answer(401, message="Invalid credentials in Authorization header")
        return self.hub.writers[self.token]


def read_body(request: Any, fault: Fault) -> bytes:
    """The body of a POST or PUT, read before any answer: a client that is still sending would only see a reset.

    With a fault that cuts, the connection ends after that many bytes.
    """
    length = int(request.headers.get("Content-Length", 0))
    if fault.cut is None or request.command not in ("POST", "PUT"):
        return bytes(request.rfile.read(length))
    request.rfile.read(min(fault.cut, length))
    raise ConnectionAbortedError


def answer(request: Any, parts: list[str], body: bytes) -> None:
    """Do what a request asks for, and raise its answer."""
    write = Write(request.server.hub, request.headers.get("Authorization", "").removeprefix("Bearer "), body)
    if parts[0] == "store":
        _store(write, parts[1])
    elif parts == ["api", "whoami-v2"]:
        owner, *organisations = write.namespaces()
        raise Answer(200, body={"type": "user", "name": owner, "orgs": [{"name": name} for name in organisations]})
    elif parts == ["api", "validate-yaml"]:
        errors, warnings = check_card(write.document["content"])
        raise Answer(400 if errors else 200, body={"errors": errors, "warnings": warnings})
    elif parts == ["api", "repos", "create"]:
        _create(write)
    else:
        _change(write, request, parts)


def refs(repository: Repository) -> dict[str, object]:
    """Branches and tags."""
    branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.refs.items() if n == "main"]
    tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in repository.refs.items() if n != "main"]
    return {"branches": branches, "converts": [], "tags": tags}


def _create(write: Write) -> None:
    """A repository with one commit that holds ``.gitattributes``."""
    asked = write.document
    namespace = asked.get("organization") or write.namespaces()[0]
    repo_id = f"{namespace}/{asked['name']}"
    write.check_may_write(namespace)
    if repo_id in write.hub.repositories:
        raise Answer(409, body={"error": "You already created this model repo", "url": f"{write.hub.url}/{repo_id}"})
    files = {".gitattributes": write.hub.keep(ATTRIBUTES)}
    commit = _commit_id("", files)
    private = asked.get("private") or asked.get("visibility") == "private"
    write.hub.repositories[repo_id] = Repository(files, commit, {"main": commit}, write.token if private else None)
    raise Answer(200, body={"url": f"{write.hub.url}/{repo_id}", "name": repo_id})


def _change(write: Write, request: Any, parts: list[str]) -> None:
    """Requests that belong to one repository."""
    lfs = parts[1].endswith(".git")
    repo_id = f"{parts[0]}/{parts[1].removesuffix('.git')}" if lfs else "/".join(parts[2:4])
    repository = request.repository(repo_id)
    write.check_may_write(repo_id.split("/")[0])
    kind, *rest = parts[2:] if lfs else parts[4:]
    if lfs and [kind, *rest] == ["info", "lfs", "objects", "batch"]:
        raise Answer(200, body={"transfer": "basic", "objects": [_transfer(write, repo_id, item) for item in write.document["objects"]]})
    if lfs and [kind, *rest] == ["info", "lfs", "verify"]:
        _verify(write)
    elif kind == "preupload":
        raise Answer(200, body={"files": [_mode(repository, item) for item in write.document["files"]]})
    elif kind == "commit" and rest == ["main"]:
        with _ONE_WRITER:
            _commit(write, repo_id, repository)
    elif kind == "tag":
        _tag(repository, unquote(rest[0]), write.document["tag"])
    raise Answer(404, "EntryNotFound")


def _mode(repository: Repository, asked: dict[str, Any]) -> dict[str, object]:
    """How one file is to be sent, and the hash of what `main` has under its name."""
    there = repository.files.get(asked["path"])
    mode = "lfs" if asked["size"] >= LARGE_FILE else "regular"
    return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": there.etag if there else None}


def _transfer(write: Write, repo_id: str, asked: dict[str, Any]) -> dict[str, object]:
    """Where one large file goes; nowhere when it is stored already."""
    known = {"oid": asked["oid"], "size": asked["size"]}
    if asked["oid"] in write.hub.stored:
        return known
    upload = {"href": f"{write.hub.store_url}/store/{asked['oid']}", "header": {}}
    verify = {"href": f"{write.hub.url}/{repo_id}.git/info/lfs/verify", "header": {}}
    return {**known, "authenticated": True, "actions": {"upload": upload, "verify": verify}}


def _store(write: Write, sha256: str) -> None:
    """Take a large file; the store wants no token, as its links on the Hub are signed."""
    if write.token or hashlib.sha256(write.body).hexdigest() != sha256:
        raise Answer(400)
    write.hub.stored[sha256] = write.hub.keep(write.body)
    raise Answer(200)


def _verify(write: Write) -> None:
    """Say whether a large file arrived whole."""
    there = write.hub.stored.get(write.document["oid"])
    raise Answer(200 if there and there.size == write.document["size"] else 404, body={})


def _commit(write: Write, repo_id: str, repository: Repository) -> None:
    """Apply a commit's lines of JSON to `main`: all of them or, when one cannot be, none."""
    header, *operations = (json.loads(line) for line in write.body.splitlines())
    parent = header["value"].get("parentCommit")
    if parent not in (None, repository.commit):
        raise Answer(412, body={"error": "A commit has happened since. Please refresh and try again."})
    files = dict(repository.files)
    for operation in operations:
        _apply(write, files, operation["key"], operation["value"])
    commit = _commit_id(repository.commit, files)
    write.hub.repositories[repo_id] = Repository(files, commit, {**repository.refs, "main": commit}, repository.token, repository.commits)
    raise Answer(200, body={"success": True, "commitOid": commit, "commitUrl": f"{write.hub.url}/{repo_id}/commit/{commit}"})


def _apply(write: Write, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
    """One line of a commit."""
    if key == "file":
        files[value["path"]] = write.hub.keep(base64.b64decode(value["content"]))
    elif key == "lfsFile" and value["oid"] in write.hub.stored:
        files[value["path"]] = write.hub.stored[value["oid"]]
    elif key == "deletedFile" and value["path"] in files:
        del files[value["path"]]
    else:
        raise Answer(400, body={"error": f"cannot apply {key} to {value['path']}"})


def _tag(repository: Repository, revision: str, tag: str) -> None:
    commit = repository.refs.get(revision, revision)
    if commit not in repository.commits:
        raise Answer(404, "RevisionNotFound")
    if tag in repository.refs:
        raise Answer(409, body={"error": "Tag reference exists already"})
    repository.refs[tag] = commit
    raise Answer(200, body={})


def _commit_id(parent: str, files: dict[str, Entry]) -> str:
    """A hash of what came before, names and contents."""
    return hashlib.sha1(json.dumps([parent, {name: entry.sha1 for name, entry in files.items()}]).encode()).hexdigest()
