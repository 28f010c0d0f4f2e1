"""An artifact that is not whole, not itself or not of one piece is an error that names the file, and never gives a verdict."""

import hashlib
import json
import re

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError, ArtifactNotFoundError, Firewall
from alknet_firewall.artifact import (
    ARTIFACT_FILES,
    CONFIG_FILE,
    DETECTOR_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    load_artifact,
)
from alknet_firewall.config import SCHEMA_VERSION
from alknet_firewall.firewall import BATCH_TOLERANCE
from alknet_firewall.hub import EMBEDDED_FOLDER
from alknet_firewall.tensors import load_tensors, save_tensors

TEXT = "Could you tell me when the next tram leaves?"


def scan_with(folder):
    """What a caller does with an artifact: with a broken one it must not get as far as a verdict."""
    return Firewall.from_pretrained(folder, threads=1).scan(TEXT)


def refused(folder, name, complaint=None, error=ArtifactCorruptError):
    """A scan with the artifact fails, and the message names the file."""
    with pytest.raises(error, match=complaint) as caught:
        scan_with(folder)
    assert type(caught.value) is error
    assert str(folder / name) in str(caught.value)


@pytest.fixture
def light_copy(artifact_copy, change_file, rewrite_manifest):
    """A copy whose graph is one byte, so that hashing it costs nothing. What these tests break is found before a graph is loaded."""
    change_file(artifact_copy / MODEL_FILE, b"x")
    rewrite_manifest(artifact_copy)
    return artifact_copy


@pytest.fixture
def edit_json(light_copy, change_file, rewrite_manifest):
    """``edit_json(name, edit)``: change one of the artifact's JSON files; the manifest still matches, unless it is what is changed."""

    def apply(name, edit):
        document = json.loads((light_copy / name).read_bytes())
        changed = edit(document)
        change_file(light_copy / name, json.dumps(document if changed is None else changed).encode())
        if name != MANIFEST_FILE:
            rewrite_manifest(light_copy)
        return light_copy

    return apply


@pytest.fixture
def edit_tensors(light_copy, rewrite_manifest):
    """``edit_tensors(edit)``: change the artifact's tensors, with a manifest that matches."""

    def apply(edit):
        tensors = load_tensors(light_copy / DETECTOR_FILE)
        edit(tensors)
        save_tensors(light_copy / DETECTOR_FILE, tensors)
        rewrite_manifest(light_copy)
        return light_copy

    return apply


# Whole artifacts


def test_the_embedded_artifact_is_whole_and_named_after_its_manifest():
    artifact = load_artifact(EMBEDDED_FOLDER)
    digest = hashlib.sha256((EMBEDDED_FOLDER / MANIFEST_FILE).read_bytes()).hexdigest()
    assert artifact.sha256 == digest
    assert artifact.id == f"{artifact.config.name}@{digest[:12]}"
    assert set(artifact.manifest.files) == set(ARTIFACT_FILES)
    assert all(artifact.path(name).is_file() for name in ARTIFACT_FILES)


def test_a_copy_with_a_new_manifest_gives_the_same_verdict(artifact_copy, rewrite_manifest, embedded):
    """So what the tests below see refused is refused for what they broke, not for how they broke it."""
    rewrite_manifest(artifact_copy)
    assert scan_with(artifact_copy).score == pytest.approx(embedded.scan(TEXT).score, abs=BATCH_TOLERANCE)


def test_a_file_that_is_no_part_of_the_format_is_not_looked_at(light_copy):
    (light_copy / "notes.txt").write_text("mine", encoding="utf-8")
    assert load_artifact(light_copy).folder == light_copy


def test_a_config_survives_being_written_and_read_again(embedded, edit_json):
    config = embedded.artifact.config
    assert load_artifact(edit_json(CONFIG_FILE, lambda _: config.as_dict())).config == config


def test_an_operating_point_is_found_by_origin_and_rate(embedded):
    config = embedded.artifact.config
    for point in config.operating_points:
        assert config.operating_point(point.origin, point.fpr) is point
    assert config.operating_point("prompt").fpr == config.default_fpr
    assert config.operating_point("prompt", 0.123456) is None


