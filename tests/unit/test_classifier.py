"""The firewall as a scikit-learn classifier."""

import inspect
import json
import os
import pickle
import warnings

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError, ArtifactNotFoundError, FirewallClassifier, InvalidInputError
from alknet_firewall.firewall import BATCH_TOLERANCE
from alknet_firewall.tensors import load_about, load_tensors, save_tensors

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402

from tests.unit.made_up import SUBTLE, rows  # noqa: E402

ROWS = rows(SUBTLE)
TEXTS = [row.text for row in ROWS]
LABELS = [row.label for row in ROWS]
FEW = slice(0, 16)
OPTIONS = {"origin": "content", "threads": 1}


@pytest.fixture(scope="module")
def fitted():
    return FirewallClassifier(penalty=1.0, **OPTIONS).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def shipped():
    return FirewallClassifier(penalty=None, **OPTIONS).fit(TEXTS[FEW], LABELS[FEW])


# Scores and classes


def test_without_a_change_the_probabilities_are_those_of_a_scan(shipped, embedded):
    expected = [verdict.probability for verdict in embedded.scan_batch(TEXTS[FEW], "content")]
    found = shipped.predict_proba(TEXTS[FEW])
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found.shape == (16, 2)


def test_the_class_is_decided_by_the_artifacts_threshold(shipped, embedded):
    limit = embedded.threshold("content")
    scores = np.array([verdict.score for verdict in embedded.scan_batch(TEXTS[FEW], "content")])
    np.testing.assert_array_equal(shipped.predict(TEXTS[FEW]), (scores >= limit).astype(int))
    np.testing.assert_allclose(shipped.decision_function(TEXTS[FEW]), scores - limit, atol=1e-4)


def test_a_threshold_of_the_users_own_goes_before_it(shipped):
    strict = pickle.loads(pickle.dumps(shipped)).set_params(threshold=0.0)
    assert strict.predict(TEXTS[:3]).tolist() == [1, 1, 1]


def test_fitting_moves_the_head_towards_the_texts(fitted, shipped):
    def gap(classifier):
        scores = classifier.predict_proba(TEXTS)[:, 1]
        return scores[np.array(LABELS) == 1].mean() - scores[np.array(LABELS) == 0].mean()

    assert gap(fitted) > gap(shipped)
    assert fitted.penalty_ == 1.0
    assert fitted.artifact_ == shipped.artifact_


def test_the_penalty_can_be_chosen_by_cross_validation():
    assert FirewallClassifier(**OPTIONS).fit(TEXTS, LABELS).penalty_ is not None


@pytest.mark.parametrize("names", [(0, 1), (False, True), (-1, 1), ("benign", "attack"), (0.0, 2.0)])
def test_classes_are_the_labels_given_and_the_attack_is_known_among_them(names, shipped):
    y = [names[label] for label in LABELS[FEW]]
    classifier = clone(shipped).fit(TEXTS[FEW], y)
    assert classifier.classes_.tolist() == sorted(names)
    assert classifier.attack_ == names[1]
    column = classifier.classes_.tolist().index(names[1])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS[FEW])[:, column], shipped.predict_proba(TEXTS[FEW])[:, 1], atol=1e-6)
    expected = [names[label] for label in shipped.predict(TEXTS[FEW])]
    assert classifier.predict(TEXTS[FEW]).tolist() == expected
    above = classifier.decision_function(TEXTS[FEW]) > 0
    assert [classifier.classes_[int(flag)] for flag in above] == expected


def test_a_text_of_no_weight_does_not_count():
    weights = np.ones(20)
    weights[:4] = 0.0
    flipped = [1 - label if number < 4 else label for number, label in enumerate(LABELS[:20])]
    one, other = (FirewallClassifier(penalty=1.0, **OPTIONS).fit(TEXTS[:20], y, weights) for y in (LABELS[:20], flipped))
    np.testing.assert_allclose(one.detector_.weights, other.detector_.weights, atol=1e-5)


@pytest.mark.parametrize(
    "kind", [tuple, np.array, lambda texts: np.array(texts, object), iter], ids=["tuple", "str array", "object array", "iterator"]
)
def test_texts_may_come_in_any_one_dimensional_shape(shipped, kind):
    np.testing.assert_array_equal(shipped.predict_proba(kind(TEXTS[:3])), shipped.predict_proba(TEXTS[:3]))


