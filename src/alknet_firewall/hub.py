"""What a caller names, to a verified artifact (floor 2): the only import of huggingface_hub.

Its cache, its environment variables (``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``)
and its login are used as they are; there is nothing of ours beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE, Artifact, Source, check_sha256, load_artifact
from alknet_firewall.errors import ArtifactNotFoundError, DownloadError, InvalidInputError
from alknet_firewall.installed import find_installed
from alknet_firewall.refusals import explain

EMBEDDED_FOLDER = Path(__file__).parent / "models" / "small"
"""The artifact that comes with the package."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_INSTALLED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def open_artifact(
    source: str | Path | None = None,
    revision: str | None = None,
    *,
    sha256: str | None = None,
    offline: bool = False,
    force: bool = False,
) -> Artifact:
    """The artifact that a caller names, every file of it verified.

    Parameters
    ----------
    source, revision, offline, force
        As for :func:`resolve`.
    sha256 : str, optional
        Hash that its ``manifest.json`` must have, as 64 hex digits.

    Returns
    -------
    Artifact

    Raises
    ------
    ArtifactError
        If it cannot be found, fetched or trusted.
    InvalidInputError
        If an argument cannot be used.
    """
    pin = check_sha256(sha256)  # before anything is fetched
    folder, found = resolve(source, revision, offline=offline, force=force)
    return load_artifact(folder, sha256=pin, source=found)


def resolve(
    source: str | Path | None = None, revision: str | None = None, *, offline: bool = False, force: bool = False
) -> tuple[Path, Source]:
    """Local folder of an artifact, and where it is from.

    Parameters
    ----------
    source : str or Path, optional
        A folder, the name of an installed artifact, or a Hub id: ``org/name`` or ``org/name@revision``. A folder goes before a
        name that is written alike, and a Path is always one. None means the embedded artifact.
    revision : str, optional
        Commit, tag or branch of a Hub id; a Hub id needs one.
    offline : bool
        Use the cache only.
    force : bool
        Fetch again what is in the cache; for one whose files turn out to be damaged.

    Returns
    -------
    Path, Source
        The folder is not verified yet: :func:`alknet_firewall.artifact.load_artifact` does that.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such folder, and it is neither installed nor a Hub id, or not in the cache when offline.
    DownloadError
        If the network or the Hub refuses.
    InvalidInputError
        If a revision is given for what is not on the Hub, none or two for a Hub id, or an installed name is ambiguous.
    """
    name = "" if source is None else str(source)
    repo_id, _, own_revision = name.partition("@")
    is_name = isinstance(source, str) and not _is_folder(name)
    if is_name and _HUB_ID.fullmatch(repo_id):
        if own_revision and revision not in (None, own_revision):
            raise InvalidInputError(f"{repo_id} has two revisions, {own_revision} and {revision}. Give one.")
        folder = fetch(repo_id, revision or own_revision or None, (MANIFEST_FILE, *ARTIFACT_FILES), offline=offline, force=force)
        return folder, Source("hub", repo_id, folder.name)
    if revision is not None:
        raise InvalidInputError("A revision goes with a Hub id (org/name), not with a folder. Leave the revision out.")
    if source is None:
        return EMBEDDED_FOLDER, Source("embedded", EMBEDDED_FOLDER.name)
    if _is_folder(name):
        return Path(name), Source("folder", name)
    if is_name and _INSTALLED_NAME.fullmatch(name):
        folder, distribution = find_installed(name)
        return folder, Source("installed", distribution)
    what = "" if isinstance(source, Path) else ", and it is no Hub id (org/name)"
    raise ArtifactNotFoundError(f"No artifact at {name}: there is no such folder{what}. Check the path.")


def _is_folder(path: str) -> bool:
    """Whether a path is a folder; one that the system cannot even look up is none."""
    try:
        return path != "" and Path(path).is_dir()
    except OSError:
        return False


def is_hub_id(name: str) -> bool:
    """Whether a name is written as ``org/name``, without a revision."""
    return _HUB_ID.fullmatch(name) is not None


