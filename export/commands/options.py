"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.data import Example

layer_option = click.option("--layer", type=click.IntRange(min=1), default=7, show_default=True, metavar="L", help="Block to cut after.")

_OPTIONS = (
    click.option("--weights", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="What 'weights' wrote."),
    click.option(
        "--data",
        "files",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        metavar="FILE",
        help="Labelled JSON lines, may be gzipped. May be given several times.",
    ),
    click.option("--rows", type=click.IntRange(min=0), default=20_000, show_default=True, metavar="N", help="Rows of our own corpus."),
    click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of the corpus."),
    click.option(
        "--hold-out",
        multiple=True,
        metavar="SOURCE",
        help="Source to leave out; thresholds are set, and training is watched, on these. May be given several times.",
    ),
    click.option(
        "--hold-out-listed", "listed", is_flag=True, help="Leave out what export/corpora.toml lists, and check the rows against it."
    ),
)


@dataclass(frozen=True)
class Given:
    """What to train or fit on: weights, labelled rows, and which of them are left out."""

    folder: Path
    files: tuple[Path, ...]
    rows: int
    seed: int
    hold_out: tuple[str, ...]
    listed: bool

    def split(self) -> tuple[list[Example], list[Example]]:
        """The rows to fit on, and those that are left out."""
        from export.corpora import CORPORA_FILE, check_rows, held_out_sources
        from export.data import all_examples, split_examples

        examples = all_examples(self.files, self.rows, self.seed)
        hold_out = self.hold_out
        if self.listed:
            check_rows(CORPORA_FILE, examples)
            hold_out = (*hold_out, *held_out_sources())
        return split_examples(examples, hold_out)


def given_options(command: Callable[..., Any]) -> Any:
    """Add the options of :class:`Given`, which the command gets as its first argument."""

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        given = Given(**{field.name: values.pop(field.name) for field in fields(Given)})
        return command(given, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
