"""Thresholds of the user's own: what a number of harmless texts allows to promise, and the file that keeps it."""

import json
import math
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from alknet_firewall import Firewall, InvalidInputError
from alknet_firewall.choosing import choose_threshold, fpr_upper_bound, n_needed
from alknet_firewall.selftest import load_selftest, run_selftest
from alknet_firewall.thresholds import (
    VARIABLE,
    OwnThreshold,
    load_thresholds,
    resolve_thresholds,
    save_thresholds,
)

ARTIFACT = "small@0123456789ab"
OWN = OwnThreshold(0.25, 0.01, 500, 4, 0.018)


def ranks(n):
    """Scores 1/(n+1), 2/(n+1), ..."""
    return [(i + 1) / (n + 1) for i in range(n)]


# Choosing


@pytest.mark.parametrize(
    ("n", "fpr", "flagged"), [(99, 0.01, 0), (198, 0.01, 0), (199, 0.01, 1), (1999, 0.001, 1), (19, 0.05, 0), (9, 0.5, 4)]
)
def test_the_threshold_keeps_a_further_text_at_or_below_the_rate(n, fpr, flagged):
    scores = ranks(n)
    own = choose_threshold(random.Random(0).sample(scores, n), fpr)
    assert own.n_flagged == flagged == sum(score >= own.threshold for score in scores)
    assert own.threshold == math.nextafter(scores[n - 1 - flagged], 2.0)
    assert (flagged + 1) / (n + 1) <= fpr < (flagged + 2) / (n + 1)
    assert (own.n_texts, own.fpr) == (n, fpr)


def test_equal_scores_never_push_the_rate_above_what_was_wanted():
    own = choose_threshold([0.3] * 150 + [0.7] * 50, 0.1)
    assert (own.threshold, own.n_flagged) == (math.nextafter(0.7, 1.0), 0)


@pytest.mark.parametrize(("fpr", "needed"), [(0.001, 999), (0.01, 99), (0.05, 19), (0.5, 1), (0.3, 3)])
def test_too_few_texts_are_an_error_that_says_how_many_are_needed(fpr, needed):
    assert n_needed(fpr) == needed
    assert choose_threshold(ranks(needed), fpr).n_flagged == 0
    with pytest.raises(InvalidInputError, match=f"at least {needed} are needed") as caught:
        choose_threshold(ranks(needed - 1), fpr)
    if needed > 1:
        assert f"the lowest rate for {needed - 1} is {1 / needed:.2g}" in str(caught.value)


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan"), 1e-310, 1e-10])
def test_a_rate_out_of_range_is_an_error(fpr):
    with pytest.raises(InvalidInputError, match="between 1e-09 and 1"):
        choose_threshold(ranks(100), fpr)


def test_a_rate_next_to_1_lets_all_but_the_lowest_score_be_flagged():
    assert choose_threshold(ranks(10), 1 - 1e-11).n_flagged == 9


def test_a_rate_of_0_needs_more_texts_than_anyone_has():
    assert n_needed(0.0) >= 999_999_999


def test_harmless_texts_with_the_highest_score_there_is_are_an_error():
    with pytest.raises(InvalidInputError, match="2 of 200 harmless texts have the highest score"):
        choose_threshold([1.0] * 2 + [0.1] * 198, 0.01)


# The upper bound


@pytest.mark.parametrize("n", [1, 5, 59, 1000, 100_000])
def test_with_none_flagged_the_bound_is_the_rule_of_three(n):
    assert fpr_upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 20), (3, 50), (10, 1000), (99, 100), (50, 100), (700, 1_000_000)])
def test_the_bound_is_the_quantile_of_the_beta_distribution(k, n):
    stats = pytest.importorskip("scipy.stats")
    assert fpr_upper_bound(k, n) == pytest.approx(stats.beta.ppf(0.95, k + 1, n - k), rel=1e-6)


def test_all_flagged_bounds_nothing():
    assert fpr_upper_bound(7, 7) == 1.0


# The file


def test_what_is_saved_is_what_is_loaded(tmp_path):
    save_thresholds(tmp_path / "t.json", ARTIFACT, {"prompt": OWN})
    assert load_thresholds(tmp_path / "t.json", ARTIFACT) == {"prompt": OWN}
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_another_origin_is_put_into_the_same_file_and_the_same_one_replaced(tmp_path):
    path, other = tmp_path / "t.json", OwnThreshold(0.5, 0.05, 30, 0, 0.1)
    for thresholds in ({"prompt": OWN}, {"content": OWN}, {"prompt": other}):
        save_thresholds(path, ARTIFACT, thresholds)
    assert load_thresholds(path, ARTIFACT) == {"prompt": other, "content": OWN}
    assert json.loads(path.read_text())["artifact"] == ARTIFACT