def fetch(repo_id: str, revision: str | None, files: Sequence[str], *, offline: bool = False, force: bool = False) -> Path:
    """Folder in huggingface_hub's cache that holds the named files of one revision.

    A revision that is a commit hash and already in the cache costs no request.

    Parameters
    ----------
    repo_id : str
        ``org/name``.
    revision : str or None
        Commit hash (best), tag or branch. None is an error: what is not pinned can change under a firewall.
    files : sequence of str
        Names, passed on as `allow_patterns`.
    offline : bool
        Use the cache only.
    force : bool
        Fetch again what is in the cache; for one whose files turn out to be damaged.

    Returns
    -------
    Path
        Its name is the commit hash.

    Raises
    ------
    InvalidInputError
        If `revision` is None.
    ArtifactNotFoundError
        If the repository or revision does not exist, or is not in the cache when offline.
    DownloadError
        If the network or the Hub refuses, or the repository is gated.
    """
    if revision is None:
        raise InvalidInputError(
            f"{repo_id} needs a revision. Give the commit hash to use (also as {repo_id}@HASH), or 'main' to take what is newest."
        )
    from huggingface_hub.constants import HF_HUB_OFFLINE

    offline = offline or HF_HUB_OFFLINE
    if force and not offline:
        _forget(_cached(repo_id, revision, files), files)
    if offline or _COMMIT.fullmatch(revision):
        cached = _cached(repo_id, revision, files)
        if cached is not None:
            return cached
        if offline:
            raise ArtifactNotFoundError(
                f"{repo_id} at {revision} is not in the cache, and offline mode is on. "
                f"Fetch it ahead where there is a network, without HF_HUB_OFFLINE: alknet-firewall download {repo_id} --revision {revision}"
            )
    return _download(repo_id, revision, files)


def _cached(repo_id: str, revision: str, files: Sequence[str]) -> Path | None:
    """The snapshot in the cache when it holds every file."""
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(files), local_files_only=True))
    except FileNotFoundError:
        return None
    except Exception as err:  # an id or revision that huggingface_hub refuses to look up
        raise explain(err, repo_id, revision) from err
    return folder if all((folder / name).exists() for name in files) else None


def _forget(folder: Path | None, files: Sequence[str]) -> None:
    """Take the files of a snapshot out of the cache.

    huggingface_hub's own way to fetch anew (`force_download`) writes over whatever file the server's ETag names, even outside its
    cache. Here only what lies inside is deleted, to be fetched as if it had never been there.
    """
    with suppress(OSError):  # a cache that is read-only stays as it is, and is refused again
        for path in [] if folder is None else [folder / name for name in files]:
            content = path.resolve()
            path.unlink()
            if content.parent == path.parent.parent.parent.resolve() / "blobs":
                content.unlink(missing_ok=True)


def _download(repo_id: str, revision: str, files: Sequence[str]) -> Path:
    """The snapshot, fetched.

    The Hub is asked first which commit the revision is: when it does not answer, huggingface_hub would take what the cache last knew
    by that name, or a snapshot that is not whole, without a word.
    """
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
    from huggingface_hub.utils import tqdm

    class TerminalBar(tqdm):  # type: ignore[misc]  # huggingface_hub's types are not followed
        """Its bar, shown on a terminal only: it would also write the count of files into logs."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{"disable": None, **options})

    options = {"allow_patterns": list(files), "tqdm_class": TerminalBar}
    try:
        commit = huggingface_hub.HfApi().repo_info(repo_id, revision=revision, timeout=HF_HUB_ETAG_TIMEOUT).sha
        folder = Path(huggingface_hub.snapshot_download(repo_id, revision=revision, **options))
    except Exception as err:  # its errors come from three families (own, requests or httpx, OSError) that differ between its versions
        raise explain(err, repo_id, revision) from err
    if folder.name != commit:
        raise DownloadError(f"{repo_id} at {revision} is {commit} on the Hub, but {folder.name} was fetched. Try again.")
    return folder
