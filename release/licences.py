"""The licences of what a user installs, as a table; fails when one of them is not permissive.

    python release/licences.py .venvs/wheel

Licences are those that packages name in their metadata, read by pip-licenses. In `A AND B` both must be permissive, in `A OR B` one.
Metadata does not name what wheels bundle: those of numpy, scipy and scikit-learn hold run-time libraries of GCC (GPL-3.0 with the GCC
Runtime Library Exception, which lets any program use them).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
from boolean import Expression
from license_expression import ExpressionError, get_spdx_licensing

PERMISSIVE = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "PSF-2.0", "Unlicense", "Zlib"}
SPDX_OF = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",  # the classifier does not tell two clauses from three; both are permissive
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX identifiers of the names that older metadata uses."""
ACCEPTED = {"certifi": "MPL-2.0", "tqdm": "MPL-2.0"}
"""Further licences, package by package. MPL-2.0 binds those who change the package's own files; huggingface-hub uses both as they are."""

LICENSING = get_spdx_licensing()


@click.command(help=__doc__)
@click.argument("environment", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(environment: Path) -> None:
    """Print the table; exit 1 when a licence is not permissive or not known."""
    command = [sys.executable, "-m", "piplicenses", "--python", environment / "bin" / "python", "--from", "mixed", "--format", "json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)
    rows = [(item["Name"], item["Version"], item["License"]) for item in found]
    click.echo("| package | version | licence |\n| --- | --- | --- |")
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")
    problems = [f"{name} {version}: {licence}" for name, version, licence in rows if not is_allowed(name, licence)]
    if problems:
        raise click.ClickException(f"Not permissive, or not known: {'; '.join(problems)}. Do without, or decide in {Path(__file__).name}.")


def is_allowed(package: str, licence: str) -> bool:
    """Whether a package's licence is permissive, or accepted for this package.

    Parameters
    ----------
    package : str
    licence : str
        SPDX expression, or names of older metadata with semicolons between them.

    Returns
    -------
    bool
        False for what cannot be read.
    """
    try:
        parts = [LICENSING.parse(SPDX_OF.get(part.strip(), part.strip()), validate=True) for part in licence.split(";")]
    except ExpressionError:
        return False
    allowed = PERMISSIVE | {ACCEPTED.get(package, "MIT")}
    return all(part is not None and _holds(part, allowed) for part in parts)


def _holds(expression: Expression, allowed: set[str]) -> bool:
    """Whether the licences allowed satisfy an expression; a licence with an exception is one of its own."""
    if isinstance(expression, LICENSING.AND | LICENSING.OR):
        choose = all if isinstance(expression, LICENSING.AND) else any
        return choose(_holds(argument, allowed) for argument in expression.args)
    return str(expression) in allowed


if __name__ == "__main__":
    main()
