"""README.md and ``--help`` say the same, and the examples in both are commands that exist."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from alknet_firewall.cli import cli
from tests.cli.update_readme import PROGRAM, README, WITHOUT_COMMAND, block, blocks, updated

EXAMPLE = re.compile(rf"(?:^|[|$\s]|=\S+ ){PROGRAM} (?P<arguments>.+)$")
CURE = "Run: python tests/cli/update_readme.py"


def examples(text):
    """Every line of code that runs the program, as its arguments."""
    return [shlex.split(match["arguments"], comments=True) for line in text.splitlines() if (match := EXAMPLE.search(line))]


def code_of(readme):
    """The shell commands of a README: its code blocks without a language, or with that of a shell."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    return "\n".join(code for language, code in found if language in ("", "sh", "bash", "shell", "console"))


def check_example(arguments):
    """The arguments name a command and options that exist; nothing is run, and files need not be there."""
    if arguments[0].startswith("-"):
        assert arguments[0] in ("--help", "-h", "--version")
        return
    command = cli.commands[arguments[0]]
    if not {"-h", "--help"} & set(arguments):
        try:
            command.make_context(command.name, list(arguments[1:])).close()
        except click.BadParameter as err:
            if isinstance(err, click.MissingParameter) or not isinstance(err.param.type, click.Path):
                raise


@pytest.mark.parametrize("command", [WITHOUT_COMMAND, *cli.commands])
def test_readme_has_the_help_of_every_command(command):
    found = blocks(README.read_text(encoding="utf-8"))
    assert command in found, f"README.md has no <!-- help:{command} --> ... <!-- /help -->"
    assert found[command] == block(command), CURE


def test_every_block_of_the_readme_is_up_to_date():
    readme = README.read_text(encoding="utf-8")
    assert updated(readme) == readme, CURE


def test_every_example_of_the_readme_is_a_command_that_exists():
    found = examples(code_of(README.read_text(encoding="utf-8")))
    assert found
    for arguments in found:
        check_example(arguments)


def test_every_text_in_an_example_is_flagged(run):
    """Whoever begins with it must not see that nothing was found."""
    found = [arguments for arguments in examples(README.read_text(encoding="utf-8")) if "-t" in arguments and arguments[0] == "scan"]
    assert found
    for arguments in found:
        assert run(*arguments).code == 3, arguments


def test_the_table_of_operating_points_is_the_artifacts(embedded):
    readme = README.read_text(encoding="utf-8")
    points = embedded.artifact.config.operating_points
    expected = [f"| {p.origin} | {p.fpr:g} | {p.tpr:.2f} | {p.n_benign} | {p.n_attack} |" for p in points]
    assert [line for line in readme.splitlines() if line in expected] == expected


def test_stale_block_is_written_anew_and_the_rest_kept():
    readme = (
        "# Title\n<!-- help:info -->\nold\n<!-- /help -->\ntext\n<!-- help:scan --><!-- /help -->\n<!-- help:scan -->\n<!-- /help -->\n"
    )
    expected = f"# Title\n<!-- help:info -->\n{block('info')}<!-- /help -->\ntext\n<!-- help:scan --><!-- /help -->\n"
    expected += f"<!-- help:scan -->\n{block('scan')}<!-- /help -->\n"
    assert updated(readme) == expected
    assert updated(expected) == expected


def test_block_for_no_command_is_refused():
    with pytest.raises(SystemExit, match="no command"):
        updated("<!-- help:scam -->\n<!-- /help -->")


@pytest.mark.parametrize(("command", "arguments"), [(WITHOUT_COMMAND, []), ("scan", ["scan"])])
def test_block_is_the_help_on_a_terminal_of_a_hundred_columns(program, command, arguments):
    shown = program(*arguments, "--help", COLUMNS="100").stdout
    assert block(command) == f"```text\n{shown.rstrip()}\n```\n"


@pytest.mark.parametrize("command", cli.commands)
def test_help_of_every_command_explains_itself(run, command):
    long, short = run(command, "--help"), run(command, "-h")
    assert (long.code, long.stderr) == (0, "")
    assert long.stdout == short.stdout
    assert long.stdout.startswith(f"Usage: {PROGRAM} {command} ")
    found = examples(long.stdout.split("Examples:")[1])
    assert found
    for arguments in found:
        check_example(arguments)


@pytest.mark.parametrize("command", cli.commands.values(), ids=list(cli.commands))
def test_every_option_has_a_help_text(command):
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.opts


def test_program_lists_its_commands_and_its_version(program):
    help_text = program("--help").stdout
    assert help_text.startswith(f"Usage: {PROGRAM} [OPTIONS] COMMAND")
    assert all(f"  {command}" in help_text for command in cli.commands)
    assert program("--version").stdout.startswith(f"{PROGRAM}, version ")


OPTIONS = [
    (name, option)
    for name, command in cli.commands.items()
    for option in command.params
    if isinstance(option, click.Option) and not option.multiple
]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_every_option_is_named_in_the_environment_as_on_the_command_line(name, option):
    variable = f"ALKNET_FIREWALL_{name}_{max(option.opts, key=len).removeprefix('--')}".upper().replace("-", "_")
    assert option.envvar == variable


def test_environment_sets_options_and_the_command_line_goes_before_it(run):
    environment = {"ALKNET_FIREWALL_SCAN_FORMAT": "jsonl", "ALKNET_FIREWALL_SCAN_ORIGIN": "content", "ALKNET_FIREWALL_SCAN_THRESHOLD": "0"}
    (row,) = run("scan", "-t", "Good morning.", "--origin", "prompt", **environment).rows
    assert (row["origin"], row["threshold"], row["flagged"]) == ("prompt", 0.0, True)


def test_text_cannot_come_from_the_environment_where_it_would_be_split(run):
    assert run("scan", ALKNET_FIREWALL_SCAN_TEXT="Good morning.", ALKNET_FIREWALL_SCAN_TEXTS="Good morning.").code == 2
