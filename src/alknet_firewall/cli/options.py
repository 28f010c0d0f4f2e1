"""What several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alknet_firewall.cli.output import printable
from alknet_firewall.errors import AlknetFirewallError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alknet_firewall.artifact import Artifact
    from alknet_firewall.firewall import Firewall

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FLAGGED = 3
"""Exit code of a scan that flagged something. click itself uses 1 for failures and 2 for usage errors."""


ARTIFACT_VARIABLE = "ALKNET_FIREWALL_ARTIFACT"
"""Environment variable that names the artifact for every command; ``--artifact``, and the variable of one command, go before it."""


@dataclass(frozen=True)
class Choice:
    """Which artifact to use: the arguments of :func:`alknet_firewall.hub.open_artifact`."""

    source: str | None
    revision: str | None
    sha256: str | None
    offline: bool

    def open(self) -> Artifact:
        """The artifact, verified."""
        from alknet_firewall.hub import open_artifact

        return open_artifact(**asdict(self))


def sha256_option(command: Command) -> Command:
    """Add ``--sha256``."""
    option = click.option(
        "--sha256", metavar="HEX", help="Refuse any artifact but the one whose manifest has this sha256; 'info' shows it."
    )
    return option(command)


def artifact_options(command: Command) -> Command:
    """Add ``--artifact``, ``--revision``, ``--sha256`` and ``--offline``; the command gets them as one :class:`Choice`, `artifact`."""

    @functools.wraps(command)
    def call(*args: Any, artifact: str | None, revision: str | None, sha256: str | None, offline: bool, **kwargs: Any) -> Any:
        source = artifact or os.environ.get(ARTIFACT_VARIABLE) or None
        return command(*args, artifact=Choice(source, revision, sha256, offline), **kwargs)

    called: Any = click.option("--offline", is_flag=True, help="Use only what is in the Hub's cache; make no request.")(call)
    called = sha256_option(called)
    called = click.option("--revision", metavar="SHA", help="Commit (or tag, or branch) of a Hub artifact.")(called)
    option = click.option(
        "--artifact",
        metavar="PATH|NAME|ID",
        help="Artifact to use: a folder, the name of an installed one, or org/name on the Hub.  "
        f"[default: {ARTIFACT_VARIABLE}, else the embedded one]",
    )
    chosen: Command = option(called)
    return chosen


def threads_option(command: Command) -> Command:
    """Add ``--threads``."""
    option = click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads to compute with.  [default: ALKNET_FIREWALL_THREADS, else the cores this process really has]",
    )
    return option(command)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Add ``--format``; the first is the default."""
    return click.option("--format", "output", type=click.Choice(formats), default=formats[0], show_default=True, help="How to print.")


def thresholds_option(command: Command) -> Command:
    """Add ``--thresholds``."""
    option = click.option(
        "--thresholds",
        metavar="FILE",
        help="Use the thresholds that 'calibrate' wrote, for the origins it has; --threshold and --fpr go before it.  "
        "[default: ALKNET_FIREWALL_THRESHOLDS]",
    )
    return option(command)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Print our own errors about options and variables as wrong usage, and exit 2.

    Usage is what another command line or environment would mend, whatever the files and the network hold.
    """
    try:
        yield
    except InvalidInputError as err:
        raise click.UsageError(_shown(err)) from err


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Print our own errors as one line and exit 1, instead of a traceback."""
    try:
        yield
    except AlknetFirewallError as err:
        raise click.ClickException(_shown(err)) from err


def _shown(err: AlknetFirewallError) -> str:
    """The message as a terminal may show it, for it may name files and what an artifact calls itself."""
    return "\n".join(map(printable, str(err).split("\n")))


def load_firewall(artifact: Choice, threads: int | None = None, thresholds: str | Path | None = None) -> Firewall:
    """The firewall that the shared options describe; with thresholds of the user's own where these matter."""
    from alknet_firewall.firewall import Firewall
    from alknet_firewall.threads import resolve_threads

    with friendly_errors():
        with usage_errors():
            opened, n_threads = artifact.open(), resolve_threads(threads)
        return Firewall(opened, threads=n_threads, thresholds=thresholds)
