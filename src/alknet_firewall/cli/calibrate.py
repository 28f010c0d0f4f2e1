"""``alknet-firewall calibrate``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alknet_firewall.cli.inputs import STDIN, Failure, Reader, Record
from alknet_firewall.cli.options import Choice, artifact_options, format_option, friendly_errors, load_firewall, threads_option
from alknet_firewall.cli.output import printable
from alknet_firewall.cli.progress import Progress
from alknet_firewall.cli.scan import judge, verdicts_of
from alknet_firewall.text import copies_key

if TYPE_CHECKING:
    from alknet_firewall.firewall import Firewall
    from alknet_firewall.thresholds import OwnThreshold
    from alknet_firewall.verdict import Origin

KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl"}
"""How a file is read by its ending; any other is one text when it lies in a folder, and holds one text a line when it is named."""

SHOWN_FAILURES = 10


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="BENIGN|-...")
@click.option("--fpr", type=float, default=0.01, show_default=True, metavar="X", help="Share of harmless texts that may be flagged.")
@click.option(
    "--origin",
    type=click.Choice(["prompt", "content"]),
    help="What the texts are: what a user typed, or what was retrieved.  [default: content, as for 'scan']",
)
@click.option(
    "--input",
    "kind",
    type=click.Choice(["text", "lines", "jsonl"]),
    help="A file is one text, or one text a line, or one JSON object a line.  [default: jsonl when its name ends so, "
    "else text for those in a folder, and lines for one that is named]",
)
@click.option("--field", default="text", show_default=True, metavar="NAME", help="Field of the JSON objects that holds the text.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("thresholds.json"),
    show_default=True,
    metavar="FILE",
    help="File of thresholds to write, or to put this one into.",
)
@format_option("text", "json")
@artifact_options
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, metavar="N", help="Windows computed together.")
@threads_option
def calibrate(
    paths: tuple[str, ...],
    fpr: float,
    origin: Any,
    kind: str | None,
    field: str,
    out: Path,
    output: str,
    artifact: Choice,
    batch_size: int,
    threads: int | None,
) -> None:
    """Choose a threshold on harmless texts of your own traffic, and keep it in a file for 'scan'.

    \b
    Examples:
      alknet-firewall calibrate chats.txt --origin prompt --fpr 0.001
      alknet-firewall calibrate pages/ mails.jsonl --origin content --out thresholds.json
      alknet-firewall scan --thresholds thresholds.json mail.txt

    A folder stands for the files in it, each of them one text, as 'scan' reads them; a file that is named holds one text a line.
    Texts that are repeated, whatever their case and spaces, count once. An object of --input jsonl may have an "origin", which
    goes before --origin, and a "label": those labelled as attacks are left out, and counted. Whatever origins occur are
    calibrated, each by itself, and one that does not occur stays as it is in the file. A text that cannot be read is an error,
    and nothing is written.

    The threshold lies just above the score that keeps a further text like these at or below the rate. How far the rate can be
    off is said as well. With n texts no rate below 1/(n + 1) can be kept to; asking for it is an error that says how many are needed.
    """
    from alknet_firewall.choosing import choose_threshold
    from alknet_firewall.thresholds import load_thresholds, save_thresholds

    if not 0.0 < fpr < 1.0:
        raise click.BadParameter("must be a number between 0 and 1.", param_hint="--fpr")
    firewall = load_firewall(artifact, threads)
    with friendly_errors():
        if out.exists():
            load_thresholds(out, firewall.artifact.id)  # find out before the work that it cannot be written into
    records, n_attacks = _harmless(paths, kind, field, origin)
    records, n_repeats = _different(records)
    scores = _scores(firewall, records, batch_size)
    with friendly_errors():
        chosen: dict[Origin, OwnThreshold] = {own: choose_threshold(found, fpr) for own, found in scores.items()}
        save_thresholds(out, firewall.artifact.id, chosen)
    if n_attacks:
        click.echo(f"{n_attacks} objects labelled as attacks were left out", err=True)
    if n_repeats:
        click.echo(f"{n_repeats} of {n_repeats + len(records)} harmless texts are repeats of others and were not counted", err=True)
    if output == "json":
        facts = {str(own): {**asdict(found), "artifact_threshold": firewall.threshold(own)} for own, found in chosen.items()}
        click.echo(json.dumps({"artifact": firewall.artifact.id, "file": str(out), "thresholds": facts}, indent=2))
        return
    for own, found in chosen.items():
        click.echo(_line(own, found, firewall.threshold(own)))
    click.echo(f"written to {printable(str(out))}; use it with: alknet-firewall scan --thresholds {printable(str(out))}", err=True)


def _harmless(paths: tuple[str, ...], kind: str | None, field: str, origin: Any) -> tuple[list[Record], int]:
    """Every harmless text, and how many attacks were left out; the program ends here when something cannot be read."""
    from alknet_firewall.labelled import LABELS

    records, failures, n_attacks = [], [], 0
    for item in _items(paths, kind, field, origin):
        if isinstance(item, Failure):
            failures.append(item)
        elif item.label is not None and (not isinstance(item.label, (str, int, float)) or item.label not in LABELS):
            failures.append(Failure(item.source, "The label must be 0 or 1, false or true, 'benign' or 'attack'.", item.line))
        elif item.label is not None and LABELS[item.label]:
            n_attacks += 1
        else:
            records.append(item)
    for failure in failures[:SHOWN_FAILURES]:
        click.echo(f"Error: {printable(failure.place)}: {failure.message}", err=True)
    if failures:
        raise click.ClickException(f"{len(failures)} inputs cannot be used. Mend them or take them out; nothing was written.")
    if not records:
        raise click.ClickException("There is no harmless text among the inputs. Give some of your own traffic.")
    return records, n_attacks


def _items(paths: tuple[str, ...], kind: str | None, field: str, origin: Any) -> Iterator[Record | Failure]:
    """The records of files and of the files in folders."""
    for path in paths:
        inside = _files_in(path)
        if inside == []:
            yield Failure(path, "This folder has no files. Name one that has some.")
        for name in [path] if inside is None else inside:
            usual = KINDS.get(Path(name).suffix.lower(), "lines" if inside is None else "text")
            yield from Reader(kind or usual, field, origin).records((name,), ())


def _files_in(path: str) -> list[str] | None:
    """The files in a folder, by name; None for what is no folder."""
    try:
        if not path or not Path(path).is_dir():
            return None
    except OSError:  # it will be reported when it is read
        return None
    names = sorted(str(own) for own in Path(path).rglob("*") if own.is_file())
    return [f"./{name}" if name == STDIN else name for name in names]


def _different(records: list[Record]) -> tuple[list[Record], int]:
    """The first of each text and its copies, and how many more there were: a repeat is no further evidence."""
    first: dict[tuple[Origin, str], Record] = {}
    for record in records:
        first.setdefault((record.origin, copies_key(record.text)), record)
    return list(first.values()), len(records) - len(first)


def _scores(firewall: Firewall, records: list[Record], batch_size: int) -> dict[Origin, list[float]]:
    """Scores of the texts, by origin."""
    progress = Progress(())
    scores: dict[Origin, list[float]] = defaultdict(list)
    results = judge(firewall, progress.watch(iter(records)), {"threshold": 1.0, "fpr": None, "batch_size": batch_size})
    for verdict in verdicts_of(results):
        scores[verdict.origin].append(verdict.score)
    progress.clear()
    return dict(scores)


def _line(origin: Origin, own: OwnThreshold, shipped: float) -> str:
    """What was chosen, and how sure it is, for a person."""
    return (
        f"{origin}: threshold {own.threshold:.6f} for a false-positive rate of {own.fpr:g} (the artifact's default is {shipped:.6f})\n"
        f"  {own.n_flagged} of {own.n_texts} harmless texts reach it; with 95 % confidence at most "
        f"{100 * own.fpr_upper:.2g} % of further texts like these will"
    )
