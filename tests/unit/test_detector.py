"""Features to logits to scores."""

import math

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError, ShapeError
from alknet_firewall.config import Calibration
from alknet_firewall.detector import Detector, calibrated
from alknet_firewall.tensors import load_tensors, save_tensors

N_FEATURES, N_COMPONENTS = 6, 3


def tensors_of_a_detector(**changes):
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(N_FEATURES, N_COMPONENTS)))
    tensors = {
        "mean": rng.normal(size=N_FEATURES),
        "scale": rng.uniform(0.5, 2.0, N_FEATURES),
        "components": basis.T,
        "weights": rng.normal(size=N_COMPONENTS),
        "bias": [-0.5],
    }
    return {name: np.ascontiguousarray(value, np.float32) for name, value in {**tensors, **changes}.items()}


def make_detector(**changes):
    return Detector(**tensors_of_a_detector(**changes))


def test_the_logit_is_the_head_on_the_projection():
    detector = make_detector()
    features = np.random.default_rng(1).normal(size=(4, N_FEATURES)).astype(np.float32)
    for row, found in zip(features, detector.logits(features), strict=True):
        standardised = [(x - m) / s for x, m, s in zip(row, detector.mean, detector.scale, strict=True)]
        coordinates = [sum(c * x for c, x in zip(component, standardised, strict=True)) for component in detector.components]
        logit = sum(w * c for w, c in zip(detector.weights, coordinates, strict=True)) + detector.bias[0]
        assert found == pytest.approx(float(logit), abs=1e-5)


def test_a_row_is_scored_alike_alone_and_among_others():
    detector = make_detector()
    features = np.random.default_rng(2).normal(size=(50, N_FEATURES)).astype(np.float32)
    alone = np.concatenate([detector.logits(row[None]) for row in features])
    np.testing.assert_allclose(detector.logits(features), alone, atol=1e-5)


@pytest.mark.parametrize(("logit", "n_segments"), [(0.0, 1), (2.5, 1), (-3.0, 7), (2.5, 400)])
def test_the_score_is_the_logistic_of_the_calibrated_logit(logit, n_segments):
    calibration = Calibration(slope=0.5, shift=-0.25, length=0.125)
    expected = 1 / (1 + math.exp(-(0.5 * logit - 0.25 - 0.125 * math.log(n_segments))))
    assert calibrated(np.array([logit]), n_segments, calibration).tolist() == pytest.approx([expected], abs=1e-12)


def test_a_longer_text_needs_a_higher_logit():
    scores = calibrated(np.zeros(4), np.array([1, 2, 20, 2000]), Calibration(1.0, 0.0, 0.3))
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize(("logit", "expected"), [(1e6, 1.0), (-1e6, 0.0), (0.0, 0.5)])
def test_extreme_logits_stay_in_the_unit_interval(logit, expected):
    assert calibrated(np.array([logit]), 1, Calibration(1.0, 0.0, 0.0)).tolist() == [expected]


def test_no_segments_give_no_logits():
    assert make_detector().logits(np.zeros((0, N_FEATURES), np.float32)).shape == (0,)


def test_what_lies_outside_the_subspace_does_not_count():
    detector = make_detector()
    outside = np.linalg.svd(detector.components)[2][-1] * detector.scale
    features = np.zeros((1, N_FEATURES), np.float32)
    np.testing.assert_allclose(detector.project(features), detector.project(features + 100 * outside), atol=1e-4)


