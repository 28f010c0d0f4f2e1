"""A small server that speaks enough of the Hugging Face Hub for huggingface_hub's own client to download a repository.

It serves any folder as a model repository with a commit, tags and branches. Large files are redirected to a content store as the Hub
does, requests are recorded, and faults can be set. Use it in a subprocess whose ``HF_ENDPOINT`` is :attr:`HubServer.url`, because
huggingface_hub reads the variable when it is imported; :meth:`HubServer.environment` gives the whole environment. Writing to it is in
:mod:`tests.hub.uploads`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.hub import uploads
from tests.hub.repository import LARGE_FILE, NO_FAULT, Answer, Entry, Fault, Repository, entry_of

__all__ = ["LARGE_FILE", "Fault", "HubServer"]


@dataclass
class HubServer:
    """The server; a context manager. Change `faults` and `moved` (old id to new) and look at `requests` and `sent` at any time.

    `writers` says which namespaces a token may write to; `stored` holds the large files that were uploaded, by their sha256.
    """

    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    """Each body: the request, and how many bytes of it went out."""
    repositories: dict[str, Repository] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    writers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stored: dict[str, Entry] = field(default_factory=dict)

    def __enter__(self) -> HubServer:  # noqa: PYI034 - typing.Self came with Python 3.11
        self._uploads = tempfile.TemporaryDirectory()
        self._servers = [_Server(self), _Server(self)]
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()
        self._uploads.cleanup()

    def keep(self, content: bytes) -> Entry:
        """Put the content of a file on disk for as long as the server runs."""
        path = Path(self._uploads.name, hashlib.sha256(content).hexdigest())
        path.write_bytes(content)
        return entry_of(path)

    @property
    def url(self) -> str:
        """What ``HF_ENDPOINT`` must be."""
        return self._servers[0].url

    @property
    def store_url(self) -> str:
        """Where large files are: another host, as on the Hub, or a client would take the redirect for one within the Hub."""
        return self._servers[1].url.replace("127.0.0.1", "localhost")

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """The environment for a subprocess: this endpoint, a cache under `home`, and none of the caller's own Hub or proxy settings."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING")) and not k.lower().endswith("_proxy")}
        hub = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return {**own, **hub, **more}

    def add(self, repo_id: str, folder: Path, refs: tuple[str, ...] = ("main",), token: str | None = None) -> str:
        """Serve a folder, with its subfolders, as `repo_id`; all `refs` point to its commit, which is returned.

        The commit is a hash of names and contents. With `token`, only requests that carry it are answered.
        """
        paths = {str(p.relative_to(folder).as_posix()): p for p in sorted(folder.rglob("*")) if p.is_file()}
        files = {name: entry_of(path) for name, path in paths.items()}
        commit = hashlib.sha1(json.dumps({name: entry.sha1 for name, entry in files.items()}).encode()).hexdigest()
        self.repositories[repo_id] = Repository(files, commit, dict.fromkeys(refs, commit), token)
        return commit


class _Server(ThreadingHTTPServer):
    """One listener on a random port, in a thread of its own."""

    daemon_threads = True

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        hub, path = self.server.hub, urlsplit(self.path).path
        request = f"{self.command} {unquote(path)}"
        hub.requests.append(request)
        fault = next((fault for fault in hub.faults if fault.applies(request)), NO_FAULT)
        try:
            time.sleep(fault.pause_s)
            self._route([unquote(part) for part in path.strip("/").split("/")], fault)
        except Answer as answer:
            content = b"" if answer.body is None else json.dumps(answer.body).encode()
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            self._head(answer.status, headers | answer.headers)
            if self.command != "HEAD":
                self.wfile.write(content)

    def _route(self, parts: list[str], fault: Fault) -> None:
        body = uploads.read_body(self, fault)
        if fault.status:
            raise Answer(fault.status, fault.code, headers=fault.headers)
        for old, new in self.server.hub.moved.items():
            if old in "/".join(parts):
                raise Answer(307, headers={"Location": self.path.replace(old, new, 1)})
        if self.command in ("POST", "PUT") or parts == ["api", "whoami-v2"]:
            uploads.answer(self, parts, body)
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "store":
            self._file(self._stored(parts[1]), None, fault)
        else:
            self._resolve("/".join(parts[:2]), parts[2:], fault)

    def repository(self, repo_id: str) -> Repository:
        """The repository, or the Hub's answer to who may not know of it."""
        repository = self.server.hub.repositories.get(repo_id)
        authorised = self.headers.get("Authorization")
        if repository is None or (repository.token and authorised != f"Bearer {repository.token}"):
            raise Answer(404 if authorised else 401, "RepoNotFound")
        return repository

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise Answer(404, "RevisionNotFound")
        return commit

    def _api(self, repo_id: str, rest: list[str]) -> None:
        repository = self.repository(repo_id)
        kind, revision = (rest + ["revision", "main"][len(rest) :])[:2]
        if kind == "refs":
            raise Answer(200, body=uploads.refs(repository))
        commit = self._commit(repository, revision)
        if kind == "tree":
            raise Answer(200, body=[_listed(name, entry) for name, entry in repository.commits[commit].items()])
        siblings, private = [{"rfilename": name} for name in repository.commits[commit]], repository.token is not None
        raise Answer(200, body={"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings, "private": private, "tags": []})

    def _resolve(self, repo_id: str, rest: list[str], fault: Fault) -> None:
        repository = self.repository(repo_id)
        if rest[:1] != ["resolve"]:
            raise Answer(404, "EntryNotFound")
        commit = self._commit(repository, rest[1])
        entry = repository.commits[commit].get("/".join(rest[2:]))
        if entry is None:
            raise Answer(404, "EntryNotFound")
        self._file(entry, commit, fault)

    def _stored(self, sha256: str) -> Entry:
        """A large file by its hash; the store wants no token, as its links on the Hub are signed."""
        if self.headers.get("Authorization"):
            raise Answer(400)
        commits = [files for repository in self.server.hub.repositories.values() for files in repository.commits.values()]
        entries = [entry for files in commits for entry in files.values()]
        found = next((entry for entry in entries if entry.sha256 == sha256), None)
        if found is None:
            raise Answer(404)
        return found

    def _file(self, entry: Entry, commit: str | None, fault: Fault) -> None:
        etag = fault.etag or entry.etag
        headers = {"ETag": f'"{etag}"', "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        if commit is not None:
            headers["X-Repo-Commit"] = commit
        if commit is not None and entry.size >= LARGE_FILE:
            linked = {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{etag}"'}
            self._head(302, {**headers, **linked, "Location": f"{self.server.hub.store_url}/store/{entry.sha256}", "Content-Length": "0"})
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{entry.size - 1}/{entry.size}"
        self._head(206 if start else 200, {**headers, "Content-Length": str(entry.size - start)})
        if self.command == "GET":
            self._body(entry, start, fault)

    def _body(self, entry: Entry, start: int, fault: Fault) -> None:
        content = bytearray(entry.path.read_bytes())
        if fault.flip:
            content[len(content) // 2] ^= 1
        content = content[start:][: fault.cut]
        quarter = len(content) // 4 + 1
        for offset in range(0, len(content), quarter):
            time.sleep(fault.pause_s)
            self.wfile.write(content[offset : offset + quarter])
        self.server.hub.sent.append((f"{self.command} {unquote(self.path)}", len(content)))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _listed(name: str, entry: Entry) -> dict[str, object]:
    """A file in the tree listing."""
    lfs = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    return {"type": "file", "path": name, "size": entry.size, "oid": entry.sha1} | ({"lfs": lfs} if entry.size >= LARGE_FILE else {})
