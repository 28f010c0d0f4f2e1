"""``python -m export``: the offline commands, in the order in which they are used."""

from __future__ import annotations

import click

from export.commands.fitting import ablation, build, mix_adapters, samples, train
from export.commands.making import corpus, corpus_report, weights
from export.commands.shipping import publish, wheel


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make an artifact: weights, then corpus, then train, then build; then publish it."""


for command in (weights, corpus, corpus_report, samples, train, mix_adapters, build, ablation, wheel, publish):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m export")