# What is refused


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("one text", "several texts"),
        (7, "several texts"),
        ({"heronsong": 1}, "several texts"),
        ([], "0 samples"),
        ([["a"], ["b"]], "Text 0 of 2: A text must be str"),
        (np.array([["a"], ["b"]]), "one dimension"),
        (["heronsong", 3.5], "Text 1 of 2: A text must be str, not float"),
        (["heronsong", ""], "Text 1 of 2: The text is empty"),
    ],
)
def test_what_is_no_list_of_texts_is_an_error_that_quotes_none(shipped, texts, words):
    for act in (lambda: clone(shipped).fit(texts, [0, 1]), lambda: shipped.predict(texts)):
        with pytest.raises(InvalidInputError, match=words) as caught:
            act()
        assert "heronsong" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0, 0], "y has 1 class"),
        ([0, 1, 2], "Only binary classification is supported"),
        ([0, 1, 1], "There are 2 texts but 3 labels"),
        ([0.5, 0.7], "continuous"),
        (None, "requires y to be passed"),
        (["safe", "injection"], "must be 'attack' and 'benign'"),
        ([[0], [1]], "should be a 1d array"),
    ],
)
def test_labels_that_do_not_say_which_is_the_attack_are_an_error(y, words):
    with pytest.raises(ValueError, match=words):
        FirewallClassifier(**OPTIONS).fit(TEXTS[:2], y)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan], [0.0, 1.0]])
def test_weights_that_cannot_be_used_are_an_error(weights):
    with pytest.raises(InvalidInputError, match="sample_weight"):
        FirewallClassifier(**OPTIONS).fit(TEXTS[:2], [0, 1], weights)


@pytest.mark.parametrize(
    "options",
    [{"penalty": 0.0}, {"penalty": -1}, {"penalty": "some"}, {"penalty": True}, {"origin": "system"}, {"threshold": 2.0}, {"threads": 0}],
)
def test_a_wrong_parameter_is_refused_when_it_is_fitted_and_not_before(options):
    classifier = FirewallClassifier(**{**OPTIONS, **options})
    with pytest.raises(InvalidInputError):
        classifier.fit(TEXTS[:2], [0, 1])


def test_too_few_texts_to_choose_a_penalty_are_an_error():
    with pytest.raises(InvalidInputError, match="too few texts to choose the penalty"):
        FirewallClassifier(**OPTIONS).fit(TEXTS[:2], [0, 1])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_nothing_is_judged_before_it_is_fitted(method):
    with pytest.raises(NotFittedError):
        getattr(FirewallClassifier(), method)(TEXTS[:1])


def test_a_fit_that_fails_leaves_what_was_fitted_before(shipped):
    classifier = pickle.loads(pickle.dumps(shipped)).set_params(penalty="auto")
    before = classifier.detector_
    with pytest.raises(InvalidInputError, match="too few texts to choose the penalty"):
        classifier.fit(TEXTS[:2], [0, 1])
    assert classifier.detector_ is before
    unfitted = FirewallClassifier(**OPTIONS)
    with pytest.raises(InvalidInputError, match="too few texts to choose the penalty"):
        unfitted.fit(TEXTS[:2], [0, 1])
    with pytest.raises(NotFittedError):
        unfitted.predict(TEXTS[:1])


def test_a_head_stays_with_the_origin_that_it_was_fitted_for(fitted):
    other = pickle.loads(pickle.dumps(fitted)).set_params(origin="prompt")
    np.testing.assert_array_equal(other.decision_function(TEXTS[:2]), fitted.decision_function(TEXTS[:2]))


def test_the_embedded_artifact_is_not_taken_for_one_that_is_called_none(shipped):
    loaded = pickle.loads(pickle.dumps(shipped))
    loaded.predict(TEXTS[:1])
    with pytest.raises(ArtifactNotFoundError):
        loaded.set_params(artifact="None").predict(TEXTS[:1])


# Among scikit-learn's tools


def test_parameters_are_stored_as_they_are_and_cloned():
    options = {"artifact": "folder", "origin": "content", "penalty": 3.0, "threshold": 0.5, "threads": 2}
    assert FirewallClassifier(**options).get_params() == options
    assert clone(FirewallClassifier(**options)).get_params() == options
    assert set(options) == set(inspect.signature(FirewallClassifier).parameters)


def test_a_pickle_has_the_head_and_not_the_model(fitted):
    pickled = pickle.dumps(fitted)
    assert len(pickled) < 5_000_000
    np.testing.assert_allclose(pickle.loads(pickled).predict_proba(TEXTS[:4]), fitted.predict_proba(TEXTS[:4]), atol=1e-6)


def test_a_pickle_is_not_used_with_another_artifact(fitted):
    other = pickle.loads(pickle.dumps(fitted))
    other.artifact_ = "small@ffffffffffff"
    with pytest.raises(InvalidInputError, match="was fitted on small@ffffffffffff"):
        other.predict(TEXTS[:1])


