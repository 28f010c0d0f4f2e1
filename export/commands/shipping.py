"""An artifact on its way out: as a wheel, or to the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
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
    from alknet_firewall.cli.options import friendly_errors
    from alknet_firewall.integrity import file_sha256
    from export.wheel import build_wheel

    with friendly_errors():
        path, artifact = build_wheel(folder, out, version, name)
    facts = {"wheel": str(path), "sha256": file_sha256(path), "artifact": artifact.id, "manifest_sha256": artifact.sha256}
    click.echo(json.dumps(facts, indent=2))


@click.command()
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