@pytest.mark.parametrize("shape", [(2, N_FEATURES - 1), (2, N_FEATURES + 1), (N_FEATURES,), (1, 2, N_FEATURES)])
def test_features_of_another_length_are_an_error(shape):
    with pytest.raises(ShapeError, match=f"detector of {N_FEATURES} features"):
        make_detector().logits(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_features_that_are_no_numbers_are_an_error_and_never_a_score(value, everywhere):
    features = np.full((2, N_FEATURES), value if everywhere else 0.0, np.float32)
    features[1, 2] = value
    with pytest.raises(ShapeError, match="finite"):
        make_detector().logits(features)


WRONG_SHAPES = {
    "mean": [0.0] * (N_FEATURES - 1),
    "scale": [1.0] * (N_FEATURES + 1),
    "components": np.ones((N_FEATURES, N_COMPONENTS)),
    "weights": [[1.0] * N_COMPONENTS],
    "bias": [0.0, 0.0],
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_tensors_that_do_not_fit_together_are_an_error(name):
    with pytest.raises(ShapeError, match="Detector tensor"):
        make_detector(**{name: WRONG_SHAPES[name]})


@pytest.mark.parametrize("components", [np.ones(N_FEATURES), np.ones((1, N_COMPONENTS, N_FEATURES))])
def test_components_must_be_a_matrix(components):
    with pytest.raises(ShapeError, match="Detector tensor"):
        make_detector(components=components)


@pytest.mark.parametrize("name", ["mean", "scale", "components", "weights", "bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_with_a_value_that_is_no_number_is_an_error(name, value):
    tensors = tensors_of_a_detector()
    tensors[name].flat[-1] = value
    with pytest.raises(ShapeError, match="finite"):
        Detector(**tensors)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_the_scale_must_be_positive(scale):
    with pytest.raises(ShapeError, match="scale positive"):
        make_detector(scale=[1.0] * (N_FEATURES - 1) + [scale])


def test_a_detector_scores_the_same_after_a_round_trip_to_disk(tmp_path):
    detector = make_detector()
    fortran = Detector(**{**tensors_of_a_detector(), "components": np.asfortranarray(detector.components)})
    save_tensors(tmp_path / "d.safetensors", fortran.as_tensors())
    loaded = Detector.from_tensors(load_tensors(tmp_path / "d.safetensors"), "d.safetensors")
    features = np.random.default_rng(3).normal(size=(5, N_FEATURES)).astype(np.float32)
    np.testing.assert_array_equal(loaded.logits(features), detector.logits(features))


@pytest.mark.parametrize("name", ["mean", "scale", "components", "weights", "bias"])
def test_a_missing_tensor_is_named_with_its_file(name):
    tensors = make_detector().as_tensors()
    del tensors[f"detector.{name}"]
    with pytest.raises(ArtifactCorruptError, match=rf"head\.safetensors: tensor detector\.{name} is missing"):
        Detector.from_tensors(tensors, "head.safetensors")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64])
def test_a_tensor_of_another_type_is_named_with_its_file(dtype):
    tensors = make_detector().as_tensors()
    tensors["detector.weights"] = tensors["detector.weights"].astype(dtype)
    with pytest.raises(ArtifactCorruptError, match=rf"head\.safetensors: tensor detector\.weights is {np.dtype(dtype)}"):
        Detector.from_tensors(tensors, "head.safetensors")


def test_tensors_that_do_not_fit_name_the_file_they_came_from():
    tensors = {**make_detector().as_tensors(), "detector.mean": np.zeros(2, np.float32)}
    with pytest.raises(ArtifactCorruptError, match=r"head\.safetensors: Detector tensor mean"):
        Detector.from_tensors(tensors, "head.safetensors")


def test_logits_are_the_head_on_the_projections(embedded):
    detector, random = embedded.detector, np.random.default_rng(0)
    features = (detector.mean + random.normal(size=(50, detector.n_features)) * detector.scale).astype(np.float32)
    expected = detector.project(features).astype(np.float64) @ detector.weights + detector.bias[0]
    np.testing.assert_allclose(detector.logits(features), expected, atol=1e-4 * np.abs(expected).max())


def test_one_more_feature_adds_to_the_logit_and_is_a_direction_of_its_own():
    rng = np.random.default_rng(1)
    features, values = rng.normal(size=(20, N_FEATURES)).astype(np.float32), rng.normal(3.0, 2.0, size=20).astype(np.float32)
    plain = make_detector()
    longer = plain.listening(values, 0.25)
    both = np.concatenate([features, values[:, None]], axis=1)
    np.testing.assert_allclose(longer.logits(both), plain.logits(features) + 0.25 * values, atol=1e-5)
    np.testing.assert_allclose(longer.project(both)[:, :-1], plain.project(features), atol=1e-6)
    np.testing.assert_allclose(longer.project(both)[:, -1], (values - values.mean()) / values.std(), atol=1e-5)


def test_a_feature_that_never_changes_may_be_added():
    assert np.isfinite(make_detector().listening(np.zeros(5, np.float32), 0.3).direction).all()


def test_a_head_that_no_longer_listens_is_the_one_it_was():
    plain, values = make_detector(), np.array([0.5, 2.0, -1.0], np.float32)
    features = np.random.default_rng(1).normal(size=(4, N_FEATURES)).astype(np.float32)
    again = plain.listening(values, 0.25).deaf()
    assert again.components.flags.c_contiguous
    np.testing.assert_allclose(again.logits(features), plain.logits(features), atol=1e-5)