def test_thresholds_of_another_artifact_are_refused_and_not_written_over(tmp_path):
    path = tmp_path / "t.json"
    save_thresholds(path, ARTIFACT, {"prompt": OWN})
    before = path.read_bytes()
    for act in (lambda: load_thresholds(path, "small@ffffffffffff"), lambda: save_thresholds(path, "small@ffffffffffff", {"content": OWN})):
        with pytest.raises(InvalidInputError, match=r"scores of small@0123456789ab.*those of small@ffffffffffff"):
            act()
    assert path.read_bytes() == before


GOOD = {"threshold": 0.5, "fpr": 0.01, "n_texts": 100, "n_flagged": 0, "fpr_upper": 0.03}


def document(**changes):
    return {"schema_version": 1, "artifact": ARTIFACT, "thresholds": {"prompt": GOOD}, **changes}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        ([], "must be an object"),
        (document(extra=1), "unknown key 'extra'"),
        (document(thresholds={"prompt": {**GOOD, "fpr": "low"}}), "fpr must be float"),
        (document(thresholds={"prompt": {"threshold": 0.5}}), "misses"),
        (document(thresholds={"system": GOOD}), "origin must be one of"),
        (document(thresholds={"prompt": {**GOOD, "threshold": 1.5}}), "from 0 to 1"),
        (document(thresholds={"prompt": {**GOOD, "threshold": math.nan}}), "threshold must be a finite number"),
        (document(thresholds={}), "at least one"),
        (document(schema_version=2), "schema_version 2"),
    ],
)
def test_what_is_no_file_of_thresholds_is_an_error_that_names_it(tmp_path, content, words):
    path = tmp_path / "t.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(InvalidInputError, match=words) as caught:
        load_thresholds(path, ARTIFACT)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_thresholds(tmp_path / "absent.json", ARTIFACT)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        save_thresholds(tmp_path / "absent" / "t.json", ARTIFACT, {"prompt": OWN})


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "t.json"
    save_thresholds(path, ARTIFACT, {"prompt": OWN})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(InvalidInputError, match="cannot be written: No space left"):
        save_thresholds(path, ARTIFACT, {"content": OWN})
    assert load_thresholds(path, ARTIFACT) == {"prompt": OWN}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay_what_they_were(tmp_path):
    path, link = tmp_path / "t.json", tmp_path / "link.json"
    save_thresholds(path, ARTIFACT, {"prompt": OWN})
    path.chmod(0o600)
    link.symlink_to(path)
    save_thresholds(link, ARTIFACT, {"content": OWN})
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()
    assert set(load_thresholds(path, ARTIFACT)) == {"prompt", "content"}


@pytest.mark.skipif(os.name != "posix", reason="a folder can be held on POSIX only")
def test_of_two_calibrations_at_once_neither_loses_what_the_other_wrote(tmp_path, monkeypatch):
    path = tmp_path / "t.json"
    save_thresholds(path, ARTIFACT, {"prompt": replace(OWN, threshold=0.9)})

    def slow(*arguments):
        kept = load_thresholds(*arguments)
        time.sleep(0.2)
        return kept

    monkeypatch.setattr("alknet_firewall.thresholds.load_thresholds", slow)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda origin: save_thresholds(path, ARTIFACT, {origin: OWN}), ("prompt", "content")))
    assert load_thresholds(path, ARTIFACT) == {"prompt": OWN, "content": OWN}


def test_what_is_no_path_is_an_error():
    with pytest.raises(InvalidInputError, match="not by int"):
        Firewall.from_pretrained(thresholds=5)


def test_the_argument_goes_before_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert resolve_thresholds(None) is None
    monkeypatch.setenv(VARIABLE, "theirs.json")
    assert resolve_thresholds(None) == "theirs.json"
    assert resolve_thresholds("ours.json") == "ours.json"


# In use


@pytest.fixture
def own_firewall(embedded, tmp_path):
    save_thresholds(tmp_path / "t.json", embedded.artifact.id, {"prompt": OWN})
    return Firewall.from_pretrained(thresholds=tmp_path / "t.json", threads=1)


def test_the_users_threshold_is_the_default_and_only_for_its_origin(own_firewall, embedded):
    assert own_firewall.threshold("prompt") == 0.25
    assert own_firewall.threshold("content") == embedded.threshold("content")
    assert own_firewall.scan("Does the tram stop here?").threshold == 0.25
    assert own_firewall.scan("Does the tram stop here?", threshold=0.5).threshold == 0.5


def test_an_asked_rate_is_the_artifacts(own_firewall, embedded):
    for point in embedded.artifact.config.operating_points:
        assert own_firewall.threshold(point.origin, point.fpr) == point.threshold


def test_the_self_test_is_about_the_artifact_whatever_the_users_thresholds_are(embedded, own_firewall):
    selftest = load_selftest(embedded.artifact.path("selftest.json"))
    assert run_selftest(own_firewall, selftest) == run_selftest(embedded, selftest)


def test_thresholds_of_another_artifact_stop_the_firewall_from_loading(tmp_path):
    save_thresholds(tmp_path / "t.json", ARTIFACT, {"prompt": OWN})
    with pytest.raises(InvalidInputError, match="say nothing about those of"):
        Firewall.from_pretrained(thresholds=tmp_path / "t.json")
