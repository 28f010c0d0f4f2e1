"""Name or folder to a local folder (floor 2): the only import of huggingface_hub.

Its cache, its environment variables (``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``)
and its login are used as they are; there is nothing of ours beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE
from alknet_firewall.errors import ArtifactNotFoundError, DownloadError, InvalidInputError

EMBEDDED_FOLDER = Path(__file__).parent / "models" / "small"
"""The artifact that comes with the package."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve(source: str | Path | None = None, revision: str | None = None, *, offline: bool = False, force: bool = False) -> Path:
    """Local folder of an artifact.

    Parameters
    ----------
    source : str or Path, optional
        A folder, or the Hub id ``org/name``. None means the embedded artifact.
    revision : str, optional
        Commit, tag or branch of a Hub id; a Hub id needs one.
    offline : bool
        Use the cache only.
    force : bool
        Fetch again what is in the cache; for one whose files turn out to be damaged.

    Returns
    -------
    Path
        Not verified yet: :func:`alknet_firewall.artifact.load_artifact` does that.

    Raises
    ------
    ArtifactNotFoundError
        If there is no such folder, and it is no Hub id or not in the cache when offline.
    DownloadError
        If the network or the Hub refuses.
    InvalidInputError
        If a revision is given for a folder, or none for a Hub id.
    """
    if source is None or _is_folder(source):
        if revision is not None:
            raise InvalidInputError("A revision goes with a Hub id (org/name), not with a folder. Leave the revision out.")
        return EMBEDDED_FOLDER if source is None else Path(source)
    if not _HUB_ID.fullmatch(str(source)):
        raise ArtifactNotFoundError(f"No artifact at {source}: there is no such folder, and it is no Hub id (org/name). Check the path.")
    return fetch(str(source), revision, (MANIFEST_FILE, *ARTIFACT_FILES), offline=offline, force=force)


def _is_folder(path: str | Path) -> bool:
    """Whether a path is a folder; one that the system cannot even look up is none."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


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
        raise InvalidInputError(f"{repo_id} needs a revision. Give the commit hash to use, or revision='main' to take what is newest.")
    import huggingface_hub

    if offline or (_COMMIT.fullmatch(revision) and not force):
        cached = _cached(repo_id, revision, files)
        if cached is not None:
            return cached
        if offline:
            raise ArtifactNotFoundError(
                f"{repo_id} at {revision} is not in the cache, and offline mode is on. "
                f"Fetch it ahead where there is a network: alknet-firewall download {repo_id} --revision {revision}"
            )
    try:
        return Path(huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(files), force_download=force))
    except Exception as err:  # its errors come from three families (own, requests or httpx, OSError) that differ between its versions
        raise _translate(err, repo_id, revision) from err


def _cached(repo_id: str, revision: str, files: Sequence[str]) -> Path | None:
    """The snapshot in the cache when it holds every file."""
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(files), local_files_only=True))
    except FileNotFoundError:
        return None
    except Exception as err:  # an id or revision that huggingface_hub refuses to look up
        raise _translate(err, repo_id, revision) from err
    return folder if all((folder / name).exists() for name in files) else None


def _translate(err: Exception, repo_id: str, revision: str) -> Exception:
    """Our error for one of huggingface_hub's."""
    from huggingface_hub import errors

    where = f"{repo_id} at {revision}"
    if isinstance(err, errors.GatedRepoError):
        return DownloadError(f"{where} is gated. Ask for access on its page on the Hub, then log in with 'hf auth login' or set HF_TOKEN.")
    if isinstance(err, errors.RevisionNotFoundError):
        return ArtifactNotFoundError(f"{where} does not exist: the repository has no such revision. Check the revision.")
    if isinstance(err, errors.RepositoryNotFoundError):
        return ArtifactNotFoundError(f"{where} does not exist, or is private. Check the id; for a private repository set HF_TOKEN.")
    if isinstance(err, errors.LocalEntryNotFoundError):
        return DownloadError(
            f"{where} is not in the cache and the Hub cannot be reached. Check the network and HF_ENDPOINT, or fetch it ahead."
        )
    if isinstance(err, errors.HFValidationError):
        return InvalidInputError(f"{repo_id!r} is not a Hub id. Write it as org/name.")
    return DownloadError(
        f"{where} could not be downloaded ({type(err).__name__}). Check the network, the disk and HF_ENDPOINT, then try again."
    )
