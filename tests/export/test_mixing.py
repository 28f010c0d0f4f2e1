"""Words between those of two artifacts of one graph."""

import shutil

import click
import numpy as np
import pytest

from alknet_firewall.artifact import DETECTOR_FILE, MODEL_FILE, write_manifest
from alknet_firewall.hub import EMBEDDED_FOLDER
from alknet_firewall.tensors import load_tensors, save_tensors
from alknet_firewall.wording import WEIGHTS
from export.data import corpus_examples

pytestmark = pytest.mark.offline_world


@pytest.fixture
def second(tmp_path):
    """The embedded artifact with other words."""
    folder = tmp_path / "second"
    shutil.copytree(EMBEDDED_FOLDER, folder)
    tensors = load_tensors(folder / DETECTOR_FILE)
    save_tensors(folder / DETECTOR_FILE, {**tensors, WEIGHTS: -tensors[WEIGHTS]})
    write_manifest(folder, {})
    return folder


@pytest.fixture
def mixing():
    """The module, which needs the export environment."""
    from export import mixing

    return mixing


@pytest.fixture
def finished(mixing, monkeypatch):
    """What was to be written and compared with torch, which building has tests for."""
    calls = []
    monkeypatch.setattr(mixing, "finish", lambda *arguments: calls.append(arguments))
    return calls


def test_words_lie_between_and_the_head_on_states_stays(mixing, embedded, second, finished, tmp_path):
    held_out = corpus_examples(60, 3)
    mixing.mix_words(EMBEDDED_FOLDER, second, tmp_path, held_out, tmp_path / "out", mixing.MixOptions(0.25, 0.7))
    ((out, config, prefixes, scorer, _, _),) = finished
    np.testing.assert_allclose(scorer.wording.weights, 0.5 * embedded.reader.wording.weights, atol=1e-3)
    np.testing.assert_allclose(scorer.detector.direction[:-1], embedded.detector.direction[:-1], rtol=1e-5, atol=1e-7)
    assert scorer.detector.direction[-1] == pytest.approx(0.7, rel=1e-5)
    assert {point.data for point in config.operating_points} == {mixing.left_out(held_out)}
    assert set(prefixes) == {f"prefix.{origin}.{part}" for origin in ("prompt", "content") for part in ("keys", "values")}
    assert (out / MODEL_FILE).is_file()
    assert not (out / "manifest.json").exists()


def test_an_artifact_of_another_graph_is_refused(mixing, second, finished, tmp_path):
    path = second / MODEL_FILE
    path.write_bytes(path.read_bytes() + b"\n")
    write_manifest(second, {})
    with pytest.raises(click.ClickException, match="different graphs"):
        mixing.mix_words(EMBEDDED_FOLDER, second, tmp_path, [], tmp_path / "out", mixing.MixOptions(0.5, 0.3))
    assert not finished
