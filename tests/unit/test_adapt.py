"""Adapting the head to labelled texts: when it is done, what it is measured on, and the artifact that comes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alknet_firewall import Firewall, InvalidInputError
from alknet_firewall.adapt import FOLDS, adapt, check_enough, choose_penalty, folds, read_bags
from alknet_firewall.adapted import check_out, n_verdicts_changed, operating_points, write_adapted
from alknet_firewall.artifact import ARTIFACT_FILES, MANIFEST_FILE, load_artifact
from alknet_firewall.config import Adapted
from alknet_firewall.labelled import LabelledText
from alknet_firewall.leftout import Comparison, Figures, objections
from alknet_firewall.selftest import load_selftest, run_selftest
from alknet_firewall.tensors import load_tensors
from tests.unit.made_up import SUBTLE, rows

ROWS = rows(SUBTLE)


@pytest.fixture(scope="module")
def bags(embedded):
    return read_bags(embedded, ROWS)


@pytest.fixture(scope="module")
def adaptation(embedded, bags):
    return adapt(embedded, ROWS, bags)


@pytest.fixture(scope="module")
def written(embedded, adaptation, tmp_path_factory):
    return write_adapted(embedded, adaptation, ROWS, tmp_path_factory.mktemp("adapted") / "out")


# How texts are read


def test_bags_give_the_scores_of_a_scan(embedded, bags):
    worst = np.full(len(ROWS), -np.inf)
    np.maximum.at(worst, bags.texts, bags.logits)
    slope = embedded.artifact.config.calibration["content"].slope
    scores = [verdict.score for verdict in embedded.scan_batch([row.text for row in ROWS], "content")]
    np.testing.assert_allclose(1 / (1 + np.exp(-slope * worst)), scores, atol=1e-4)
    assert bags.labels.tolist() == [row.label for row in ROWS]


# What is left out together


def test_whole_sources_are_left_out_where_there_are_enough():
    own = rows(SUBTLE, source=lambda number: f"team {number % 7}")
    fold, by = folds(own)
    assert by == "source"
    assert set(fold.tolist()) == set(range(FOLDS))
    for source in {row.source for row in own}:
        assert len({f for f, row in zip(fold.tolist(), own, strict=True) if row.source == source}) == 1


@pytest.mark.parametrize("n_sources", [1, 2, 4])
def test_with_few_sources_texts_are_left_out_one_by_one_but_never_without_their_copies(n_sources):
    own = rows(SUBTLE, source=lambda number: f"team {number % n_sources}")
    own += [replace(own[0], text=own[0].text.upper().replace(" ", "\n"))] * 3
    fold, by = folds(own)
    assert by == "text"
    assert set(fold[-3:].tolist()) == {fold[0]}


def test_a_source_may_have_any_name():
    """JSON can spell half a surrogate pair, which has no UTF-8."""
    fold, grouped_by = folds(rows(SUBTLE, source=lambda number: f"\ud800{number % 10}"))
    assert grouped_by == "source"
    assert set(fold.tolist()) == set(range(FOLDS))


def test_sources_of_one_label_each_are_no_reason_to_leave_a_label_out():
    own = [replace(row, source=f"{row.label}{'' if row.label else number % 9}") for number, row in enumerate(ROWS)]
    assert folds(own)[1] == "text"


def test_every_fold_gets_its_share_of_both_labels():
    fold, _ = folds(ROWS)
    for number in range(FOLDS):
        for label in (0, 1):
            assert sum(f == number and row.label == label for f, row in zip(fold, ROWS, strict=True)) == 6


# Whether it is done


@pytest.mark.parametrize(
    "own", [ROWS[:18], [row for row in ROWS if not row.label], [*ROWS[::2], *ROWS[1:9:2]], [*ROWS[:8], *[ROWS[0]] * 30]]
)
def test_too_few_different_texts_are_an_error_that_says_what_is_needed(own):
    with pytest.raises(InvalidInputError, match="at least 20 are needed, and 5 of each label"):
        check_enough(own)


def test_a_head_that_misses_the_attacks_is_moved_and_finds_them(adaptation, embedded):
    assert adaptation.report.objections == ()
    (whole,) = [c for c in adaptation.report.comparisons if c.fold is None]
    assert (whole.origin, whole.n_benign, whole.n_attack) == ("content", 30, 30)
    assert whole.after.recall > whole.before.recall
    assert adaptation.report.penalty is not None
    ours, shipped = adaptation.detectors["content"], embedded.detectors["content"]
    assert not np.array_equal(ours.weights, shipped.weights)
    np.testing.assert_array_equal(ours.components, shipped.components)
    assert ours.perceptron is shipped.perceptron


def test_an_origin_without_texts_keeps_its_head(adaptation, embedded):
    assert adaptation.detectors["prompt"] is embedded.detectors["prompt"]


def test_figures_are_given_for_all_folds_together_and_for_each(adaptation):
    assert [c.fold for c in adaptation.report.comparisons] == [None, *range(FOLDS)]
    assert sum(c.n_attack for c in adaptation.report.comparisons if c.fold is not None) == 30
    assert all(c.after.tpr_at_1 is None for c in adaptation.report.comparisons)  # 30 harmless texts say nothing about 1 %


def test_the_figures_before_are_the_shipped_heads_own(adaptation, embedded):
    threshold = embedded.threshold("content")
    scores = np.array([verdict.score for verdict in embedded.scan_batch([row.text for row in ROWS], "content")])
    labels = np.array([row.label for row in ROWS])
    (whole,) = [c for c in adaptation.report.comparisons if c.fold is None]
    assert whole.before.recall == pytest.approx((scores[labels == 1] >= threshold).mean())
    assert whole.before.fpr == pytest.approx((scores[labels == 0] >= threshold).mean())


def test_left_out_scores_come_from_heads_that_did_not_see_the_text(adaptation, embedded, bags):
    seen = write_free_scores(embedded, adaptation.detectors, ROWS)
    assert np.abs(seen - adaptation.scores).max() > 1e-3


def write_free_scores(firewall, detectors, own):
    """Scores by other heads of the same firewall."""
    from copy import copy

    other = copy(firewall)
    other.detectors = detectors
    return np.array([verdict.score for verdict in other.scan_batch([row.text for row in own], [row.origin for row in own])])


def test_labels_that_mean_nothing_leave_the_head_as_it_is(embedded, bags):
    shuffled = np.random.default_rng(0).permutation(bags.labels)
    own = [replace(row, label=int(label)) for row, label in zip(ROWS, shuffled, strict=True)]
    noise = adapt(embedded, own, replace(bags, labels=shuffled))
    assert noise.report.objections


def test_the_same_texts_give_the_same_head(embedded, bags, adaptation):
    again = adapt(embedded, ROWS, bags)
    np.testing.assert_array_equal(again.detectors["content"].weights, adaptation.detectors["content"].weights)
    assert again.report == adaptation.report


def test_where_the_shipped_head_is_right_no_penalty_is_chosen(bags):
    right = replace(bags, logits=np.where(bags.labels[bags.texts] == 1, 8.0, -8.0))
    assert choose_penalty(right, folds(ROWS)[0]) is None


GOOD = Figures(0.9, None, None, 0.1, 0.8)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (replace(GOOD, roc_auc=0.85, recall=0.9), "ROC AUC of left-out texts falls from 0.9000 to 0.8500"),
        (replace(GOOD, roc_auc=0.95, fpr=0.4), "recall less false-positive rate at the threshold of left-out texts falls"),
        (GOOD, "no figure of left-out texts improves"),
    ],
)
def test_what_gets_worse_or_no_better_is_an_objection(after, words):
    (objection,) = objections([Comparison("prompt", None, 50, 50, GOOD, after)], pays=True)
    assert words in objection


def test_what_gets_better_is_none_and_single_folds_do_not_decide():
    better, worse = replace(GOOD, roc_auc=0.95), replace(GOOD, roc_auc=0.1)
    found = [Comparison("prompt", None, 50, 50, GOOD, better), Comparison("prompt", 0, 10, 10, GOOD, worse)]
    assert list(objections(found, pays=True)) == []


def test_an_origin_without_attacks_is_judged_by_its_false_alarms():
    only_benign = Comparison("prompt", None, 50, 0, Figures(None, None, None, 0.1, None), Figures(None, None, None, 0.2, None))
    better = Comparison("content", None, 50, 50, GOOD, replace(GOOD, roc_auc=0.95))
    (objection,) = objections([only_benign, better], pays=True)
    assert objection.startswith("prompt: recall less")


# The artifact


def test_the_artifact_is_whole_and_answers_its_own_self_test(written):
    assert written.config.name == "small-adapted"
    assert {path.name for path in written.folder.iterdir()} == {*ARTIFACT_FILES, "manifest.json"}
    assert run_selftest(Firewall(written, threads=1), load_selftest(written.path("selftest.json"))).passed
    assert [path.name for path in written.folder.parent.iterdir()] == ["out"]


def test_the_artifact_has_the_adapted_head_and_all_else_as_it_was(written, embedded, adaptation):
    old, new = (load_tensors(artifact.path("detector.safetensors")) for artifact in (embedded.artifact, written))
    assert {name for name in old if not np.array_equal(old[name], new[name])} == {"detector.content.weights", "detector.content.bias"}
    np.testing.assert_array_equal(new["detector.content.weights"], adaptation.detectors["content"].weights)
    for name in ("model.onnx", "tokenizer.json", "LICENSE", "NOTICE"):
        assert written.path(name).read_bytes() == embedded.artifact.path(name).read_bytes()
    same = ("base_model", "encoder", "window", "prefixes", "calibration", "default_fpr")
    assert all(getattr(written.config, name) == getattr(embedded.artifact.config, name) for name in same)


def test_parity_claims_nothing_about_scores(written, embedded):
    old, new = (json.loads(artifact.path("parity.json").read_bytes()) for artifact in (embedded.artifact, written))
    assert new["hidden_worst_cosine"] == old["hidden_worst_cosine"]
    assert [new[name] for name in ("score_largest_difference", "flips", "near_flips", "passed")] == [None] * 4
    assert embedded.artifact.id in new["note"]


def test_kept_thresholds_say_that_they_were_not_measured_on_this_head(written, embedded):
    for old, new in zip(embedded.artifact.config.operating_points, written.config.operating_points, strict=True):
        assert new.threshold == old.threshold
        assert new.data == f"{old.data}; kept from {embedded.artifact.id}, measured before the head was adapted"


def test_the_config_says_whose_head_was_moved_and_on_what(written, embedded, adaptation):
    assert written.config.adapted == Adapted(embedded.artifact.id, 60, 30, adaptation.report.penalty)
    assert written.config.fitted_on == embedded.artifact.config.fitted_on
    assert embedded.artifact.config.adapted is None


def test_the_card_says_what_it_is_and_keeps_the_hubs_metadata(written, embedded):
    card = written.path("README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "# alknet-firewall artifact `small-adapted`" in card
    assert f"`{embedded.artifact.id}` with its head adapted to 60 labelled texts" in card
    assert not any(row.text in card for row in ROWS)


def test_with_enough_harmless_texts_thresholds_are_set_on_those_left_out(embedded, adaptation):
    many = [LabelledText("x", int(number >= 1000), "prompt", "one") for number in range(1100)]
    scores = np.concatenate([np.arange(1000) / 1000, np.full(100, 0.9995)])
    points = operating_points(embedded.artifact.config, "small@x", replace(adaptation, scores=scores), many)
    set_anew = {p.fpr: p for p in points if p.origin == "prompt"}
    assert set_anew[0.01].threshold == pytest.approx(0.99, abs=0.0011)
    assert (set_anew[0.001].n_benign, set_anew[0.001].n_attack, set_anew[0.001].tpr) == (1000, 100, 1.0)
    assert set_anew[0.01].data.startswith("1100 texts of the user's, each scored by a head that did not see")
    assert all("kept from small@x" in p.data for p in points if p.origin == "content")


def test_an_adapted_artifact_can_be_adapted_again_under_the_same_name(written, bags, tmp_path):
    firewall = Firewall(written, threads=1)
    second = write_adapted(firewall, adapt(firewall, ROWS, read_bags(firewall, ROWS)), ROWS, tmp_path / "second")
    assert second.config.name == "small-adapted"


def test_verdicts_of_the_shipped_self_test_are_counted(written, embedded):
    n_changed, n_cases = n_verdicts_changed(embedded.artifact, written)
    assert 0 <= n_changed < n_cases <= len(load_selftest(embedded.artifact.path("selftest.json")).cases)


def test_nothing_is_written_over(embedded, adaptation, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="nothing is overwritten"):
        write_adapted(embedded, adaptation, ROWS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_written_to(embedded, adaptation, tmp_path):
    (tmp_path / "out").mkdir()
    assert load_artifact(write_adapted(embedded, adaptation, ROWS, tmp_path / "out").folder)


@pytest.mark.parametrize("way", [".", "link"])
def test_an_empty_folder_may_be_the_one_that_one_is_in_or_behind_a_link(way, embedded, adaptation, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    try:
        (tmp_path / "link").symlink_to("out", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    monkeypatch.chdir(tmp_path / "out" if way == "." else tmp_path)
    write_adapted(embedded, adaptation, ROWS, Path(way))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MANIFEST_FILE, *ARTIFACT_FILES}
    assert (tmp_path / "link").is_symlink()


def test_a_folder_beside_the_new_one_is_left_alone(embedded, adaptation, tmp_path):
    (tmp_path / ".out.draft").mkdir()
    (tmp_path / ".out.draft" / "notes.txt").write_text("mine")
    write_adapted(embedded, adaptation, ROWS, tmp_path / "out")
    assert (tmp_path / ".out.draft" / "notes.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {".out.draft", "out"}


def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="nothing can be written in"):
        check_out(tmp_path / "notes.txt" / "out")


def test_a_failure_while_files_are_moved_leaves_the_empty_folder(embedded, adaptation, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    rename = Path.rename

    def fail(path, target):
        if path.name == MANIFEST_FILE:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(InvalidInputError, match="cannot be written: No space left"):
        write_adapted(embedded, adaptation, ROWS, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failure_on_the_way_leaves_nothing_behind(embedded, adaptation, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("alknet_firewall.adapted.save_tensors", fail)
    with pytest.raises(InvalidInputError, match="cannot be written: No space left"):
        write_adapted(embedded, adaptation, ROWS, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