# Folders and files


def test_a_missing_folder_is_named(tmp_path):
    refused(tmp_path / "nowhere", "", "there is no such folder", ArtifactNotFoundError)


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ArtifactNotFoundError, match=re.escape(str(tmp_path / "model.onnx"))):
        load_artifact(tmp_path / "model.onnx")


def test_an_empty_folder_is_no_artifact(tmp_path):
    refused(tmp_path, MANIFEST_FILE, "is missing", ArtifactNotFoundError)


@pytest.mark.parametrize("name", ARTIFACT_FILES)
def test_a_missing_file_is_named(name, light_copy):
    (light_copy / name).unlink()
    refused(light_copy, name, "is missing", ArtifactNotFoundError)


@pytest.mark.parametrize("name", ARTIFACT_FILES)
def test_a_truncated_file_is_named_with_both_sizes(name, light_copy, change_file):
    size = (light_copy / name).stat().st_size
    change_file(light_copy / name, lambda content: content[:-1])
    refused(light_copy, name, f"{size - 1} bytes instead of {size}")


@pytest.mark.parametrize("name", ARTIFACT_FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_file_with_one_bit_flipped_is_named(name, place, light_copy, change_file):
    def flip(content):
        changed = bytearray(content)
        changed[place] ^= 1
        return bytes(changed)

    change_file(light_copy / name, flip)
    refused(light_copy, name, "sha256 .* instead of")


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_one_bit_deep_in_the_graph_is_noticed(share, artifact_copy, change_file):
    def flip(content):
        changed = bytearray(content)
        changed[int(share * len(changed))] ^= 0x10
        return bytes(changed)

    change_file(artifact_copy / MODEL_FILE, flip)
    refused(artifact_copy, MODEL_FILE, "sha256 .* instead of")


def test_a_longer_file_is_named(light_copy, change_file):
    change_file(light_copy / CONFIG_FILE, lambda content: content + b"\n")
    refused(light_copy, CONFIG_FILE, "bytes instead of")


@pytest.mark.parametrize("name", [MANIFEST_FILE, CONFIG_FILE])
def test_a_folder_in_place_of_a_file_is_named(name, light_copy):
    (light_copy / name).unlink()
    (light_copy / name).mkdir()
    refused(light_copy, name)


@pytest.mark.parametrize("name", [MODEL_FILE, DETECTOR_FILE, TOKENIZER_FILE])
def test_a_file_that_is_changed_after_it_was_verified_is_not_used(name, artifact_copy, change_file):
    artifact = load_artifact(artifact_copy)
    change_file(artifact_copy / name, lambda content: content + b" ")
    with pytest.raises(ArtifactCorruptError, match=re.escape(str(artifact_copy / name))):
        Firewall(artifact, threads=1)


def test_a_file_that_was_only_touched_is_used(artifact_copy):
    artifact = load_artifact(artifact_copy)
    (artifact_copy / TOKENIZER_FILE).touch()
    assert Firewall(artifact, threads=1).artifact is artifact


# The manifest

NO_JSON = {
    "empty": b"",
    "garbage": b"\x00\x01\x02",
    "cut": b'{"schema_version": 1, "files": {',
    "not UTF-8": b'{"schema_version": "\xff\xfe"}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
def test_a_manifest_that_is_no_json_is_named(content, light_copy, change_file):
    change_file(light_copy / MANIFEST_FILE, content)
    refused(light_copy, MANIFEST_FILE, "not valid JSON")


@pytest.mark.parametrize("document", [[], "manifest", 1, None])
def test_a_manifest_that_is_no_object_is_named(document, light_copy, change_file):
    change_file(light_copy / MANIFEST_FILE, json.dumps(document).encode())
    refused(light_copy, MANIFEST_FILE, "must be an object")


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION - 1, SCHEMA_VERSION + 1, float(SCHEMA_VERSION), True, str(SCHEMA_VERSION), None])
@pytest.mark.parametrize("name", [MANIFEST_FILE, CONFIG_FILE])
def test_another_schema_version_is_named(name, version, edit_json):
    folder = edit_json(name, lambda document: {**document, "schema_version": version})
    refused(folder, name, "schema_version")


