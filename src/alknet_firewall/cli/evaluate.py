"""``alknet-firewall evaluate``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alknet_firewall.cli.inputs import Failure, Record, labelled_rows
from alknet_firewall.cli.options import (
    Choice,
    artifact_options,
    format_option,
    friendly_errors,
    load_firewall,
    threads_option,
    thresholds_option,
)
from alknet_firewall.cli.output import printable
from alknet_firewall.cli.progress import Progress
from alknet_firewall.cli.scan import judge, verdicts_of
from alknet_firewall.thresholds import resolve_thresholds

if TYPE_CHECKING:
    from alknet_firewall.figures import Evaluation, Judged
    from alknet_firewall.firewall import Firewall
    from alknet_firewall.labelled import LabelledText
    from alknet_firewall.report import Table


def parse_rates(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    """False-positive rates with commas between them, lowest first."""
    try:
        rates = tuple(sorted({float(word) for word in value.split(",")}))
    except ValueError:
        rates = ()
    if not rates or not all(0.0 < rate < 1.0 for rate in rates):
        raise click.BadParameter("must be numbers between 0 and 1 with commas between them, for example 0.001,0.01.", ctx, param)
    return rates


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DATA.jsonl|-...")
@click.option(
    "--origin",
    type=click.Choice(["prompt", "content"]),
    help="Origin of rows that name none: what a user typed, or what was retrieved.  [default: every row must name its own]",
)
@click.option(
    "--fpr",
    "rates",
    callback=parse_rates,
    default="0.001,0.01,0.05",
    show_default=True,
    metavar="X,...",
    help="False-positive rates at which to give the share of attacks found.",
)
@format_option("text", "json")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Also write a report with plots, one file that needs nothing else. Needs the extra 'report'.",
)
@click.option("--show-text", is_flag=True, help="Show the texts of the worst mistakes, which are left out otherwise.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of the intervals' resampling.")
@thresholds_option
@artifact_options
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, metavar="N", help="Windows computed together.")
@threads_option
def evaluate(
    paths: tuple[str, ...],
    origin: Any,
    rates: tuple[float, ...],
    output: str,
    html: Path | None,
    show_text: bool,
    seed: int,
    thresholds: str | None,
    artifact: Choice,
    batch_size: int,
    threads: int | None,
) -> None:
    """Measure the artifact on labelled texts of your own: what it finds, and what it flags by mistake.

    \b
    Examples:
      alknet-firewall evaluate tickets.jsonl --origin content
      alknet-firewall evaluate mails.jsonl.gz chats.jsonl --html report.html
      alknet-firewall evaluate --format json --fpr 0.001,0.01 - < rows.jsonl

    Each line is a JSON object with "text" and "label" (0 or 1, "benign" or "attack"); it may have an "origin", which goes
    before --origin, and a "source", by which figures are split. Give texts that the artifact was not fitted on. A row that
    cannot be used is an error, and nothing is measured. Where there are too few texts for a figure, the report says so.
    With --thresholds the figures "by default" are those of your own thresholds.
    """
    from alknet_firewall.evaluation import evaluate as measure

    if html:
        _check_html(html)
    with friendly_errors():
        rows = labelled_rows(paths, origin)  # before the model is loaded, so that a bad one costs no time
    firewall = load_firewall(artifact, threads, resolve_thresholds(thresholds))
    judged = _judged(firewall, rows, paths, batch_size, show_text)
    with friendly_errors():
        report = measure(judged, firewall.artifact.config.operating_points, firewall.artifact.id, rates, seed=seed)
    click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False) if output == "json" else _as_text(report))
    if html:
        _write_html(html, report)


def _check_html(path: Path) -> None:
    """Find out before the work, not after it, that the report cannot be written."""
    from alknet_firewall.plots import require_matplotlib

    with friendly_errors():
        require_matplotlib()
    if not path.parent.is_dir():
        raise click.ClickException(
            f"{printable(str(path))}: there is no folder {printable(str(path.parent))}. Make it first, or name another file with --html."
        )


def _write_html(path: Path, report: Evaluation) -> None:
    """Write the report."""
    from alknet_firewall.report import html_report

    with friendly_errors():
        page = html_report(report, dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as err:
        raise click.ClickException(
            f"{printable(str(path))}: cannot be written: {err.strerror or type(err).__name__}. Name another file with --html."
        ) from err
    click.echo(f"report written to {printable(str(path))}", err=True)


def _judged(firewall: Firewall, rows: list[LabelledText], paths: tuple[str, ...], batch_size: int, show_text: bool) -> list[Judged]:
    """The rows with their scores, in order."""
    from alknet_firewall.figures import Judged

    progress = Progress(() if any(path.endswith(".gz") for path in paths) else paths)  # packed bytes are no measure of progress
    records: Iterator[Record | Failure] = (Record(row.place, None, None, row.origin, row.text) for row in rows)
    options = {"threshold": None, "fpr": None, "batch_size": batch_size}
    verdicts = verdicts_of(judge(firewall, progress.watch(records), options))
    judged = [
        Judged(
            label=row.label,
            origin=row.origin,
            source=row.source,
            place=row.place,
            score=v.score,
            probability=v.probability,
            threshold=v.threshold,
            length=len(row.text),
            text=row.text if show_text else None,
        )
        for row, v in zip(rows, verdicts, strict=True)
    ]
    progress.clear()
    return judged


def _as_text(report: Evaluation) -> str:
    """The tables for a person."""
    from alknet_firewall.report import NOTES, heading, tables

    blocks = [f"{printable(report.artifact)}, {report.n_texts} text{'' if report.n_texts == 1 else 's'}"]
    for part in report.origins:
        blocks += [click.style(heading(part), bold=True), *(_table(table) for table in tables(part) if table.title != "Reliability")]
    return "\n\n".join([*blocks, "\n".join(NOTES)])


def _table(table: Table) -> str:
    """A table in columns; the last one is as long as it is."""
    rows = [table.header, *([printable(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    lines = ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.title, *lines])