# On disk, without pickle


@pytest.mark.parametrize("names", [(0, 1), (False, True), (-1.0, 2.0), ("benign", "attack")])
def test_what_was_fitted_is_kept_without_pickle(names, fitted, tmp_path):
    classifier = clone(fitted).set_params(threshold=0.4).fit(TEXTS[FEW], [names[label] for label in LABELS[FEW]])
    classifier.save(tmp_path / "kept.safetensors")
    assert (tmp_path / "kept.safetensors").stat().st_size < 5_000
    loaded = FirewallClassifier.load(tmp_path / "kept.safetensors", threads=1)
    assert loaded.get_params() == classifier.get_params()
    assert (loaded.penalty_, loaded.attack_, loaded.artifact_) == (1.0, names[1], fitted.artifact_)
    assert loaded.classes_.dtype == classifier.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(TEXTS[:4]), classifier.predict(TEXTS[:4]))
    np.testing.assert_array_equal(loaded.decision_function(TEXTS[:4]), classifier.decision_function(TEXTS[:4]))


def test_a_file_that_is_there_is_replaced_whole(fitted, shipped, tmp_path, monkeypatch):
    path = tmp_path / "kept.safetensors"
    fitted.save(path)
    shipped.save(path)
    assert FirewallClassifier.load(path).penalty_ is None
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("alknet_firewall.kept.save_tensors", full)
    with pytest.raises(InvalidInputError, match="No space left"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay_what_they_were(shipped, tmp_path):
    path, link = tmp_path / "kept", tmp_path / "link"
    shipped.save(path)
    path.chmod(0o600)
    link.symlink_to(path)
    shipped.save(link)
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()


def test_nothing_is_saved_before_it_is_fitted(tmp_path):
    with pytest.raises(NotFittedError):
        FirewallClassifier().save(tmp_path / "kept")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_said(shipped, tmp_path):
    with pytest.raises(InvalidInputError, match=r"No such file or directory\. Name another file"):
        shipped.save(tmp_path / "none" / "kept")
    with pytest.raises(ArtifactNotFoundError, match=r"does not exist\. Check the path"):
        FirewallClassifier.load(tmp_path / "none")


def test_a_kept_classifier_is_not_used_with_another_artifact(fitted, tmp_path):
    other = pickle.loads(pickle.dumps(fitted))
    other.artifact_ = "small@ffffffffffff"
    other.save(tmp_path / "kept")
    with pytest.raises(InvalidInputError, match="was fitted on small@ffffffffffff"):
        FirewallClassifier.load(tmp_path / "kept")
    with pytest.raises(ArtifactNotFoundError):
        FirewallClassifier.load(tmp_path / "kept", artifact=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "change", ["schema_version", "origin", "penalty", "classes", "class_type", "parameters", "metadata", "tensor", "pickle"]
)
def test_what_is_no_saved_classifier_is_refused(change, shipped, tmp_path):
    path = tmp_path / "kept"
    shipped.save(path)
    tensors, about = load_tensors(path), json.loads(load_about(path)["classifier"])
    if change == "pickle":
        path.write_bytes(pickle.dumps(shipped))
    elif change == "metadata":
        save_tensors(path, tensors)
    elif change == "tensor":
        save_tensors(path, {**tensors, "weights": tensors["weights"][:-1]}, {"classifier": json.dumps(about)})
    else:
        bad = {"classes": ["yes", "no"], "class_type": "O", "parameters": {"origin": "prompt"}, "penalty": -1.0, "origin": "web"}
        save_tensors(path, tensors, {"classifier": json.dumps({**about, change: bad.get(change, 99)})})
    with pytest.raises(ArtifactCorruptError, match=r"schema_version 99|is no classifier that was saved|has shape"):
        FirewallClassifier.load(path)


@pytest.mark.parametrize("penalty", ["auto", "3.0", True])
def test_the_penalty_that_was_used_is_a_number_or_none(penalty, shipped, tmp_path):
    path = tmp_path / "kept"
    shipped.save(path)
    about = json.loads(load_about(path)["classifier"])
    save_tensors(path, load_tensors(path), {"classifier": json.dumps({**about, "penalty": penalty})})
    with pytest.raises(ArtifactCorruptError, match="is no classifier that was saved"):
        FirewallClassifier.load(path)


def test_it_works_in_a_pipeline_a_grid_search_and_cross_validation():
    pipeline = Pipeline(
        [("tidy", FunctionTransformer(lambda texts: [text.strip() for text in texts])), ("firewall", FirewallClassifier(**OPTIONS))]
    )
    search = GridSearchCV(pipeline, {"firewall__penalty": [None, 1.0]}, scoring="roc_auc", cv=2)
    search.fit(TEXTS[FEW], LABELS[FEW])
    assert search.best_params_["firewall__penalty"] in (None, 1.0)
    assert set(search.predict(TEXTS[:2]).tolist()) <= {0, 1}
    scores = cross_val_score(FirewallClassifier(penalty=1.0, **OPTIONS), TEXTS[FEW], LABELS[FEW], cv=2, scoring="roc_auc")
    assert ((scores >= 0) & (scores <= 1)).all()


def test_fitting_again_and_judging_parts_gives_the_same(fitted):
    again = clone(fitted).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.detector_.weights, fitted.detector_.weights)
    whole = fitted.decision_function(TEXTS[:8])
    np.testing.assert_allclose(np.concatenate([fitted.decision_function([text]) for text in TEXTS[:8]]), whole, atol=BATCH_TOLERANCE)
    np.testing.assert_allclose(fitted.decision_function(TEXTS[7::-1])[::-1], whole, atol=BATCH_TOLERANCE)


