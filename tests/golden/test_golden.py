"""Known texts keep their scores. A change on purpose goes through regenerate.py, and into CHANGELOG.md."""

import json

import pytest
from click.testing import CliRunner
from regenerate import GOLDEN, TOLERANCE, main

FILE = json.loads(GOLDEN.read_text(encoding="utf-8"))
CASES = FILE["cases"]


@pytest.fixture
def copy(tmp_path):
    """A copy of the file, to change."""
    path = tmp_path / "golden.json"
    path.write_bytes(GOLDEN.read_bytes())
    return path


def regenerate(path, *options):
    result = CliRunner().invoke(main, [*options, "--file", str(path)], catch_exceptions=False)
    return result.exit_code, result.stdout


def change(path, number, **values):
    document = json.loads(path.read_text(encoding="utf-8"))
    document["cases"][number].update(values)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_the_file_is_of_the_embedded_artifact(embedded):
    assert FILE["artifact"] == embedded.artifact.id


def test_the_texts_are_many_different_and_of_both_origins():
    assert len({case["text"] for case in CASES}) == len(CASES) >= 40
    assert {case["origin"] for case in CASES} == {"prompt", "content"}


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_text_alone_has_its_known_score_and_verdict(case, embedded):
    verdict = embedded.scan(case["text"], case["origin"])
    assert verdict.score == pytest.approx(case["score"], abs=TOLERANCE)
    assert verdict.flagged is case["flagged"]


def test_all_texts_together_have_their_known_scores_and_verdicts(embedded):
    verdicts = embedded.scan_batch([case["text"] for case in CASES], [case["origin"] for case in CASES])
    for case, verdict in zip(CASES, verdicts, strict=True):
        assert verdict.score == pytest.approx(case["score"], abs=TOLERANCE)
        if abs(verdict.score - verdict.threshold) > TOLERANCE:
            assert verdict.flagged is case["flagged"]


def test_the_check_passes_on_the_file_and_writes_nothing(copy):
    assert regenerate(copy, "--check") == (0, "")
    assert copy.read_bytes() == GOLDEN.read_bytes()


CHANGES = {
    "score": {"score": CASES[3]["score"] + 3 * TOLERANCE},
    "score, downwards": {"score": CASES[3]["score"] - 3 * TOLERANCE},
    "no number": {"score": float("nan")},
    "flagged": {"flagged": not CASES[3]["flagged"]},
    "text": {"text": CASES[-1]["text"], "origin": CASES[-1]["origin"]},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_check_fails_on_another_score_or_verdict_and_names_the_case(changes, copy):
    change(copy, 3, **changes)
    before = copy.read_bytes()
    code, output = regenerate(copy, "--check")
    assert code == 1
    assert output.startswith("case 3: ")
    assert copy.read_bytes() == before


def test_the_check_lets_a_rounding_difference_pass(copy):
    change(copy, 3, score=CASES[3]["score"] + TOLERANCE / 5)
    assert regenerate(copy, "--check") == (0, "")


def test_the_check_fails_on_a_file_of_another_artifact(copy):
    copy.write_text(json.dumps({**FILE, "artifact": "small@000000000000"}), encoding="utf-8")
    code, output = regenerate(copy, "--check")
    assert code == 1
    assert "small@000000000000" in output


def test_the_program_writes_the_file_that_is_here(copy):
    stale = [{**case, "score": 0.5, "flagged": False} for case in CASES]
    copy.write_text(json.dumps({"artifact": "none", "cases": stale}), encoding="utf-8")
    code, _ = regenerate(copy)
    written = json.loads(copy.read_text(encoding="utf-8"))
    assert code == 0
    assert written["artifact"] == FILE["artifact"]
    for new, old in zip(written["cases"], CASES, strict=True):
        assert new == {**old, "score": pytest.approx(old["score"], abs=TOLERANCE)}
        assert new["score"] == round(new["score"], 6)
    assert regenerate(copy, "--check") == (0, "")
    assert regenerate(GOLDEN, "--check") == (0, "")
