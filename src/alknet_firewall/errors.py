"""The exceptions this package raises (floor 0).

Every exception is both an :class:`AlknetFirewallError` and the builtin a caller would expect, so either can be caught::

    AlknetFirewallError(Exception)
      ArtifactError
        ArtifactNotFoundError(ArtifactError, FileNotFoundError)   a folder or a cache entry is absent
        ArtifactCorruptError(ArtifactError, ValueError)           hash, schema, shape or graph is wrong
        DownloadError(ArtifactError, OSError)                     the network or the Hub refused
      InvalidInputError(AlknetFirewallError, ValueError)          text, threshold or option cannot be used
      ShapeError(AlknetFirewallError, ValueError)                 arrays that do not fit together
      MissingDependencyError(AlknetFirewallError, ImportError)    an extra is not installed

A message says what is wrong, where, and what to do about it. It never contains scanned text.
"""

from __future__ import annotations


class AlknetFirewallError(Exception):
    """Base of every exception raised by this package."""


class ArtifactError(AlknetFirewallError):
    """An artifact cannot be found, fetched or trusted."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """An artifact's folder, file or cache entry does not exist."""


class ArtifactCorruptError(ArtifactError, ValueError):
    """An artifact's content is not what its manifest or schema promises."""


class DownloadError(ArtifactError, OSError):
    """The network or the Hub refused to deliver an artifact."""


class InvalidInputError(AlknetFirewallError, ValueError):
    """A text or an option cannot be used as given; nothing was judged."""


class ShapeError(AlknetFirewallError, ValueError):
    """Arrays whose shapes do not fit together."""


class MissingDependencyError(AlknetFirewallError, ImportError):
    """A feature needs an extra that is not installed."""


def missing_dependency(feature: str, package: str, extra: str) -> MissingDependencyError:
    """Build the error for a feature whose optional package is absent.

    Parameters
    ----------
    feature : str
        What the caller wanted, as the start of a sentence.
    package : str
        The import that failed.
    extra : str
        The extra of this package that brings it.

    Returns
    -------
    MissingDependencyError
        Its message gives the install command.
    """
    return MissingDependencyError(
        f"{feature} needs {package}, which is not installed. Install it with: pip install 'alknet-firewall[{extra}]'"
    )
