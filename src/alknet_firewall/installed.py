"""Artifacts that pip installed (floor 1): data wheels, found by name through an entry point and never imported."""

from __future__ import annotations

from pathlib import Path

from alknet_firewall.errors import ArtifactNotFoundError, InvalidInputError

ENTRY_POINT_GROUP = "alknet_firewall.artifacts"
"""A data wheel has one entry point in this group: the artifact's name, and the package that holds it."""

SUBFOLDER = "artifact"
"""Where in that package the artifact is."""


def find_installed(name: str) -> tuple[Path, str]:
    """Folder of an installed artifact, and ``distribution==version`` of what brought it.

    Parameters
    ----------
    name : str
        As the data wheel calls it: ``small`` for ``alknet-firewall-model-small``.

    Returns
    -------
    Path, str
        The folder is not verified yet.

    Raises
    ------
    ArtifactNotFoundError
        If nothing of that name is installed; the message lists what is.
    InvalidInputError
        If several distributions have an artifact of that name.
    """
    from importlib.metadata import entry_points  # it reads the metadata of everything installed, which only a bare name is worth

    found = {
        (e.name, f"{e.dist.name}=={e.dist.version}"): e.dist.locate_file(e.value) for e in entry_points(group=ENTRY_POINT_GROUP) if e.dist
    }
    matching = {distribution: Path(str(package)) / SUBFOLDER for (own, distribution), package in found.items() if own == name}
    if len(matching) > 1:
        listed = ", ".join(f"{distribution} ({folder})" for distribution, folder in sorted(matching.items()))
        raise InvalidInputError(f"The artifact name {name} is ambiguous, for several packages have one: {listed}. Name one of the folders.")
    if not matching:
        listed = ", ".join(sorted({own for own, _ in found})) or "none"
        raise ArtifactNotFoundError(
            f"No artifact at {name}: there is no such folder, and it is no Hub id (org/name) nor the name of an installed artifact. "
            f"Installed: {listed}. Check the name."
        )
    ((distribution, folder),) = matching.items()
    return folder, distribution
