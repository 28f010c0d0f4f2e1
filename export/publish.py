"""A checked artifact -> one commit and one tag on the Hub, through huggingface_hub; works with its versions 0.34 to 2."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alknet_firewall.artifact import MANIFEST_FILE, Artifact
from alknet_firewall.integrity import FileEntry
from export.publishable import PUBLISHED_FILES, PublishError, check_publishable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

AGAIN = "Run the same command again: what has arrived is not sent twice, and main moves only when all of it has"
REASONS = {
    400: "the Hub cannot read what was sent. Most likely it is the card's metadata",
    401: "the Hub does not accept the token. Log in with 'hf auth login', or set HF_TOKEN to a valid one",
    403: "the token may not do this. Use one with write access to {namespace}",
    404: "the Hub does not know the repository, or the token may not see it",
    409: "the Hub says that it exists already",
    412: "main has changed meanwhile. Look at what was published, then run the command again",
    429: f"the Hub limits how many requests you may make{{wait}}. {AGAIN}",
}
"""What a status of the Hub means here."""

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_TAG = re.compile(r"(?![0-9a-f]{40}$)[A-Za-z0-9][A-Za-z0-9._+-]*(?<!\.)(?<!\.lock)")


@dataclass(frozen=True)
class Published:
    """Where an artifact is now.

    Attributes
    ----------
    repo_id : str
    commit : str
        The commit hash; what to pin.
    tag : str or None
    sha256 : str
        Of ``manifest.json``; pins every byte of the artifact.
    """

    repo_id: str
    commit: str
    tag: str | None
    sha256: str


def plan(folder: Path, repo_id: str, tag: str | None) -> tuple[Artifact, dict[str, int]]:
    """What would be sent. Makes no request.

    Parameters
    ----------
    folder : Path
    repo_id : str
        ``org/name``.
    tag : str or None

    Returns
    -------
    Artifact, dict of str to int
        The artifact, checked, and the size of each file in bytes.

    Raises
    ------
    PublishError
        If the artifact must not be published, or id or tag cannot be used.
    """
    if not _REPO_ID.fullmatch(repo_id):
        raise PublishError(f"{repo_id!r} is not a Hub id. Write it as ORG/NAME.")
    if tag is not None and (tag == "main" or ".." in tag or not _TAG.fullmatch(tag)):
        raise PublishError(f"{tag!r} cannot be a tag. Use a version such as v1.2.0, and neither 'main' nor what looks like a commit hash.")
    artifact = check_publishable(folder)
    return artifact, {name: artifact.path(name).stat().st_size for name in PUBLISHED_FILES}


def publish(folder: Path, repo_id: str, tag: str | None = None, *, private: bool = False) -> Published:
    """Send an artifact to the Hub in one commit, and tag the commit.

    Parameters
    ----------
    folder : Path
    repo_id : str
        ``org/name``; made when it is not there.
    tag : str, optional
        Must not exist yet.
    private : bool
        Whether only its owners may see the repository. One that exists must be so already.

    Returns
    -------
    Published

    Raises
    ------
    PublishError
        If the artifact must not be published, the tag exists, or the Hub refuses. `main` is as it was, unless the message says otherwise.
    """
    artifact, _ = plan(folder, repo_id, tag)
    api = _api()
    parent = _prepare(api, repo_id, tag, private=private)
    commit = _upload(api, artifact, repo_id, parent)
    _check_arrived(api, artifact, repo_id, commit)
    if tag is not None:
        with _translated(repo_id, f"commit {commit} is on main and whole, but the tag {tag} could not be set"):
            api.create_tag(repo_id, tag=tag, revision=commit)
    return Published(repo_id, commit, tag, artifact.sha256)


def _api() -> HfApi:
    """The client, with the token of the environment or of the login; it must not log, for it logs signed addresses."""
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        token = huggingface_hub.get_token()
    except Exception as err:  # noqa: BLE001 - exchanging a token in CI can fail in many ways; none may show it
        raise PublishError(f"No token can be had ({type(err).__name__}). Log in with 'hf auth login', or set HF_TOKEN.") from None
    if token is None:
        raise PublishError("Publishing needs a token with write access. Log in with 'hf auth login', or set HF_TOKEN.")
    return huggingface_hub.HfApi(token=token)


def _prepare(api: HfApi, repo_id: str, tag: str | None, *, private: bool) -> str:
    """See to it that there is a repository to write to, without the tag; return the commit that `main` is at."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with _translated(repo_id, "the repository cannot be looked up"):
        try:
            refs = api.list_repo_refs(repo_id)
        except RepositoryNotFoundError:
            api.create_repo(repo_id, private=private or None)  # None leaves it to what the organisation has set
            refs = api.list_repo_refs(repo_id)
        info = api.model_info(repo_id)
    taken = next((ref for ref in [*refs.tags, *refs.branches] if ref.name == tag), None)
    if taken is not None:
        raise PublishError(f"{repo_id} has the tag {tag} already, at {taken.target_commit}. Nothing was sent: choose another tag.")
    if private and not info.private:
        raise PublishError(f"{repo_id} exists and is public. Nothing was sent: leave --private out, or make it private in its settings.")
    return str(info.sha)