def test_a_newer_schema_says_what_to_do(edit_json):
    folder = edit_json(MANIFEST_FILE, lambda document: {**document, "schema_version": SCHEMA_VERSION + 1})
    words = f"has schema_version {SCHEMA_VERSION + 1}; this version of alknet-firewall reads {SCHEMA_VERSION}.*Install"
    refused(folder, MANIFEST_FILE, words)


MANIFEST_EDITS = {
    "unknown key": (lambda m: {**m, "signature": "x"}, "unknown key 'signature'"),
    "no files": (lambda m: {k: v for k, v in m.items() if k != "files"}, "misses 'files'"),
    "files in a list": (lambda m: {**m, "files": list(m["files"])}, "files must be an object"),
    "no file at all": (lambda m: {**m, "files": {}}, "does not list config.json"),
    "one file less": (lambda m: m["files"].pop(MODEL_FILE) and None, "does not list model.onnx"),
    "no hash": (lambda m: m["files"][MODEL_FILE].pop("sha256") and None, "model.onnx misses 'sha256'"),
    "a size in words": (lambda m: m["files"][MODEL_FILE].update(size="large"), "model.onnx: size must be int"),
}


@pytest.mark.parametrize(("edit", "complaint"), MANIFEST_EDITS.values(), ids=MANIFEST_EDITS)
def test_a_manifest_with_other_keys_is_named(edit, complaint, edit_json):
    refused(edit_json(MANIFEST_FILE, edit), MANIFEST_FILE, complaint)


@pytest.mark.parametrize(
    "name", ["../outside", "{folder}/../outside", "/etc/passwd", "sub/../../outside", "..\\outside", "", ".", "evil.bin", "Config.json"]
)
def test_a_name_that_is_not_of_the_format_is_never_followed_even_if_its_hash_is_right(name, light_copy, edit_json):
    (light_copy.parent / "outside").write_bytes(b"out")
    (light_copy / "evil.bin").write_bytes(b"out")
    entry = {"size": 3, "sha256": hashlib.sha256(b"out").hexdigest()}
    folder = edit_json(MANIFEST_FILE, lambda document: document["files"].update({name.format(folder=light_copy): entry}))
    refused(folder, MANIFEST_FILE, "is not a file of the artifact format")


# The config, with a manifest that matches


def set_at(path, value):
    """An edit that sets one value deep inside a document."""

    def edit(document):
        *parents, last = path
        for key in parents:
            document = document[key]
        document[last] = value

    return edit


def drop_at(path):
    def edit(document):
        *parents, last = path
        for key in parents:
            document = document[key]
        del document[last]

    return edit


