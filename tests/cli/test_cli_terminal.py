"""On a terminal: colours, a progress line for long work, and nothing of a scanned text that could steer it."""

from __future__ import annotations

import io
import json

import pytest

from alknet_firewall.cli import progress
from alknet_firewall.cli.inputs import Record

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[1A\x9b31m\u202eHello there\r\x08!"
FLAG_ALL = ("--threshold", "0")


@pytest.mark.parametrize("name", ["page.txt", "\x1b[2Jpage\r\u202e.txt"])
def test_escapes_in_text_and_file_name_do_not_reach_the_terminal(on_terminal, tmp_path, name):
    path = tmp_path / name
    path.write_text(HOSTILE, newline="")
    shown, _ = on_terminal("scan", path, *FLAG_ALL)
    text = shown.decode().replace("\x1b[31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\r\n", "\n")
    assert "\\x1b]0;owned\\x07\\x1b[2J" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_escapes_in_an_id_and_in_a_failing_name_do_not_reach_the_terminal(on_terminal, tmp_path):
    path = tmp_path / "mails.jsonl"
    path.write_text(json.dumps({"id": HOSTILE, "text": "Good morning."}))
    shown, _ = on_terminal("scan", "--input", "jsonl", path, tmp_path / "\x1b[2Jabsent", "--threshold", "1")
    text = shown.decode().replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert "(id \\x1b]0;owned" in text
    assert "\\x1b[2Jabsent: Cannot be read" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("command", [["verify"], ["info"], ["doctor"], ["scan", "-t", "Good."]])
def test_escapes_in_the_name_of_a_folder_do_not_reach_the_terminal(run, tmp_path, command):
    answer = run(*command, "--artifact", tmp_path / "\x1b[2Jabsent")
    assert answer.code == 1
    assert "\\x1b[2Jabsent" in answer.stdout + answer.stderr
    assert "\x1b" not in answer.stdout + answer.stderr


def test_escapes_in_the_name_of_a_report_do_not_reach_the_terminal(run, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "Good.", "label": 0, "origin": "prompt"}) + "\n")
    answer = run("evaluate", rows, "--html", tmp_path / "\x1b[2Jreport.html")
    assert (answer.code, "\x1b" in answer.stderr) == (0, False)
    assert "prompt: 1 benign, 0 attacks" in answer.stdout
    assert ", 1 text\n" in answer.stdout


def test_colour_is_for_terminals(on_terminal, program):
    arguments = ("scan", "-t", "Good morning.", *FLAG_ALL)
    shown, _ = on_terminal(*arguments)
    assert b"\x1b[31m\x1b[1mFLAGGED" in shown
    assert b"\x1b[31m[[Good morning.]]" in shown
    assert "\x1b" not in program(*arguments).stdout


def test_json_is_never_coloured(on_terminal):
    shown, _ = on_terminal("scan", "-t", "Good morning.", "--format", "jsonl", *FLAG_ALL)
    assert json.loads(shown)["flagged"] is True


def test_long_work_shows_progress_and_takes_it_away(on_terminal):
    options = ("--input", "lines", "--format", "jsonl", "--batch-size", "1", *FLAG_ALL)
    feed = [b"One.\n", b"Two.\n"]
    shown, piped = on_terminal("scan", "-", *options, stdout=False, feed=feed, pause_s=progress.PATIENCE_S + 0.2)
    assert b"2 texts, " in shown
    assert b" a second" in shown
    assert shown.endswith(b"\r\x1b[K")
    assert [json.loads(line)["line"] for line in piped.splitlines()] == [1, 2]


def test_short_work_shows_no_progress(on_terminal):
    shown, piped = on_terminal("scan", "-t", "One.", "-t", "Two.", "--format", "jsonl", *FLAG_ALL, stdout=False)
    assert shown == b""
    assert len(piped.splitlines()) == 2


class Screen(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize(("is_terminal", "patience_s"), [(True, 0.0), (False, 0.0), (True, 3600.0)])
def test_progress_over_files_has_a_bar_on_a_terminal_after_a_while(monkeypatch, tmp_path, is_terminal, patience_s):
    screen = Screen(is_terminal)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    is_drawn = is_terminal and not patience_s
    path = tmp_path / "lines.txt"
    path.write_text("12345678\n" * 4)
    records = [Record(str(path), number, None, "content", "12345678") for number in range(1, 5)]
    line = progress.Progress((str(path),))
    assert list(line.watch(iter(records))) == records
    line.clear()
    shown = screen.getvalue()
    assert ("[#############-----------------]  44%  2 texts" in shown) is is_drawn
    assert shown.endswith("\r\x1b[K") is is_drawn
    assert bool(shown) is is_drawn
