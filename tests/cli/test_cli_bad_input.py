"""What cannot be scanned: reported with its place and without its text, the rest is scanned all the same, and the run fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alknet_firewall import bounded
from alknet_firewall.cli import inputs
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.firewall import Firewall
from alknet_firewall.text import MAX_CHARACTERS
from tests.cli.running import environment, start

FLAG_NONE = ("--threshold", "1", "--format", "jsonl")
SECRET = "marmalade sandwich under the blue hat"
GOOD = json.dumps({"id": "good", "text": "The library opens at nine."}).encode()

BAD_OBJECTS = {
    "broken": (b'{"text": "%s"' % SECRET.encode(), "Not valid JSON at column"),
    "two-values": (b'{"text": "%s"} {}' % SECRET.encode(), "Not valid JSON at column"),
    "not-a-number": (b'{"text": "%s", "id": NaN}' % SECRET.encode(), "Not valid JSON."),
    "deep": (b'{"text": "%s", "id": %s' % (SECRET.encode(), b"[" * 100_000), "Not valid JSON"),
    "list": (b'["%s"]' % SECRET.encode(), "A JSON list, not an object"),
    "string": (b'"%s"' % SECRET.encode(), "A JSON str, not an object"),
    "no-field": (b'{"body": "%s"}' % SECRET.encode(), "no field 'text'. Name the field that holds the text with --field"),
    "null": (b'{"text": null, "id": "%s"}' % SECRET.encode(), "must be str, not NoneType"),
    "number": (b'{"text": 7, "id": "%s"}' % SECRET.encode(), "must be str, not int"),
    "nested": (b'{"text": ["%s"]}' % SECRET.encode(), "must be str, not list"),
    "bytes": (b'{"text": "%s \xff"}' % SECRET.encode(), "Not UTF-8 at byte 48"),
    "empty": (b'{"text": "", "id": "%s"}' % SECRET.encode(), "empty"),
    "nul": (b'{"text": "%s\\u0000"}' % SECRET.encode(), "NUL at character 37"),
    "surrogate": (b'{"text": "%s\\ud83d"}' % SECRET.encode(), "lone surrogate at character 37"),
    "origin": (b'{"text": "x", "origin": "%s"}' % SECRET.encode(), "'prompt', 'content'"),
    "endless-id": (b'{"text": "%s", "id": [1e999]}' % SECRET.encode(), "The id has a number too large"),
    "origin-number": (b'{"text": "%s", "origin": 1}' % SECRET.encode(), "'prompt', 'content'"),
}
BAD_LINES = {
    "bytes": (SECRET.encode() + b"\xc3", "Not UTF-8 at byte 37"),
    "nul": (SECRET.encode() + b"\0", "NUL at character 37"),
    "surrogate": (SECRET.encode() + b"\xed\xa0\x80", "Not UTF-8 at byte 37"),
}
BAD_FILES = {
    "bytes": (SECRET.encode("latin-1") + b"\xfc", "Not UTF-8 at byte 37. Convert it to UTF-8"),
    "nul": (SECRET.encode() + b"\0", "NUL at character 37"),
    "utf-16": (SECRET.encode("utf-16"), "Not UTF-8 at byte 0"),
    "utf-16-without-mark": (SECRET.encode("utf-16-le"), "NUL at character 1"),
    "empty": (b"", "The text is empty"),
    "only-a-mark": (b"\xef\xbb\xbf", "The text is empty"),
}


def check_failure(answer, place, words, n_scanned):
    """One failure, in its place and words, without the text; everything else was scanned; the run failed."""
    (complaint,) = answer.stderr.splitlines()
    assert complaint.startswith(f"Error: {place}: ")
    assert words in complaint
    assert "marmalade" not in complaint
    (failed,) = (row for row in answer.rows if "flagged" not in row)
    assert set(failed) == {"source", "line", "id", "error"}
    assert f"Error: {place}: {failed['error']}" == complaint
    assert str(place) == (failed["source"] or "''") + (f":{failed['line']}" if failed["line"] else "")
    assert len(answer.rows) == n_scanned + 1
    assert answer.code == 1


@pytest.mark.parametrize(("line", "words"), BAD_OBJECTS.values(), ids=BAD_OBJECTS)
def test_bad_object_is_reported_and_the_others_are_scanned(run, tmp_path, line, words):
    path = tmp_path / "mails.jsonl"
    path.write_bytes(b"\n".join([GOOD, b"", line, GOOD]))
    answer = run("scan", "--input", "jsonl", path, *FLAG_NONE)
    check_failure(answer, f"{path}:3", words, n_scanned=2)
    assert [(row["line"], "error" in row) for row in answer.rows] == [(1, False), (3, True), (4, False)]


def test_what_cannot_be_scanned_keeps_its_id_so_that_no_row_is_missing(run):
    lines = [
        {"id": 7, "body": SECRET},
        {"id": "b", "text": ""},
        {"id": [1], "text": "x", "origin": SECRET},
        {"id": "good", "text": "Good."},
    ]
    answer = run("scan", "--input", "jsonl", "-", *FLAG_NONE, stdin="\n".join(map(json.dumps, lines)).encode())
    assert [row["id"] for row in answer.rows] == [7, "b", [1], "good"]
    assert ["error" in row for row in answer.rows] == [True, True, True, False]
    assert "marmalade" not in answer.stdout + answer.stderr


@pytest.mark.parametrize(("line", "words"), BAD_LINES.values(), ids=BAD_LINES)
def test_bad_line_is_reported_and_the_others_are_scanned(run, line, words):
    answer = run("scan", "--input", "lines", "-", *FLAG_NONE, stdin=b"\n".join([b"One.", line, b"Three."]))
    check_failure(answer, "-:2", words, n_scanned=2)


@pytest.mark.parametrize(("content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_is_reported_and_the_others_are_scanned(run, tmp_path, content, words):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("The library opens at nine.")
    bad.write_bytes(content)
    check_failure(run("scan", good, bad, good, *FLAG_NONE), bad, words, n_scanned=2)


@pytest.mark.parametrize("text", ["", f"{SECRET}\0"])
def test_bad_argument_is_reported_by_its_number(run, text):
    check_failure(run("scan", "-t", "Good morning.", "-t", text, *FLAG_NONE), "-t:2", "", n_scanned=1)


def test_argument_that_is_no_text_is_reported(program):
    check_failure(program("scan", "-t", SECRET.encode() + b"\xff", "-t", "Good.", *FLAG_NONE), "-t:1", "lone surrogate", n_scanned=1)


@pytest.mark.parametrize("kind", ["text", "lines", "jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_empty_file_is_a_failure(run, tmp_path, kind, content):
    path = tmp_path / "empty"
    path.write_bytes(content)
    check_failure(run("scan", "--input", kind, path, *FLAG_NONE), path, "text", n_scanned=0)


@pytest.mark.parametrize("kind", ["lines", "jsonl"])
def test_file_of_empty_lines_is_a_failure(run, kind):
    check_failure(run("scan", "--input", kind, "-", *FLAG_NONE, stdin=b"\n \r\n\n"), "-", "Holds no text", n_scanned=0)


def unreadable(tmp_path, kind):
    """A path that cannot be read, by anyone, not even by root."""
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below a file":
        path.write_text("")
        path = path / "inside.txt"
    elif kind == "too long":
        path = tmp_path / ("n" * 300)
    return path


@pytest.fixture
def unjudgeable(monkeypatch):
    """A firewall that cannot judge texts with the secret in them."""
    real = Firewall.scan_batch

    def scan_batch(self, texts, *arguments, **options):
        if any("marmalade" in text for text in texts):
            raise InvalidInputError("It cannot be judged.")
        return real(self, texts, *arguments, **options)

    monkeypatch.setattr(Firewall, "scan_batch", scan_batch)


def test_text_that_the_firewall_cannot_judge_is_reported_and_the_others_are_scanned(run, unjudgeable):
    answer = run("scan", "-t", "One.", "-t", SECRET, "-t", "Three.", "--threshold", "1", "--format", "json")
    assert (answer.code, answer.stderr) == (1, "Error: -t:2: It cannot be judged.\n")
    assert [(row["line"], row.get("error")) for row in json.loads(answer.stdout)] == [(1, None), (2, "It cannot be judged."), (3, None)]


@pytest.mark.parametrize("command", ["calibrate", "evaluate"])
def test_text_that_the_firewall_cannot_judge_ends_what_needs_every_verdict(run, unjudgeable, tmp_path, command):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": 0, "origin": "content"}) + "\n" for text in ("One.", SECRET)))
    answer = run(command, path)
    assert (answer.code, answer.stdout, answer.stderr) == (1, "", f"Error: {path}:2: It cannot be judged.\n")


@pytest.mark.parametrize("kind", ["missing", "directory", "loop", "below a file", "too long"])
def test_unreadable_path_is_reported_and_the_others_are_scanned(run, tmp_path, kind):
    good, bad = tmp_path / "good.txt", unreadable(tmp_path, kind)
    good.write_text("The library opens at nine.")
    words = "This is a directory. Name the files in it." if kind == "directory" else "Cannot be read: "
    check_failure(run("scan", good, bad, good, *FLAG_NONE), bad, words, n_scanned=2)


def test_file_without_permission_is_reported(program, tmp_path):
    path = tmp_path / "private.txt"
    path.write_text(SECRET)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        check_failure(program("scan", path, "-t", "Good.", *FLAG_NONE), path, "Permission denied", n_scanned=1)
    else:
        pytest.skip("this user may read everything")


def test_every_failure_of_a_run_is_reported(run, tmp_path):
    path = tmp_path / "mails.jsonl"
    lines = [line for pair in ((GOOD, bad) for bad, _ in BAD_OBJECTS.values()) for line in pair]
    path.write_bytes(b"\n".join(lines))
    answer = run("scan", "--input", "jsonl", path, *FLAG_NONE)
    assert [row["line"] for row in answer.rows if "flagged" in row] == list(range(1, len(lines), 2))
    assert [row["line"] for row in answer.rows if "error" in row] == list(range(2, len(lines) + 1, 2))
    places = [complaint.split(": ")[1] for complaint in answer.stderr.splitlines()]
    assert places == [f"{path}:{number}" for number in range(2, len(lines) + 1, 2)]
    assert "marmalade" not in answer.stderr


def test_line_of_ten_megabytes_is_refused_at_once_and_names_the_limit(program, tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"One.\n" + b"marmalade " * 1_000_000 + b"\nThree.\n")
    answer = program("scan", "--input", "lines", path, *FLAG_NONE)  # scanned, it would outlast the time that a program gets here
    check_failure(answer, f"{path}:2", f"more than the limit of {MAX_CHARACTERS}", n_scanned=2)


@pytest.mark.parametrize("kind", ["text", "lines", "jsonl"])
def test_input_without_an_end_is_refused_in_little_memory_and_the_others_are_scanned(run, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(bounded, "MAX_SKIPPED", 2)
    good = tmp_path / "good"
    good.write_bytes(GOOD)
    answer = run("scan", "--input", kind, "/dev/zero", good, *FLAG_NONE)
    assert answer.code == 1
    assert [row["source"] for row in answer.rows if "flagged" in row] == [str(good)]
    complaints = answer.stderr.splitlines()
    assert "more bytes than in any text within the limit" in complaints[0]
    assert [complaint.split(". ")[0] for complaint in complaints[1:]] == (
        [] if kind == "text" else ["Error: /dev/zero: A line seems to have no end"]
    )


@pytest.mark.parametrize("kind", ["lines", "jsonl"])
def test_line_that_can_be_no_text_is_passed_over_and_those_after_it_are_scanned(run, monkeypatch, kind):
    monkeypatch.setattr(inputs, "MAX_BYTES", 100)
    monkeypatch.setattr(inputs, "MAX_OBJECT_BYTES", 100)
    for length, is_scanned in ((100, True), (106, False), (205, False), (1000, False)):
        line = b"a" * length if kind == "lines" else b'{"text": "%s"}' % (b"a" * (length - 12))
        answer = run("scan", "--input", kind, "-", *FLAG_NONE, stdin=b"\n".join([GOOD, line, GOOD]))
        assert [("flagged" if is_scanned or row["line"] != 2 else "error") in row for row in answer.rows] == [True, True, True]
        assert answer.stderr.startswith("" if is_scanned else "Error: -:2: There are more bytes")


def test_empty_path_is_named(run):
    check_failure(run("scan", "", "-t", "Good.", *FLAG_NONE), "''", "The path is empty", n_scanned=1)


def test_closed_stdin_is_a_failure_like_any_other():
    command = ["sh", "-c", 'exec "$0" -m alknet_firewall scan - -t Good. --threshold 1 <&-', sys.executable]
    answer = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 1
    assert "Error: -: Standard input is closed." in answer.stderr
    assert answer.stdout.startswith("ok ")


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_reader_that_goes_away_gives_no_traceback(tmp_path, output):
    path = tmp_path / "many.txt"
    path.write_text("Go.\n" * 400)
    pipe = subprocess.PIPE
    options = ("--input", "lines", "--format", output, "--batch-size", "1", "--threshold", "1")
    with start("scan", path, *options, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("arguments", [("scan", "-t", "Good.", "--format", "json"), ("scan", "-t", "Good."), ("info",), ("--help",)])
def test_full_disk_is_one_line_and_exit_1(arguments):
    with Path("/dev/full").open("wb") as full, start(*arguments, stdout=full, stderr=subprocess.PIPE) as process:
        complaint = process.stderr.read().decode()
    assert process.returncode == 1
    assert complaint == "Error: The output cannot be written: No space left on device. Make room, or write it elsewhere.\n"


@pytest.mark.parametrize("value", ["0", "-2", "many", "1.5"])
def test_wrong_number_of_threads_in_the_environment_is_named(program, value):
    answer = program("scan", "-t", "Good.", ALKNET_FIREWALL_THREADS=value)
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr.splitlines()[-1].startswith("Error: ALKNET_FIREWALL_THREADS must be a whole number")