CONFIG_EDITS = {
    "no window": (drop_at(["window"]), "misses 'window'"),
    "no layer": (drop_at(["encoder", "layer"]), "encoder misses 'layer'"),
    "no threshold": (drop_at(["operating_points", 0, "threshold"]), r"operating_points\[0\] misses 'threshold'"),
    "an unknown key": (set_at(["secret"], 1), "unknown key 'secret'"),
    "an unknown key inside": (set_at(["encoder", "dropout"], 0.1), "encoder has the unknown key 'dropout'"),
    "a layer in words": (set_at(["encoder", "layer"], "seven"), "encoder: layer must be int"),
    "a token id in words": (set_at(["prefixes", "prompt", "ids", 0], "one"), r"prompt: ids\[0\] must be int"),
    "no layers": (set_at(["encoder", "layer"], 0), "sizes must be at least 1"),
    "a negative size": (set_at(["encoder", "hidden_size"], -576), "sizes must be at least 1"),
    "no stride": (set_at(["window", "stride"], 0), "sizes must be at least 1"),
    "a stride with gaps": (set_at(["window", "stride"], 100_000), "the stride at most the window"),
    "no segment": (set_at(["segment"], 0), "sizes must be at least 1"),
    "one origin less": (drop_at(["prefixes", "content"]), "prefixes must be given for prompt, content"),
    "one origin more": (set_at(["prefixes", "system"], {"text": "x", "ids": [1]}), "prefixes must be given for prompt, content"),
    "no calibration of an origin": (drop_at(["calibration", "content"]), "calibration must be given for prompt, content"),
    "a slope of 0": (set_at(["calibration", "prompt", "slope"], 0.0), "a slope above 0"),
    "a slope that is no number": (set_at(["calibration", "prompt", "slope"], float("nan")), "prompt: slope must be a finite number"),
    "a slope without end": (set_at(["calibration", "prompt", "slope"], float("inf")), "prompt: slope must be a finite number"),
    "a shift that is no number": (set_at(["calibration", "content", "shift"], float("nan")), "content: shift must be a finite number"),
    "a length without end": (set_at(["calibration", "content", "length"], float("inf")), "content: length must be a finite number"),
    "a sharpness of 0": (set_at(["calibration", "prompt", "sharpness"], 0.0), "a sharpness above 0 and at most 1"),
    "a longest of 0": (set_at(["calibration", "prompt", "longest"], 0), "a longest of at least 1"),
    "a sharpness above 1": (set_at(["calibration", "content", "sharpness"], 1.5), "a sharpness above 0 and at most 1"),
    "a negative length": (set_at(["calibration", "content", "length"], -0.1), "a length of at least 0"),
    "no operating points": (set_at(["operating_points"], []), "needs an operating point at default_fpr"),
    "another default": (set_at(["default_fpr"], 0.123), "needs an operating point at default_fpr"),
    "a default that is no number": (set_at(["default_fpr"], float("nan")), "default_fpr must be a finite number"),
    "a threshold above 1": (set_at(["operating_points", 0, "threshold"], 1.5), r"thresholds must lie in \[0, 1\]"),
    "a threshold below 0": (set_at(["operating_points", 0, "threshold"], -0.1), r"thresholds must lie in \[0, 1\]"),
    "a threshold that is no number": (set_at(["operating_points", 0, "threshold"], float("nan")), "threshold must be a finite number"),
}


@pytest.mark.parametrize(("edit", "complaint"), CONFIG_EDITS.values(), ids=CONFIG_EDITS)
def test_a_config_that_makes_no_sense_is_named(edit, complaint, edit_json):
    refused(edit_json(CONFIG_FILE, edit), CONFIG_FILE, complaint)


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
def test_a_config_that_is_no_json_is_named(content, light_copy, change_file, rewrite_manifest):
    change_file(light_copy / CONFIG_FILE, content)
    rewrite_manifest(light_copy)
    refused(light_copy, CONFIG_FILE, "not valid JSON")


MISFITS = {
    "pooling": (set_at(["pooling"], "last_token"), "pooling 'last_token' is not known"),
    "layers": (set_at(["encoder", "layer"], 99), "the prefixes have .*, the config says"),
    "heads": (set_at(["encoder", "key_value_heads"], 9), "the prefixes have .*, the config says"),
    "head size": (set_at(["encoder", "head_size"], 32), "the prefixes have .*, the config says"),
    "prefix": (set_at(["prefixes", "content", "ids"], [1, 2]), "another number of tokens"),
}


@pytest.mark.parametrize(("edit", "complaint"), MISFITS.values(), ids=MISFITS)
def test_a_config_that_speaks_of_another_model_names_the_artifact(edit, complaint, edit_json):
    refused(edit_json(CONFIG_FILE, edit), "", complaint)


# Tensors, with a manifest that matches


def replace(name, change):
    """An edit that replaces one tensor by a function of it."""

    def edit(tensors):
        tensors[name] = change(tensors[name])

    return edit


