"""huggingface_hub's errors in our words (floor 1): what happened, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from alknet_firewall.errors import AlknetFirewallError, ArtifactNotFoundError, DownloadError, InvalidInputError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_NETWORK = {"TransportError", "RequestException", "OfflineModeIsEnabled"}
"""Bases of what httpx (also as httpx2) and requests raise when there is no answer."""


def explain(err: Exception, repo_id: str, revision: str) -> AlknetFirewallError:
    """Our error for one of huggingface_hub's, or of the libraries and the system beneath it.

    Parameters
    ----------
    err : Exception
        As it was caught; what caused it is looked at as well.
    repo_id, revision : str
        What was asked for.

    Returns
    -------
    AlknetFirewallError
        To be raised from `err`. Nothing of the request's headers or of the proxy's address is in its message.
    """
    from huggingface_hub import constants, errors

    where = f"{repo_id} at {revision}"
    chain = list(_chain(err))
    if any(isinstance(cause, errors.GatedRepoError) for cause in chain):
        return DownloadError(
            f"{where} is gated. Ask for access on its page, {constants.ENDPOINT}/{repo_id}, then log in with 'hf auth login' or set "
            "HF_TOKEN to a token of the account that was let in."
        )
    if any(isinstance(cause, errors.RevisionNotFoundError) for cause in chain):
        return ArtifactNotFoundError(f"{where} does not exist: the repository has no such revision. Check the revision.")
    if any(isinstance(cause, errors.RepositoryNotFoundError) for cause in chain):
        return ArtifactNotFoundError(f"{where} does not exist, or is private. Check the id; for a private repository set HF_TOKEN.")
    if any(isinstance(cause, errors.HFValidationError) for cause in chain):
        return InvalidInputError(f"{repo_id!r} is not a Hub id. Write it as org/name.")
    problem = _of_the_disk(chain, constants.HF_HUB_CACHE) or _of_the_hub(chain) or _of_the_network(chain)
    problem = problem or f"{type(err).__name__}. Check the network, the disk and HF_ENDPOINT, then try again."
    return DownloadError(f"{where} could not be downloaded: {problem}")


def _chain(err: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, outermost first."""
    seen: set[int] = set()
    while err is not None and id(err) not in seen:
        seen.add(id(err))
        yield err
        err = err.__cause__ or err.__context__


def _of_the_disk(chain: list[BaseException], cache: str) -> str | None:
    """A cache that cannot take the files."""
    for cause in chain:
        number = cause.errno if isinstance(cause, OSError) else None
        if number in _DISK_FULL:
            return f"the disk of the cache, {cache}, is full. Make room there, or set HF_HOME to a folder on another disk."
        if number in _NOT_WRITABLE and isinstance(cause, OSError) and cause.filename:  # without a file it is a socket's
            return f"the cache, {cache}, cannot be written. Set HF_HOME to a folder that can, or fetch ahead where it can be written."
    return None


def _of_the_hub(chain: list[BaseException]) -> str | None:
    """An answer with a status that is an error."""
    response = next((r for r in (getattr(cause, "response", None) for cause in chain) if r is not None), None)
    status = getattr(response, "status_code", None)
    if response is None or status is None:
        return None
    if status == 429:
        seconds = str(response.headers.get("Retry-After", ""))
        wait = f"in {seconds} seconds" if seconds.isdecimal() and len(seconds) < 7 else "in a few minutes"
        return f"the Hub limits how often it may be asked (HTTP 429). Try again {wait}; with HF_TOKEN set, the limit is higher."
    if status in (401, 403):
        return f"the Hub refused (HTTP {status}). Check that HF_TOKEN is valid and that its account may read the repository."
    if status == 407:
        return "the proxy wants a login (HTTP 407). Check the user and password in HTTPS_PROXY or HTTP_PROXY."
    return f"the Hub answered with HTTP {status}. Check HF_ENDPOINT, or try again later."


def _of_the_network(chain: list[BaseException]) -> str | None:
    """No answer at all."""
    bases = {base.__name__ for cause in chain for base in type(cause).__mro__}
    if "ProxyError" in bases:
        return "the proxy does not let it through. Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
    if bases & _NETWORK or isinstance(chain[0], TimeoutError):
        return (
            "the Hub cannot be reached. Check the network, the proxy and HF_ENDPOINT; "
            "but for download, --offline takes what is in the cache."
        )
    return None
