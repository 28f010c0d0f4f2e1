"""``fit``: what it prints, what it writes, and when it writes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from tests.unit.made_up import SUBTLE, rows


def save(path, labelled):
    kept = ("text", "label", "origin", "source")
    path.write_text("".join(json.dumps({k: v for k, v in asdict(row).items() if k in kept}) + "\n" for row in labelled), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def subtle(tmp_path_factory):
    """A file of texts that the shipped head does not tell apart."""
    return save(tmp_path_factory.mktemp("data") / "subtle.jsonl", rows(SUBTLE, source=lambda number: f"team {number % 6}"))


def test_texts_that_are_missed_give_an_artifact_that_finds_them(run, subtle, tmp_path):
    out = tmp_path / "adapted"
    answer = run("fit", subtle, "--out", out)
    assert answer.code == 0, answer.stderr
    assert "60 texts, whole sources left out in 5 folds" in answer.stdout
    assert "content\n  left out  benign  attacks  ROC AUC" in answer.stdout
    assert [line.split()[0] for line in answer.stdout.splitlines() if line.startswith("  ")] == ["left", "all", *["fold"] * 5]
    assert "No text is of origin prompt" in answer.stdout
    assert "verdicts on the shipped self-test changed" in answer.stdout
    assert "small-adapted@" in answer.stderr
    assert run("verify", "--artifact", out).code == 0
    assert "adapted                artifact small@" in run("info", "--artifact", out).stdout
    attack = SUBTLE[1].format(person="Greta", thing="the seating plan")
    shipped, adapted = (
        run("scan", "-t", attack, "--origin", "content", "--format", "jsonl", *options).rows[0]["score"]
        for options in ([], ["--artifact", out])
    )
    assert adapted > shipped
    again = run("fit", subtle, "--out", out)
    assert (again.code, again.stdout) == (1, "")
    assert "is there already" in again.stderr


def test_json_has_the_figures_and_the_artifact(run, subtle, tmp_path):
    answer = run("fit", subtle, "--out", tmp_path / "adapted", "--format", "json")
    facts = json.loads(answer.stdout)
    assert (answer.code, facts["objections"], facts["grouped_by"]) == (0, [], "source")
    assert facts["written"] == str(tmp_path / "adapted")
    assert facts["artifact"].startswith("small-adapted@")
    (whole,) = [c for c in facts["comparisons"] if c["fold"] is None]
    assert whole["after"]["recall"] > whole["before"]["recall"]


@pytest.mark.parametrize("output", ["text", "json"])
def test_where_nothing_is_gained_nothing_is_written_unless_forced(run, tmp_path, output):
    noise = [replace(row, label=number // 2 % 2) for number, row in enumerate(rows(SUBTLE))]
    data, out = save(tmp_path / "noise.jsonl", noise), tmp_path / "adapted"
    answer = run("fit", data, "--out", out, "--format", output)
    assert answer.code == 1
    assert "The adapted head is not better" in answer.stderr
    assert "--force" in answer.stderr
    assert not out.exists()
    if output == "json":
        assert json.loads(answer.stdout)["written"] is None
    assert run("fit", data, "--out", out, "--format", output, "--force").code == 0
    assert run("verify", "--artifact", out).code == 0


def test_too_few_texts_are_an_error_before_any_work(run, tmp_path):
    data = save(tmp_path / "few.jsonl", rows(SUBTLE)[:10])
    answer = run("fit", data, "--out", tmp_path / "adapted")
    assert (answer.code, answer.stdout) == (1, "")
    assert "at least 20 are needed" in answer.stderr


def test_a_row_without_origin_needs_one_from_the_option(run, tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows(SUBTLE)))
    answer = run("fit", data, "--out", tmp_path / "adapted")
    assert answer.code == 1
    assert "--origin" in answer.stderr
    assert run("fit", data, "--out", tmp_path / "adapted", "--origin", "content").code == 0


def test_unusable_rows_and_folders_in_use_are_errors_that_quote_no_text(run, tmp_path):
    labelled = rows(SUBTLE)
    data = save(tmp_path / "rows.jsonl", [*labelled, replace(labelled[0], text="heronsong\0")])
    answer = run("fit", data, "--out", tmp_path / "adapted")
    assert answer.code == 1
    assert f"{data}:61" in answer.stderr
    assert "heronsong" not in answer.stderr
    assert "is there already" in run("fit", data, "--out", tmp_path).stderr


def test_rows_come_from_stdin_as_well(run, tmp_path):
    lines = "".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows(SUBTLE)[:10])
    answer = run("fit", "-", "--origin", "content", "--out", tmp_path / "adapted", stdin=lines.encode())
    assert answer.code == 1
    assert "10 texts, " in answer.stderr


def test_data_and_folder_must_be_named(run, subtle, tmp_path):
    assert run("fit", "--out", tmp_path / "adapted").code == 2
    assert run("fit", subtle).code == 2
