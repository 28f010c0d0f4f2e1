"""What several commands share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alknet_firewall.errors import AlknetFirewallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alknet_firewall.firewall import Firewall

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FLAGGED = 3
"""Exit code of a scan that flagged something. click itself uses 1 for failures and 2 for usage errors."""


def artifact_options(command: Command) -> Command:
    """Add ``--artifact``, ``--revision`` and ``--offline``."""
    for option in (
        click.option("--offline", is_flag=True, help="Use only what is in the Hub's cache; make no request."),
        click.option("--revision", metavar="SHA", help="Commit (or tag, or branch) of a Hub artifact."),
        click.option(
            "--artifact", metavar="PATH|ID", help="Artifact to use: a folder, or org/name on the Hub.  [default: the embedded one]"
        ),
    ):
        command = option(command)
    return command


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


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Print our own errors as one line and exit 1, instead of a traceback."""
    try:
        yield
    except AlknetFirewallError as err:
        raise click.ClickException(str(err)) from err


def load_firewall(
    artifact: str | None, revision: str | None, offline: bool, threads: int | None = None, thresholds: str | Path | None = None
) -> Firewall:
    """The firewall that the shared options describe; with thresholds of the user's own where these matter."""
    from alknet_firewall.firewall import Firewall

    with friendly_errors():
        return Firewall.from_pretrained(artifact, revision=revision, offline=offline, threads=threads, thresholds=thresholds)
