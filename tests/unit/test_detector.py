"""Features to logits to scores."""

import math
from dataclasses import replace

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError, ShapeError
from alknet_firewall.config import Calibration
from alknet_firewall.detector import Detector, calibrated, probabilities
from alknet_firewall.perceptron import Perceptron
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


def make_detector(perceptron=None, **changes):
    return Detector(**tensors_of_a_detector(**changes), perceptron=perceptron)


def make_perceptron(n_inputs=N_COMPONENTS, width=4):
    rng = np.random.default_rng(7)
    shapes = [(width, n_inputs), (width, width), (1, width)]
    weights = tuple(rng.normal(size=shape).astype(np.float16).astype(np.float32) for shape in shapes)
    return Perceptron(weights, tuple(rng.normal(size=shape[0]).astype(np.float16).astype(np.float32) for shape in shapes))


def stored_detector():
    """Of values that half precision keeps, so that disk changes nothing."""
    components = make_detector().components.astype(np.float16).astype(np.float32)
    return make_detector(make_perceptron(), components=components)


def test_the_logit_is_the_head_on_the_projection():
    detector = make_detector()
    features = np.random.default_rng(1).normal(size=(4, N_FEATURES)).astype(np.float32)
    for row, found in zip(features, detector.logits(features), strict=True):
        standardised = [(x - m) / s for x, m, s in zip(row, detector.mean, detector.scale, strict=True)]
        coordinates = [sum(c * x for c, x in zip(component, standardised, strict=True)) for component in detector.components]
        logit = sum(w * c for w, c in zip(detector.weights, coordinates, strict=True)) + detector.bias[0]
        assert found == pytest.approx(float(logit), abs=1e-5)


def test_the_perceptron_adds_to_the_linear_part_what_the_coordinates_say():
    linear, perceptron = make_detector(), make_perceptron()
    features = np.random.default_rng(1).normal(size=(4, N_FEATURES)).astype(np.float32)
    expected = linear.logits(features) + perceptron.logits(linear.project(features))
    np.testing.assert_allclose(make_detector(perceptron).logits(features), expected, atol=1e-5)


def test_a_perceptron_of_another_subspace_is_an_error():
    with pytest.raises(ShapeError, match=f"{N_COMPONENTS + 1} inputs does not fit {N_COMPONENTS} components"):
        make_detector(make_perceptron(N_COMPONENTS + 1))


def test_a_row_is_scored_alike_alone_and_among_others():
    detector = make_detector()
    features = np.random.default_rng(2).normal(size=(50, N_FEATURES)).astype(np.float32)
    alone = np.concatenate([detector.logits(row[None]) for row in features])
    np.testing.assert_allclose(detector.logits(features), alone, atol=1e-5)


@pytest.mark.parametrize(("logit", "n_segments"), [(0.0, 1), (2.5, 1), (-3.0, 7), (2.5, 400)])
def test_the_score_is_the_logistic_of_the_calibrated_logit(logit, n_segments):
    calibration = Calibration(slope=0.5, shift=-0.25, length=0.125, sharpness=1.0, longest=1000)
    expected = 1 / (1 + math.exp(-(0.5 * logit - 0.25 - 0.125 * math.log(n_segments))))
    assert calibrated(np.array([logit]), n_segments, calibration).tolist() == pytest.approx([expected], abs=1e-12)


def test_a_longer_text_needs_a_higher_logit():
    scores = calibrated(np.zeros(4), np.array([1, 2, 20, 2000]), Calibration(1.0, 0.0, 0.3, 1.0, 2000))
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize(("logit", "expected"), [(1e6, 1.0), (-1e6, 0.0), (0.0, 0.5)])
def test_extreme_logits_stay_in_the_unit_interval(logit, expected):
    assert calibrated(np.array([logit]), 1, Calibration(1.0, 0.0, 0.0, 1.0, 1)).tolist() == [expected]


@pytest.mark.parametrize("sharpness", [0.16, 0.5, 1.0])
def test_a_probability_undoes_what_made_the_score_soft(sharpness):
    sure, soft = Calibration(2.0, -1.0, 0.3, 1.0, 99), Calibration(2.0 * sharpness, -sharpness, 0.3 * sharpness, sharpness, 99)
    logits, n_segments = np.linspace(-8, 8, 33), np.arange(1, 34)
    expected = calibrated(logits, n_segments, sure)
    np.testing.assert_allclose(probabilities(calibrated(logits, n_segments, soft), soft), expected, rtol=1e-9)