def spoil(name, value):
    """An edit that puts one value into a tensor."""

    def change(tensor):
        tensor = tensor.copy()
        tensor.flat[tensor.size // 2] = value
        return tensor

    return replace(name, change)


TENSORS = [f"detector.{name}" for name in ("mean", "scale", "components", "prompt.weights", "content.bias", "content.layer1.weights")]
WORDING = [f"wording.{origin}.weights" for origin in ("prompt", "content")]
PREFIXES = [f"prefix.{origin}.{part}" for origin in ("prompt", "content") for part in ("keys", "values")]


@pytest.mark.parametrize("name", [*TENSORS, *PREFIXES, *WORDING])
def test_a_missing_tensor_is_named(name, edit_tensors):
    refused(edit_tensors(lambda tensors: tensors.pop(name)), DETECTOR_FILE, f"tensor {name} is missing")


@pytest.mark.parametrize("name", [*TENSORS, *PREFIXES])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_with_a_value_that_is_no_number_is_refused(name, value, edit_tensors):
    refused(edit_tensors(spoil(name, value)), DETECTOR_FILE, "must be finite")


@pytest.mark.parametrize("name", [*TENSORS, *PREFIXES])
def test_a_tensor_in_double_precision_is_refused(name, edit_tensors):
    refused(edit_tensors(replace(name, lambda tensor: tensor.astype(np.float64))), DETECTOR_FILE, f"tensor {name} is float64")


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_of_the_head_with_one_value_more_is_refused(name, edit_tensors):
    longer = replace(name, lambda tensor: np.concatenate([tensor, tensor[:1]]))
    refused(edit_tensors(longer), DETECTOR_FILE, "Detector tensor|A perceptron")


def test_a_scale_of_zero_is_refused(edit_tensors):
    refused(edit_tensors(spoil("detector.scale", 0.0)), DETECTOR_FILE, "scale positive")


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_keys_and_values_of_different_shapes_are_refused(name, axis, edit_tensors):
    shorter = replace(name, lambda tensor: np.delete(tensor, 0, axis))
    refused(edit_tensors(shorter), DETECTOR_FILE, "must be two equal arrays")


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_a_prefix_that_the_config_does_not_describe_names_the_artifact(axis, edit_tensors):
    def edit(tensors):
        for name in PREFIXES[:2]:
            tensors[name] = np.delete(tensors[name], 0, axis)

    refused(edit_tensors(edit), "", "the prefixes have")


def test_a_head_for_another_width_is_named(artifact_copy, rewrite_manifest):
    tensors = load_tensors(artifact_copy / DETECTOR_FILE)
    for name in ("mean", "scale"):
        tensors[f"detector.{name}"] = tensors[f"detector.{name}"][:-2]
    tensors["detector.components"] = tensors["detector.components"][:, :-2]
    save_tensors(artifact_copy / DETECTOR_FILE, tensors)
    rewrite_manifest(artifact_copy)
    refused(artifact_copy, DETECTOR_FILE, "the head takes .* features, the pooling gives")


def test_a_config_of_another_width_names_the_head_that_does_not_fit(artifact_copy, rewrite_manifest):
    document = json.loads((artifact_copy / CONFIG_FILE).read_bytes())
    document["encoder"]["hidden_size"] += 1
    (artifact_copy / CONFIG_FILE).write_text(json.dumps(document), encoding="utf-8")
    rewrite_manifest(artifact_copy)
    refused(artifact_copy, DETECTOR_FILE, "the head takes .* features, the pooling gives")


# Other files, with a manifest that matches

GARBAGE = {
    "empty": lambda _: b"",
    "garbage": lambda _: b"\x08\x07garbage" * 100,
    "truncated": lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize("change", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("name", [MODEL_FILE, DETECTOR_FILE, TOKENIZER_FILE])
def test_a_file_that_cannot_be_read_is_named(name, change, artifact_copy, change_file, rewrite_manifest):
    change_file(artifact_copy / name, change)
    rewrite_manifest(artifact_copy)
    refused(artifact_copy, name)


@pytest.mark.parametrize("content", [b"[]", b"{}", b'"text"', b'{"model": 5}', b"\xff\xfe", b"null"])
def test_a_tokenizer_that_is_none_is_named(content, light_copy, change_file, rewrite_manifest):
    change_file(light_copy / TOKENIZER_FILE, content)
    rewrite_manifest(light_copy)
    refused(light_copy, TOKENIZER_FILE)
