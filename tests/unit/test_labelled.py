"""Labelled JSON lines: what a row may be, and what is said of one that may not."""

import gzip
import io
import json

import pytest

from alknet_firewall import InvalidInputError
from alknet_firewall.labelled import SHOWN_PROBLEMS, LabelledText, load_labelled, parse_labelled

SECRET = "marmalade sandwich under the blue hat"


def lines(*rows):
    return io.BytesIO(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))


def row(**changes):
    return {"text": SECRET, "label": 1, "origin": "content", **changes}


def test_a_row_says_what_it_is():
    (found,) = parse_labelled(lines(row(source="mail", lang="en")), "rows.jsonl")
    assert found == LabelledText(SECRET, 1, "content", "mail", "rows.jsonl:1")


@pytest.mark.parametrize(
    ("label", "expected"), [(0, 0), (1, 1), (0.0, 0), (1.0, 1), (False, 0), (True, 1), ("benign", 0), ("attack", 1)], ids=repr
)
def test_a_label_may_be_written_in_these_ways(label, expected):
    (found,) = parse_labelled(lines(row(label=label)), "rows")
    assert type(found.label) is int
    assert found.label == expected


def test_a_row_without_origin_or_source_takes_the_callers():
    given = lines(row(), {"text": "a", "label": 0}, {"text": "b", "label": 0, "origin": None, "source": None})
    found = parse_labelled(given, "rows", "prompt", source="mine")
    assert [(t.origin, t.source) for t in found] == [("content", "mine"), ("prompt", "mine"), ("prompt", "mine")]
    assert parse_labelled(lines(row()), "rows")[0].source == "rows"


def test_empty_lines_a_byte_order_mark_and_carriage_returns_do_no_harm():
    found = parse_labelled(io.BytesIO(b"\xef\xbb\xbf" + json.dumps(row()).encode() + b"\r\n\r\n  \n" + json.dumps(row()).encode()), "rows")
    assert [t.place for t in found] == ["rows:1", "rows:4"]


BAD = {
    "broken": (b'{"text": "%s"' % SECRET.encode(), "Not valid JSON at column"),
    "deep": (b'{"text": "%s", "id": %s' % (SECRET.encode(), b"[" * 100_000), "Not valid JSON"),
    "bytes": (b'{"text": "%s \xff"}' % SECRET.encode(), "Not UTF-8 at byte 48"),
    "list": ([SECRET], "A JSON list, not an object"),
    "no-text": ({"body": SECRET, "label": 1}, "no field 'text'"),
    "number": (row(text=7), "must be str, not int"),
    "empty": (row(text=""), "The text is empty"),
    "nul": (row(text=SECRET + "\0"), "NUL at character 37"),
    "surrogate": (row(text=SECRET + "\ud800"), "lone surrogate at character 37"),
    "no-label": ({"text": SECRET, "origin": "prompt"}, "The object has no field 'label'"),
    "label-null": (row(label=None), "The label must be 0 or 1"),
    "label-2": (row(label=2), "The label must be 0 or 1"),
    "label-word": (row(label=SECRET), "The label must be 0 or 1"),
    "label-digit": (row(label="1"), "The label must be 0 or 1"),
    "label-list": (row(label=[1]), "The label must be 0 or 1"),
    "no-origin": ({"text": SECRET, "label": 1}, "no field 'origin'"),
    "origin": (row(origin=SECRET), "'prompt', 'content'"),
    "source-number": (row(source=7), "The source must be a string"),
    "source-empty": (row(source=""), "The source must be a string"),
}


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD)
def test_a_bad_row_is_named_without_its_text(bad, words):
    with pytest.raises(InvalidInputError) as caught:
        parse_labelled(lines(row(), b"", bad, row()), "rows.jsonl")
    message = str(caught.value)
    assert message.startswith("rows.jsonl:3: ")
    assert words in message
    assert "marmalade" not in message


def test_several_bad_rows_are_listed_and_the_rest_counted():
    with pytest.raises(InvalidInputError) as caught:
        parse_labelled(lines(row(), *[row(label=7)] * (SHOWN_PROBLEMS + 3)), "rows")
    listed = str(caught.value).splitlines()
    assert listed[0].startswith(f"{SHOWN_PROBLEMS + 3} of {SHOWN_PROBLEMS + 4} rows cannot be used.")
    assert [line.split(": ")[0].strip() for line in listed[1:-1]] == [f"rows:{number}" for number in range(2, SHOWN_PROBLEMS + 2)]
    assert listed[-1].strip() == "and 3 more"


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"], ids=repr)
def test_no_row_is_an_error(content):
    with pytest.raises(InvalidInputError, match=r"rows: holds no row"):
        parse_labelled(io.BytesIO(content), "rows")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_file_is_read_packed_or_not(tmp_path, name):
    path = tmp_path / name
    content = json.dumps(row()).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    assert load_labelled(path) == [LabelledText(SECRET, 1, "content", name, f"{path}:1")]


@pytest.mark.parametrize("damage", [lambda packed: packed[:-12], lambda packed: SECRET.encode(), lambda packed: packed[:15] + b"\xff" * 20])
def test_a_damaged_gzip_file_is_an_error_that_says_so(tmp_path, damage):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(damage(gzip.compress(json.dumps(row()).encode())))
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl\.gz: not a whole gzip file"):
        load_labelled(path)


def test_a_file_that_cannot_be_read_is_an_error_that_says_why(tmp_path):
    with pytest.raises(InvalidInputError, match=r"absent\.jsonl: cannot be read: No such file"):
        load_labelled(tmp_path / "absent.jsonl")
    with pytest.raises(InvalidInputError, match="cannot be read: "):
        load_labelled(tmp_path)
