"""``alknet-firewall fit``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alknet_firewall.cli.inputs import Record, labelled_rows
from alknet_firewall.cli.options import Choice, artifact_options, format_option, friendly_errors, load_firewall, threads_option
from alknet_firewall.cli.output import printable
from alknet_firewall.cli.progress import Progress

if TYPE_CHECKING:
    from alknet_firewall.adapt import Report
    from alknet_firewall.labelled import LabelledText
    from alknet_firewall.leftout import Comparison, Figures

HEADER = ("left out", "benign", "attacks", "ROC AUC", "TPR at 1 % FPR", "TPR at 5 % FPR", "FPR at threshold", "recall at threshold")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DATA.jsonl|-...")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write the adapted artifact to; new or empty."
)
@click.option(
    "--origin",
    type=click.Choice(["prompt", "content"]),
    help="Origin of rows that name none: what a user typed, or what was retrieved.  [default: every row must name its own]",
)
@click.option("--force", is_flag=True, help="Write the artifact even when it is worse on the texts left out.")
@format_option("text", "json")
@artifact_options
@threads_option
def fit(
    paths: tuple[str, ...],
    out: Path,
    origin: Any,
    force: bool,
    output: str,
    artifact: Choice,
    threads: int | None,
) -> None:
    """Adapt the head to labelled texts of your own, when that makes it better on those left out.

    \b
    Examples:
      alknet-firewall fit tickets.jsonl --origin content --out adapted
      alknet-firewall scan --artifact adapted mail.txt

    Each line is a JSON object with "text" and "label" (0 or 1, "benign" or "attack"); it may have an "origin", which goes
    before --origin, and a "source": given five or more of them, whole sources are left out in turn. At least 20 texts
    are needed, and 5 different ones of each label; a few hundred are better.

    The shipped head is kept and only moved, as little as the texts allow. The table compares both on texts that the adapted
    one did not see. When it is worse there, nothing is written and the exit code is 1.
    """
    from alknet_firewall.adapt import adapt, check_enough, read_bags
    from alknet_firewall.adapted import check_out, n_verdicts_changed, write_adapted

    with friendly_errors():
        check_out(out)
        rows = labelled_rows(paths, origin)  # before the model is loaded, so that a bad one costs no time
        check_enough(rows)
    firewall = load_firewall(artifact, threads)
    progress = Progress(paths)
    with friendly_errors():
        bags = read_bags(firewall, _watched(rows, progress))
        progress.clear()
        adaptation = adapt(firewall, rows, bags)
    report = adaptation.report
    if output == "text":
        click.echo(_as_text(report))
    if report.objections and not force:
        if output == "json":
            click.echo(json.dumps({"written": None, **report.as_dict()}, indent=2))
        raise click.ClickException(
            f"The adapted head is not better: {'; '.join(report.objections)}. Nothing was written. "
            "Give more texts, above all more varied ones, or write it all the same with --force."
        )
    with friendly_errors():
        written = write_adapted(firewall, adaptation, rows, out)
        n_changed, n_cases = n_verdicts_changed(firewall.artifact, written)
    if output == "json":
        facts = {"written": str(out), "artifact": written.id, "selftest_changed": n_changed, "selftest_cases": n_cases}
        click.echo(json.dumps({**facts, **report.as_dict()}, indent=2))
        return
    click.echo(f"\n{n_changed} of {n_cases} verdicts on the shipped self-test changed")
    click.echo(f"{printable(written.id)} written to {printable(str(out))}; use it with: --artifact {printable(str(out))}", err=True)


def _watched(rows: list[LabelledText], progress: Progress) -> Iterator[LabelledText]:
    """The rows, counted while they are taken."""
    records = progress.watch(Record(row.place, None, None, row.origin, row.text) for row in rows)
    return (row for row, _ in zip(rows, records, strict=True))


def _as_text(report: Report) -> str:
    """The tables for a person."""
    together = "whole sources" if report.grouped_by == "source" else "single texts"
    chosen, *without = [_penalty(penalty) for penalty in (report.penalty, *report.fold_penalties)]
    lines = [
        f"{report.n_texts} texts, {together} left out in {len(without)} folds.",
        "Shipped head -> adapted head, on texts that it did not see.",
        f"Penalty of the change: {chosen}; chosen without each fold: {', '.join(without)}.",
    ]
    if report.grouped_by != "source":
        lines.append(
            'Texts of one source may be alike, which flatters. Give rows of five or more sources a "source" to leave out whole ones.'
        )
    for origin in dict.fromkeys(c.origin for c in report.comparisons):
        rows = [HEADER, *(_row(c) for c in report.comparisons if c.origin == origin)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        lines += ["", click.style(origin, bold=True)]
        lines += ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing = {"prompt", "content"} - {c.origin for c in report.comparisons}
    lines += [f"\nNo text is of origin {origin}: what the change does there was not measured." for origin in sorted(missing)]
    return "\n".join(lines)


def _penalty(penalty: float | None) -> str:
    return "no change" if penalty is None else f"{penalty:g}"


def _row(c: Comparison) -> tuple[str, ...]:
    """One line of the table."""
    name = "all" if c.fold is None else f"fold {c.fold + 1}"
    pairs = zip(_values(c.before), _values(c.after), strict=True)
    return name, str(c.n_benign), str(c.n_attack), *(f"{_shown(before)} -> {_shown(after)}" for before, after in pairs)


def _values(figures: Figures) -> Iterable[float | None]:
    return figures.roc_auc, figures.tpr_at_1, figures.tpr_at_5, figures.fpr, figures.recall


def _shown(value: float | None) -> str:
    """A figure, or a dash where the texts do not allow one."""
    return "-" if value is None else f"{value:.3f}"