def test_neither_texts_nor_labels_nor_weights_are_changed():
    texts, labels, weights = np.array(TEXTS[:20], object), np.array(LABELS[:20]), np.linspace(0.5, 1.5, 20)
    before = [texts.copy(), labels.copy(), weights.copy()]
    FirewallClassifier(penalty=1.0, **OPTIONS).fit(texts, labels, weights)
    for now, then in zip((texts, labels, weights), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_tags_say_that_it_takes_texts_and_two_classes():
    if not hasattr(sklearn.base.BaseEstimator(), "__sklearn_tags__"):
        assert FirewallClassifier()._more_tags() == {"X_types": ["string"], "binary_only": True}
        return
    tags = FirewallClassifier().__sklearn_tags__()
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert not tags.classifier_tags.multi_class
    assert tags.estimator_type == "classifier"


# scikit-learn's own checks

NUMBERS = "it hands over numbers, and this classifier takes texts"
MESSAGE = "it wants a message about numeric features, and texts are refused with another one"
ONE_LABEL = "it hands over numbers before it takes a class's weight away"
EXPECTED = {
    **dict.fromkeys(
        [
            "check_classifier_data_not_an_array",
            "check_classifiers_classes",
            "check_classifiers_train",
            "check_decision_proba_consistency",
            "check_dict_unchanged",
            "check_dont_overwrite_parameters",
            "check_dtype_object",
            "check_estimators_dtypes",
            "check_estimators_fit_returns_self",
            "check_estimators_overwrite_params",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_fit2d_1feature",
            "check_fit2d_1sample",
            "check_fit2d_predict1d",
            "check_fit_check_is_fitted",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_n_features_in",
            "check_n_features_in_after_fitting",
            "check_pipeline_consistency",
            "check_positive_only_tag_during_fit",
            "check_readonly_memmap_input",
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
            "check_sample_weights_list",
            "check_sample_weights_not_an_array",
            "check_sample_weights_not_overwritten",
            "check_sample_weights_pandas_series",
            "check_sample_weights_shape",
            "check_supervised_y_2d",
        ],
        NUMBERS,
    ),
    **dict.fromkeys(
        [
            "check_all_zero_sample_weights_error",
            "check_estimator_sparse_array",
            "check_estimator_sparse_matrix",
            "check_estimator_sparse_tag",
            "check_estimators_empty_data_messages",
            "check_estimators_nan_inf",
        ],
        MESSAGE,
    ),
    "check_classifiers_one_label_sample_weights": ONE_LABEL,
}
"""Checks that cannot hold for texts. What most of them are about is tested on texts above."""


class NumericOnPaper(FirewallClassifier):
    """Says that it takes two-dimensional arrays: to others scikit-learn puts almost none of its checks."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_hold_where_they_do_not_need_numbers():
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    if "expected_failed_checks" not in inspect.signature(checks.check_estimator).parameters:
        pytest.skip("check_estimator takes expected_failed_checks from scikit-learn 1.6 on")
    results = checks.check_estimator(NumericOnPaper(), expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    assert [(result["check_name"], str(result["exception"])) for result in results if result["status"] == "failed"] == []
    assert sum(result["status"] == "passed" for result in results) >= 15


def test_no_check_is_excused_that_would_pass():
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    if "expected_failed_checks" not in inspect.signature(checks.check_estimator).parameters:
        pytest.skip("check_estimator takes expected_failed_checks from scikit-learn 1.6 on")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(NumericOnPaper(), on_fail=None, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "passed"} & EXPECTED.keys() == set()
