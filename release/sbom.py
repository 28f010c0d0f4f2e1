"""A CycloneDX bill of materials of what a user installs: the packages of an environment, and the model inside the wheel.

    python release/sbom.py .venvs/wheel --out build/alknet-firewall.cdx.json

The packages come from cyclonedx-py. The model is no package, so nothing else lists it: it is added from the artifact's own
manifest and config, with the sha256 of every file and of the weights that it was made from.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

ROOT = Path(__file__).parents[1]
EMBEDDED = "from alknet_firewall.hub import EMBEDDED_FOLDER as folder; print(folder)"


@click.command(help=__doc__)
@click.argument("environment", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def main(environment: Path, out: Path) -> None:
    """Write the bill of materials of an environment that holds the wheel and what it requires."""
    python = environment / "bin" / "python"
    artifact = Path(subprocess.run([python, "-c", EMBEDDED], check=True, capture_output=True, encoding="utf-8").stdout.strip())
    bill = with_component(packages(python), model_component(artifact))
    text = json.dumps(bill, indent=2) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise click.ClickException(f"The bill of materials does not follow CycloneDX 1.6: {problem}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    click.echo(f"{out}: {len(bill['components'])} components")


def packages(python: Path) -> dict[str, Any]:
    """What cyclonedx-py finds in an environment, with this project as the main component."""
    options = ["--output-reproducible", "--no-validate", "--mc-type", "library", "--sv", "1.6"]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *options]
    done = subprocess.run([*command, "--pyproject", ROOT / "pyproject.toml", python], check=True, capture_output=True, encoding="utf-8")
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def model_component(artifact: Path) -> dict[str, Any]:
    """An artifact as a component: identified, as in every verdict, by the sha256 of its manifest, with its files and its base model.

    Parameters
    ----------
    artifact : Path
        Folder of an artifact.

    Returns
    -------
    dict
        Component of CycloneDX 1.6.
    """
    manifest = (artifact / "manifest.json").read_bytes()
    config = json.loads((artifact / "config.json").read_bytes())
    base, digest = config["base_model"], hashlib.sha256(manifest).hexdigest()
    files = json.loads(manifest)["files"]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"artifact-{config['name']}",
        "name": f"alknet-firewall artifact {config['name']}",
        "version": digest[:12],
        "hashes": sha256(digest),
        "licenses": licence(base),
        "components": [{"type": "file", "name": name, "hashes": sha256(entry["sha256"])} for name, entry in sorted(files.items())],
        "pedigree": {"ancestors": [ancestor(base)]},
    }


def ancestor(base: dict[str, Any]) -> dict[str, Any]:
    """The model that an artifact was made from."""
    return {
        "type": "machine-learning-model",
        "name": base["id"],
        "version": base["revision"],
        "hashes": sha256(base["weights_sha256"]),
        "licenses": licence(base),
        "properties": [{"name": "alknet-firewall:source", "value": base["source"]}],
    }


def licence(base: dict[str, Any]) -> list[dict[str, Any]]:
    """The base model's licence, in SPDX's spelling; the Hub writes identifiers in small letters."""
    return [{"license": {"id": str(get_spdx_licensing().parse(base["license"], validate=True))}}]


def sha256(digest: str) -> list[dict[str, str]]:
    """A digest as CycloneDX writes it."""
    return [{"alg": "SHA-256", "content": digest}]


def with_component(bill: dict[str, Any], component: dict[str, Any]) -> dict[str, Any]:
    """A bill of materials with one more component, on which the main component depends."""
    root, reference = bill["metadata"]["component"]["bom-ref"], component["bom-ref"]
    dependencies = [
        {**entry, "dependsOn": [*entry.get("dependsOn", []), reference]} if entry["ref"] == root else entry
        for entry in bill["dependencies"]
    ]
    return {**bill, "components": [*bill["components"], component], "dependencies": [*dependencies, {"ref": reference}]}


if __name__ == "__main__":
    main()
