"""``alknet-firewall parity``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from alknet_firewall.cli.options import Choice, artifact_options, format_option, friendly_errors, load_firewall, threads_option
from alknet_firewall.cli.output import printable


@click.command()
@click.option(
    "--weights",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with the model.safetensors, config.json and tokenizer.json that the artifact was built from.",
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Adapter that the artifact was built with, when it was (info shows its sha256).",
)
@artifact_options
@threads_option
@format_option("text", "json")
def parity(weights: Path, adapter: Path | None, artifact: Choice, threads: int | None, output: str) -> None:
    """Compare the artifact with torch over the whole path: ids, hidden states, features, scores, verdicts.

    Exits 1 when a difference is larger than the precision of the graph allows. Needs the extra 'torch':
    pip install 'alknet-firewall[torch]'

    \b
    Examples:
      alknet-firewall parity --weights build/weights
      alknet-firewall parity --weights build/weights --artifact ./artifact --format json
    """
    from alknet_firewall.parity import GATES, check_parity

    firewall = load_firewall(artifact, threads)
    with friendly_errors():
        report = check_parity(firewall, weights, adapter)
    if output == "json":
        click.echo(json.dumps({"artifact": firewall.artifact.id, **report.as_dict()}, indent=2))
    else:
        click.echo(f"{printable(firewall.artifact.id)} against torch fp32")
        gates = GATES[report.precision]
        for name, value in report.as_dict().items():
            if name not in ("failures", "passed"):
                shown = f"{value:.6g}" if isinstance(value, float) else str(value)
                gate = f"must be {gates[name][0]} {gates[name][1]:g}" if name in gates else ""
                click.echo(f"  {name:<28} {shown:<14} {gate}".rstrip())
    if not report.passed:
        raise click.ClickException("Parity does not hold: " + "; ".join(report.failures) + ".")
    if output == "text":
        click.echo("parity holds")
