"""Training, building, and measuring what each part is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.commands.options import Given, given_options, layer_option

if TYPE_CHECKING:
    from export.train.samples import Sample


watch_option = click.option(
    "--watch", type=click.IntRange(min=1), default=600, show_default=True, metavar="N", help="Most left-out texts to watch."
)


@click.command()
@given_options
@watch_option
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for the samples.")
def samples(given: Given, watch: int, out: Path) -> None:
    """Compose, split and tokenise what 'train' reads, once, so that a machine with a GPU need not wait for it.

    \b
    Example:
      python -m export samples --weights build/weights --rows 600000 --data train.jsonl.gz --out build/samples
      python -m export train --weights build/weights --prepared build/samples --out build/adapter --batch-tokens 32768
    """
    from export.train.prepared import SAMPLES_FILE, WATCHED_FILE, write_samples

    fitted, watched = _samples(given, watch)
    out.mkdir(parents=True, exist_ok=True)
    write_samples(out / SAMPLES_FILE, fitted)
    write_samples(out / WATCHED_FILE, watched)
    click.echo(f"{out}: {len(fitted)} samples to train on, {len(watched)} to watch")


def _samples(given: Given, watch: int) -> tuple[list[Sample], list[Sample]]:
    """What to train on, and what to watch."""
    from alknet_firewall.tokenizer import Tokenizer
    from export.build import prefixes
    from export.data import sample_examples
    from export.train import TrainOptions
    from export.train.samples import tokenise

    fitted, held = given.split()
    definition, options = given.folder / "tokenizer.json", TrainOptions(seed=given.seed)
    ids = {origin: prefix.ids for origin, prefix in prefixes(definition).items()}
    tokenizer = Tokenizer.load(definition)
    chosen = sample_examples(held, watch, given.seed)
    return tokenise(fitted, tokenizer, ids, options), tokenise(chosen, tokenizer, ids, options)


@click.command()
@given_options
@layer_option
@watch_option
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for adapter, log and checkpoint.")
@click.option("--prepared", type=click.Path(path_type=Path, exists=True), metavar="DIR", help="What 'samples' wrote, to be read instead.")
@click.option("--start", type=click.Path(path_type=Path, exists=True), metavar="FILE", help="Adapter of an earlier run to begin from.")
@click.option("--minutes", type=float, default=120.0, show_default=True, metavar="M", help="Stop after this long.")
@click.option("--learning-rate", type=float, default=4e-4, show_default=True, metavar="X", help="Largest, of the adapter.")
@click.option("--rank", type=click.IntRange(min=1), default=32, show_default=True, metavar="R", help="Of the adapter's matrices.")
@click.option(
    "--data-share", type=click.FloatRange(0, 1), default=0.25, show_default=True, metavar="X", help="Samples that come from --data."
)
@click.option("--samples", type=click.IntRange(min=1), default=100_000, show_default=True, metavar="N", help="Stop after so many texts.")
@click.option(
    "--batch-tokens", type=click.IntRange(min=1), default=3072, show_default=True, metavar="N", help="Of a step; a GPU wants 32768."
)
@click.option("--look-every", type=click.IntRange(min=1), default=10_000, show_default=True, metavar="N", help="Texts between two looks.")
def train(
    given: Given,
    layer: int,
    watch: int,
    out: Path,
    prepared: Path | None,
    start: Path | None,
    look_every: int,
    **numbers: Any,
) -> None:
    """Fine-tune the cut backbone with LoRA, on a GPU if there is one; write adapter.safetensors and a log of every figure.

    A run that was stopped goes on when the same command is given again.

    \b
    Example:
      python -m export train --weights build/weights --out build/adapter --rows 200000 --data train.jsonl.gz
    """
    from export.train import TrainOptions
    from export.train import train as run
    from export.train.prepared import SAMPLES_FILE, WATCHED_FILE, read_samples

    if prepared is not None and (given.files or given.hold_out or given.listed):
        raise click.UsageError("--prepared says what to train on; --data and --hold-out belong to the command that wrote it, 'samples'.")
    if prepared is None:
        fitted, watched = _samples(given, watch)
    else:
        fitted, watched = read_samples(prepared / SAMPLES_FILE), read_samples(prepared / WATCHED_FILE)
    options = TrainOptions(layer=layer, evaluate_every=look_every, seed=given.seed, **numbers)
    run(given.folder, out, fitted, watched, options, start)


@click.command("mix-adapters")
@click.argument("first", type=click.Path(path_type=Path, exists=True))
@click.argument("second", type=click.Path(path_type=Path, exists=True))
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="X", help="Of the second.")
@click.option("--rank", type=click.IntRange(min=1), metavar="R", help="Of the result, as near as it comes.  [default: both ranks together]")
@click.option("--layer", type=click.IntRange(min=1), metavar="L", help="Block to cut both after.  [default: all blocks of both]")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Adapter to write.")
def mix_adapters(first: Path, second: Path, share: float, rank: int | None, layer: int | None, out: Path) -> None:
    """Take a point between two adapters, which may do better on new sources than either.

    \b
    Example:
      python -m export mix-adapters build/short.safetensors build/long.safetensors --share 0.3 --out build/mixed.safetensors
    """
    from alknet_firewall.adapter import mix_adapters as run
    from alknet_firewall.cli.options import friendly_errors

    with friendly_errors():
        run(first, second, share, out, rank, layer)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@click.command()
@given_options
@layer_option
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
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Keep features here, for another build with the same graph.")
def build(
    given: Given,
    layer: int,
    out: Path,
    name: str,
    adapter: Path | None,
    precision: str,
    word_rows: int,
    cache: Path | None,
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

    fitted, held = given.split()
    options = BuildOptions(name=name, adapter=adapter, layer=layer, precision=precision, cache=cache)
    with friendly_errors():
        artifact, report = run(given.folder, out, fitted, held, options, further_examples(fitted, held, word_rows, given.seed))
    click.echo(json.dumps({"artifact": artifact.id, "folder": str(out), "parity": report.as_dict()}, indent=2))


@click.command()
@given_options
@click.option("--adapter", type=click.Path(path_type=Path, exists=True), required=True, metavar="FILE", help="What 'train' wrote.")
@click.option("--artifact", type=click.Path(path_type=Path, exists=True), metavar="DIR", help="Built from it.  [default: the embedded one]")
@click.option(
    "--texts", type=click.IntRange(min=200), default=4000, show_default=True, metavar="N", help="Most texts to fit on, and to judge."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Keep features and scores here: a run that was stopped goes on."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/ablation.md"), show_default=True, metavar="FILE")
def ablation(given: Given, adapter: Path, artifact: Path | None, texts: int, cache: Path | None, out: Path) -> None:
    """Measure what each part of the detector is worth on left-out sources, and write docs/ablation.md."""
    from alknet_firewall import Firewall
    from export.ablation import Task, measure, report
    from export.data import sample_examples

    fitted, held = given.split()
    task = Task(sample_examples(fitted, texts, given.seed), sample_examples(held, texts, given.seed))
    firewall = Firewall.from_pretrained(artifact)
    out.write_text(report(task, firewall, measure(task, firewall, given.folder, adapter, cache)), encoding="utf-8")
    click.echo(f"{out}: {len(task.fitted)} texts fitted, {len(task.held)} judged")
