"""``alknet-firewall info``, ``verify`` and ``download``."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import click

import alknet_firewall
from alknet_firewall.cli.options import (
    Choice,
    artifact_options,
    format_option,
    friendly_errors,
    load_firewall,
    sha256_option,
    threads_option,
    usage_errors,
)
from alknet_firewall.cli.output import printable

if TYPE_CHECKING:
    from alknet_firewall.artifact import Artifact

RUNTIME_PACKAGES = ("onnxruntime", "tokenizers", "huggingface-hub", "numpy", "scikit-learn", "safetensors", "click")


@click.command()
@artifact_options
@threads_option
@format_option("text", "json")
def info(artifact: Choice, threads: int | None, output: str) -> None:
    """Show the artifact: where it is from, base model, data, tools, hashes, operating points, versions, threads.

    \b
    Examples:
      alknet-firewall info
      alknet-firewall info --artifact ./artifact --format json
    """
    with friendly_errors(), usage_errors():
        facts = _facts(artifact, threads)
    if output == "json":
        click.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, item in value.items():
                click.echo(f"  {name:<22} {printable(_plain(item))}")
        elif isinstance(value, list):
            click.echo(f"{key}:")
            for point in value:
                click.echo("  " + "  ".join(f"{name} {printable(str(item))}" for name, item in point.items()))
        else:
            click.echo(f"{key:<24} {printable(str(value))}")


@click.command()
@artifact_options
@threads_option
def verify(artifact: Choice, threads: int | None) -> None:
    """Check every file's hash and score texts with known scores; exit 1 when anything differs.

    \b
    Examples:
      alknet-firewall verify
      alknet-firewall verify --artifact ./artifact
    """
    from alknet_firewall.artifact import SELFTEST_FILE
    from alknet_firewall.selftest import load_selftest, run_selftest

    firewall = load_firewall(artifact, threads)
    n_files = len(firewall.artifact.manifest.files)
    click.echo(f"{printable(firewall.artifact.id)}: {n_files} files have the sha256 and size of the manifest")
    with friendly_errors():
        selftest = load_selftest(firewall.artifact.path(SELFTEST_FILE))
        result = run_selftest(firewall, selftest)
    click.echo(
        f"self-test: {result.n_cases} texts, largest score difference {result.largest_difference:.2g}, {result.n_flips} verdicts differ"
    )
    if not result.passed:
        raise click.ClickException(
            f"The self-test allows a difference of {selftest.tolerance:g} and no other verdict. "
            "This build of onnxruntime or this processor computes something else: run 'alknet-firewall doctor', or update onnxruntime."
        )


@click.command()
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("--revision", metavar="SHA", help="Commit (or tag, or branch) to fetch, unless it is given as ORG/NAME@SHA.")
@sha256_option
def download(repo_id: str, revision: str | None, sha256: str | None) -> None:
    """Fetch an artifact from the Hub ahead of time, verify it, and print its folder.

    \b
    Examples:
      alknet-firewall download org/name --revision 0123456789abcdef0123456789abcdef01234567
      HF_HUB_OFFLINE=1 alknet-firewall scan --artifact org/name --revision 0123... mail.txt
    """
    from alknet_firewall.hub import is_hub_id

    if not is_hub_id(repo_id.partition("@")[0]):
        raise click.BadParameter("must be the Hub id org/name. A folder or an installed artifact needs no download.", param_hint="ORG/NAME")
    if revision is None and "@" not in repo_id:
        raise click.UsageError("Give the commit to fetch with --revision, or 'main' to take what is newest.")
    with friendly_errors(), usage_errors():
        click.echo(str(_fetched(repo_id, revision, sha256).folder))


def _fetched(repo_id: str, revision: str | None, sha256: str | None) -> Artifact:
    """The artifact, verified; fetched a second time when the copy in the cache is damaged."""
    from alknet_firewall.errors import ArtifactCorruptError, DownloadError
    from alknet_firewall.hub import open_artifact

    try:
        return open_artifact(repo_id, revision, sha256=sha256)
    except ArtifactCorruptError as damage:
        try:
            return open_artifact(repo_id, revision, sha256=sha256, force=True)
        except DownloadError:
            raise damage from None


def _facts(choice: Choice, threads: int | None) -> dict[str, Any]:
    """What ``info`` shows."""
    from alknet_firewall.threads import resolve_threads

    artifact = choice.open()
    config = artifact.config.as_dict()
    files = artifact.manifest.files
    return {
        "artifact": artifact.id,
        "folder": str(artifact.folder),
        "source": asdict(artifact.source),
        "manifest_sha256": artifact.sha256,
        "size_bytes": sum(entry.size for entry in files.values()),
        "base_model": config["base_model"],
        "encoder": config["encoder"],
        "window": config["window"],
        "head": {"pooling": config["pooling"], "segment": config["segment"], "head": config["head"]},
        "prefixes": {origin: prefix["text"] for origin, prefix in config["prefixes"].items()},
        "data": {
            "fitted_on": config["fitted_on"],
            "adapted": config["adapted"],
            "thresholds_set_on": sorted({f"{point['origin']}: {point['data']}" for point in config["operating_points"]}),
        },
        "default_fpr": config["default_fpr"],
        "operating_points": list(config["operating_points"]),
        "files": {name: entry.size for name, entry in files.items()},
        "files_sha256": {name: entry.sha256 for name, entry in files.items()},
        "built_with": artifact.manifest.tools,
        "versions": {"alknet-firewall": alknet_firewall.__version__, "python": platform.python_version(), **package_versions()},
        "threads": resolve_threads(threads),
    }


def _plain(value: Any) -> str:
    """A value for a person: neither braces nor quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def package_versions() -> dict[str, str]:
    """Installed version of each runtime package."""
    versions = {}
    for name in RUNTIME_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
