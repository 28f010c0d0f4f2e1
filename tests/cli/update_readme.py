"""Write the help of every command into README.md, between ``<!-- help:COMMAND -->`` and ``<!-- /help -->``.

Run it from anywhere after a change of the command line: ``python tests/cli/update_readme.py``. ``test_readme.py`` fails until it was run.
The command line itself, without a command, goes by the name ``cli``.
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from alknet_firewall.cli import cli

README = Path(__file__).parents[2] / "README.md"
PROGRAM = "alknet-firewall"
WITHOUT_COMMAND = "cli"
WIDTH = 98
"""What click uses of a terminal of 100 columns."""

BLOCK = re.compile(r"(<!-- help:(?P<command>[\w-]+) -->\n)(?P<body>.*?)(<!-- /help -->)", re.DOTALL)


def block(command: str) -> str:
    """What stands between the markers: the help on a terminal of 100 columns, as a code block."""
    arguments = ["--help"] if command == WITHOUT_COMMAND else [command, "--help"]
    result = CliRunner().invoke(cli, arguments, prog_name=PROGRAM, terminal_width=WIDTH, catch_exceptions=False)
    if result.exit_code:
        raise SystemExit(f"README.md has a block for {command!r}, which is no command of {PROGRAM}.")
    return f"```text\n{result.output.rstrip()}\n```\n"


def blocks(readme: str) -> dict[str, str]:
    """The blocks of a README, by command."""
    return {match["command"]: match["body"] for match in BLOCK.finditer(readme)}


def updated(readme: str) -> str:
    """The README with every block written anew."""
    return BLOCK.sub(lambda match: match[1] + block(match["command"]) + match[4], readme)


def main() -> None:
    """Rewrite README.md where it lies."""
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