def _upload(api: HfApi, artifact: Artifact, repo_id: str, parent: str) -> str:
    """Commit every file at once, on top of `parent` and of nothing else; return the commit hash."""
    from huggingface_hub import CommitOperationAdd

    with _translated(repo_id, "the artifact was not published"):
        operations = [CommitOperationAdd(name, artifact.path(name)) for name in PUBLISHED_FILES]
        info = api.create_commit(repo_id, operations, commit_message=f"Artifact {artifact.id}", parent_commit=parent)
    return str(info.oid)


def _check_arrived(api: HfApi, artifact: Artifact, repo_id: str, commit: str) -> None:
    """Compare what the Hub says it holds with the manifest, before a tag points to it."""
    with _translated(repo_id, f"commit {commit} is on main, but what it holds cannot be listed"):
        there = {item.path: item for item in api.list_repo_tree(repo_id, revision=commit)}
    for name, entry in _entries(artifact).items():
        item: Any = there.get(name)
        large = item is not None and item.lfs is not None
        expected = entry.sha256 if large else _git_hash(artifact.path(name).read_bytes())
        if item is None or (item.lfs.sha256 if large else item.blob_id) != expected or item.size != entry.size:
            raise PublishError(
                f"{repo_id}: commit {commit} holds another {name} than was sent, and was not tagged. Do not use it; publish again."
            )


def _git_hash(content: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _entries(artifact: Artifact) -> dict[str, FileEntry]:
    """Size and hash of every file that is sent, its manifest among them."""
    size = artifact.path(MANIFEST_FILE).stat().st_size
    return {**artifact.manifest.files, MANIFEST_FILE: FileEntry(size, artifact.sha256)}


@contextmanager
def _translated(repo_id: str, what: str) -> Iterator[None]:
    """Our error for any of huggingface_hub's. Nothing of theirs is quoted: a message, or an address, may hold a token."""
    try:
        yield
    except Exception as err:  # noqa: BLE001 - they come from three families (own, requests or httpx, OSError) that differ by version
        raise PublishError(f"{repo_id}: {what}: {_reason(err, repo_id)}.") from None


def _reason(err: Exception, repo_id: str) -> str:
    """Why the Hub did not do it, and what to do."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    chain = list(_chain(err))
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in chain):
        return "HF_HUB_OFFLINE is set. Unset it to publish"
    response = next((cause.response for cause in chain if getattr(cause, "response", None) is not None), None)
    if response is None:
        return f"the connection failed or was cut ({type(chain[-1]).__name__}). {AGAIN}"
    status, after = response.status_code, response.headers.get("Retry-After", "")
    words = REASONS.get(status, f"the Hub failed. {AGAIN}" if status >= 500 else "the Hub refused")
    wait = f"; wait {after} seconds" if after.isdigit() else ""
    return f"HTTP {status}, {words.format(namespace=repo_id.partition('/')[0], wait=wait)}"


def _chain(err: BaseException | None) -> Iterator[Any]:
    """An error and what caused it, outermost first."""
    while err is not None:
        yield err
        err = err.__cause__