def test_probabilities_stay_in_the_unit_interval_and_in_the_order_of_scores():
    scores = np.array([0.0, 1e-300, 0.2, 0.5, 0.8, 1 - 1e-16, 1.0])
    found = probabilities(scores, Calibration(1.0, 0.0, 0.0, 0.01, 1))
    assert (found[0], found[3], found[-1]) == (0.0, 0.5, 1.0)
    assert (np.diff(found) >= 0).all()


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
    detector = stored_detector()
    fortran = replace(detector, components=np.asfortranarray(detector.components))
    save_tensors(tmp_path / "d.safetensors", fortran.as_tensors("prompt"))
    loaded = Detector.from_tensors(load_tensors(tmp_path / "d.safetensors"), "prompt", "d.safetensors")
    features = np.random.default_rng(3).normal(size=(5, N_FEATURES)).astype(np.float32)
    np.testing.assert_array_equal(loaded.logits(features), detector.logits(features))


STORED = ["mean", "scale", "components", "content.weights", "content.bias", "content.layer0.weights", "content.layer1.bias"]


def test_heads_of_two_origins_share_their_subspace_on_disk():
    one, other = stored_detector(), replace(stored_detector(), bias=np.ones(1, np.float32))
    tensors = {**one.as_tensors("prompt"), **other.as_tensors("content")}
    assert sum(name.count(".") == 1 for name in tensors) == 3
    assert Detector.from_tensors(tensors, "prompt", "there").bias == one.bias
    assert Detector.from_tensors(tensors, "content", "there").bias == other.bias


@pytest.mark.parametrize("name", STORED)
def test_a_missing_tensor_is_named_with_its_file(name):
    tensors = stored_detector().as_tensors("content")
    del tensors[f"detector.{name}"]
    with pytest.raises(ArtifactCorruptError, match=rf"head\.safetensors: tensor detector\.{name} is missing"):
        Detector.from_tensors(tensors, "content", "head.safetensors")


def test_a_head_without_a_perceptron_is_not_whole():
    with pytest.raises(ArtifactCorruptError, match=r"tensor detector\.prompt\.layer0\.weights is missing"):
        Detector.from_tensors(make_detector().as_tensors("prompt"), "prompt", "head.safetensors")


@pytest.mark.parametrize("name", ["prompt.weights", "components", "prompt.layer1.weights"])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_tensor_of_another_type_is_named_with_its_file(name, dtype):
    tensors = stored_detector().as_tensors("prompt")
    tensors[f"detector.{name}"] = tensors[f"detector.{name}"].astype(dtype)
    with pytest.raises(ArtifactCorruptError, match=rf"head\.safetensors: tensor detector\.{name} is {np.dtype(dtype)}"):
        Detector.from_tensors(tensors, "prompt", "head.safetensors")


@pytest.mark.parametrize(
    ("name", "tensor", "problem"),
    [
        ("mean", np.zeros(2, np.float32), "Detector tensor mean"),
        ("prompt.layer0.weights", np.zeros((4, N_COMPONENTS + 1), np.float16), "does not fit"),
        ("prompt.layer2.weights", np.zeros((2, 4), np.float16), "the last have one output"),
    ],
)
def test_tensors_that_do_not_fit_name_the_file_they_came_from(name, tensor, problem):
    tensors = {**stored_detector().as_tensors("prompt"), f"detector.{name}": tensor}
    with pytest.raises(ArtifactCorruptError, match=rf"head\.safetensors: .*{problem}"):
        Detector.from_tensors(tensors, "prompt", "head.safetensors")


@pytest.mark.parametrize("origin", ["prompt", "content"])
def test_the_embedded_heads_are_the_sum_of_their_parts(embedded, origin):
    detector, random = embedded.detectors[origin], np.random.default_rng(0)
    features = (detector.mean + random.normal(size=(50, detector.n_features)) * detector.scale).astype(np.float32)
    coordinates = detector.project(features)
    linear = coordinates.astype(np.float64) @ detector.weights + detector.bias[0]
    evidence = detector.perceptron.logits(coordinates)
    assert evidence.std() > 0.01 * linear.std()
    np.testing.assert_allclose(detector.logits(features), linear + evidence, atol=1e-4 * np.abs(linear).max())


def test_one_more_feature_adds_to_the_logit_and_is_a_coordinate_of_its_own():
    rng = np.random.default_rng(1)
    features, values = rng.normal(size=(20, N_FEATURES)).astype(np.float32), rng.normal(3.0, 2.0, size=20).astype(np.float32)
    plain = make_detector(make_perceptron())
    longer = plain.listening(0.25)
    both = np.concatenate([features, values[:, None]], axis=1)
    np.testing.assert_allclose(longer.logits(both), plain.logits(features) + 0.25 * values, atol=1e-5)
    np.testing.assert_allclose(longer.project(both)[:, :-1], plain.project(features), atol=1e-6)
    np.testing.assert_array_equal(longer.project(both)[:, -1], values)
