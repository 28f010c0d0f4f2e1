"""``info``, ``verify``, ``doctor`` and ``parity``: what they say of a good artifact and of a broken one."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version

import pytest

import alknet_firewall
from alknet_firewall.artifact import ARTIFACT_FILES
from alknet_firewall.cli.artifact import RUNTIME_PACKAGES

FORMATS = ("text", "json")


def flipped(content: bytes) -> bytes:
    """The same length, one bit changed in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def broken_module(folder, module, error):
    """A folder for PYTHONPATH where importing `module` raises `error`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(f"raise {error}\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


@pytest.fixture
def change(artifact_copy, change_file, rewrite_manifest):
    """``change(name, content)``: other content, as bytes or as a function of the old; an honest manifest agrees with it."""

    def call(name, content, *, honest=True):
        change_file(artifact_copy / name, content)
        if honest:
            rewrite_manifest(artifact_copy)

    return call


@pytest.fixture
def change_case(change):
    """``change_case(function)``: what the function does to the first case of the self-test."""

    def call(function):
        def changed(content):
            document = json.loads(content)
            function(document["cases"][0])
            return json.dumps(document).encode()

        change("selftest.json", changed)

    return call


# --- info


def test_info_shows_what_the_artifact_is(run, embedded):
    facts = json.loads(run("info", "--format", "json").stdout)
    artifact = embedded.artifact
    config = json.loads(json.dumps(artifact.config.as_dict()))
    assert facts["artifact"] == artifact.id
    assert facts["manifest_sha256"] == artifact.sha256
    assert facts["base_model"] == config["base_model"]
    assert facts["encoder"] == config["encoder"]
    assert facts["window"] == config["window"]
    assert facts["operating_points"] == config["operating_points"]
    assert facts["files"] == {name: artifact.path(name).stat().st_size for name in ARTIFACT_FILES}
    assert facts["size_bytes"] == sum(facts["files"].values())
    assert facts["built_with"] == artifact.manifest.tools


def test_info_shows_what_is_installed(run):
    versions = json.loads(run("info", "--format", "json").stdout)["versions"]
    expected = {name: version(name) for name in RUNTIME_PACKAGES}
    assert versions == {**expected, "alknet-firewall": alknet_firewall.__version__, "python": platform.python_version()}


def test_info_shows_the_threads_that_a_scan_would_use(run):
    def threads(*options, **environment):
        return json.loads(run("info", "--format", "json", *options, **environment).stdout)["threads"]

    assert threads(ALKNET_FIREWALL_THREADS="3") == 3
    assert threads("--threads", "5", ALKNET_FIREWALL_THREADS="3") == 5


def test_info_for_a_person_shows_the_same_facts_a_line_each(run):
    facts = json.loads(run("info", "--format", "json").stdout)
    lines = run("info").stdout.splitlines()
    assert [line.split()[0].rstrip(":") for line in lines if not line.startswith(" ")] == list(facts)
    base = facts["base_model"]
    for shown in (base["id"], base["revision"], str(facts["encoder"]["layer"]), facts["encoder"]["precision"]):
        assert any(line.split()[-1] == shown for line in lines)
    for point in facts["operating_points"]:
        assert any(f"origin {point['origin']}" in line and f"threshold {point['threshold']!r}" in line for line in lines)
    assert not [line for line in lines if "{" in line or "['" in line]


@pytest.mark.parametrize("command", ["info", "verify", "scan"])
def test_folder_that_is_no_artifact_is_an_error_that_says_so(run, tmp_path, command):
    text = ["-t", "Good."] if command == "scan" else []
    for folder, words in ((tmp_path, "manifest.json is missing"), (tmp_path / "absent", "there is no such folder")):
        answer = run(command, *text, "--artifact", folder)
        assert (answer.code, answer.stdout) == (1, "")
        assert words in answer.stderr


@pytest.mark.parametrize("name", ["n" * 300, "no/such/folder", "http://127.0.0.1/x"])
def test_name_that_is_neither_folder_nor_hub_id_is_an_error(run, name):
    answer = run("scan", "-t", "Good.", "--artifact", name)
    assert (answer.code, answer.stdout) == (1, "")
    assert "there is no such folder, and it is no Hub id" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "--revision", "main"], "Leave the revision out"),
        (["verify", "--sha256", "abc"], "not 64 hex digits"),
        (["download", "name"], "must be the Hub id org/name"),
        (["download", "name", "--revision", "main"], "must be the Hub id org/name"),
        (["download", "./folder", "--revision", "main"], "must be the Hub id org/name"),
        (["download", "org/name"], "Give the commit to fetch with --revision"),
        (["download", "org/name@one", "--revision", "two"], "has two revisions"),
        (["download", "org/name@one", "--sha256", "abc"], "not 64 hex digits"),
    ],
)
def test_options_that_name_no_artifact_are_wrong_usage(run, arguments, words):
    answer = run(*arguments)
    assert (answer.code, answer.stdout) == (2, "")
    assert words in answer.stderr


# --- verify


def test_verify_passes_on_a_good_artifact(run, artifact_copy):
    n_cases = len(json.loads((artifact_copy / "selftest.json").read_bytes())["cases"])
    for options in ([], ["--artifact", artifact_copy]):
        answer = run("verify", *options)
        assert (answer.code, answer.stderr) == (0, "")
        assert f"{len(ARTIFACT_FILES)} files have the sha256" in answer.stdout
        assert f"self-test: {n_cases} texts, largest score difference" in answer.stdout
        assert answer.stdout.endswith(" 0 verdicts differ\n")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "detector.safetensors", "LICENSE"])
def test_changed_file_is_named_by_verify_and_stops_a_scan(run, artifact_copy, change, name):
    change(name, flipped, honest=False)
    for command in (["verify"], ["info"], ["scan", "-t", "Good.", "--threshold", "1"]):
        answer = run(*command, "--artifact", artifact_copy)
        assert (answer.code, answer.stdout) == (1, "")
        assert f"{name} has sha256" in answer.stderr


def test_verify_finds_a_score_that_this_build_does_not_give(run, artifact_copy, change_case):
    change_case(lambda case: case.update(score=case["score"] + (0.1 if case["score"] < 0.5 else -0.1)))
    answer = run("verify", "--artifact", artifact_copy)
    assert answer.code == 1
    assert "largest score difference 0.1, 0 verdicts differ" in answer.stdout
    assert "The self-test allows a difference of" in answer.stderr


def test_verify_finds_a_verdict_that_this_build_does_not_give(run, artifact_copy, change_case):
    change_case(lambda case: case.update(flagged=not case["flagged"]))
    answer = run("verify", "--artifact", artifact_copy)
    assert answer.code == 1
    assert answer.stdout.endswith(" 1 verdicts differ\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"tolerance": 0.02, "cases": []}', "at least one case"),
        (b'{"tolerance": 0.02, "cases": [{"text": "a", "origin": "prompt", "score": NaN, "flagged": false}]}', "must be a finite number"),
        (b'{"tolerance": 0.02}', "misses 'cases'"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_self_test_that_tests_nothing_is_refused(run, artifact_copy, change, command, content, words):
    change("selftest.json", content)
    answer = run(command, "--artifact", artifact_copy)
    assert answer.code == 1
    assert words in answer.stdout + answer.stderr


# --- doctor


def test_doctor_passes_every_step_here(program):
    answer = program("doctor")
    assert (answer.code, answer.stderr) == (0, "")
    steps = [line.split()[:2] for line in answer.stdout.splitlines() if not line.startswith(" ")]
    assert {status for status, _ in steps} <= {"pass", "warn"}
    names = [name for _, name in steps]
    assert names == ["python", "processor", "threads", *RUNTIME_PACKAGES, "cache", "offline", "artifact", "torch"]


def test_doctor_in_json_says_what_was_found(program, tmp_path):
    answer = program("doctor", "--format", "json", HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(tmp_path), ALKNET_FIREWALL_THREADS="1")
    steps = {step["name"]: step for step in json.loads(answer.stdout)}
    assert all(set(step) == {"name", "status", "found", "advice"} for step in steps.values())
    assert platform.python_version() in steps["python"]["found"]
    assert steps["threads"]["found"].startswith("1 (")
    assert steps["cache"]["found"] == str(tmp_path)
    assert steps["offline mode"]["found"].startswith("on")
    for package in RUNTIME_PACKAGES:
        assert steps[package]["found"].startswith(f"{version(package)}, imported in ")


@pytest.mark.parametrize("output", FORMATS)
def test_doctor_fails_on_a_broken_artifact_and_says_what_to_do(run, artifact_copy, change, output):
    change("tokenizer.json", flipped, honest=False)
    answer = run("doctor", "--artifact", artifact_copy, "--format", output)
    assert answer.code == 1
    if output == "json":
        (failed,) = [step for step in json.loads(answer.stdout) if step["status"] == "fail"]
        assert (failed["name"], failed["found"]) == ("artifact", "ArtifactCorruptError")
        assert "tokenizer.json has sha256" in failed["advice"]
        assert "Fetch or build the artifact again" in failed["advice"]
    else:
        assert "fail  artifact         ArtifactCorruptError\n" in answer.stdout
        assert "tokenizer.json has sha256" in answer.stdout


def test_doctor_fails_when_scores_are_not_the_artifacts_own(run, artifact_copy, change_case):
    change_case(lambda case: case.update(score=case["score"] + (0.1 if case["score"] < 0.5 else -0.1)))
    answer = run("doctor", "--artifact", artifact_copy, "--format", "json")
    (failed,) = [step for step in json.loads(answer.stdout) if step["status"] == "fail"]
    assert (answer.code, failed["name"]) == (1, "artifact")
    assert "Scores are not the artifact's own" in failed["advice"]


@pytest.mark.parametrize(
    ("module", "error", "failed"),
    [
        ("huggingface_hub", "ImportError('no such thing')", {"huggingface-hub", "cache", "offline mode"}),
        ("onnxruntime", "AttributeError('_ARRAY_API not found')", {"onnxruntime", "artifact"}),
        ("tokenizers", "OSError('lib.so: cannot open shared object file')", {"tokenizers", "artifact"}),
        ("sklearn", "ImportError('no such thing')", {"scikit-learn"}),
    ],
)
def test_doctor_goes_on_past_a_broken_package(program, tmp_path, module, error, failed):
    answer = program("doctor", "--format", "json", **broken_module(tmp_path / "shim", module, error))
    steps = json.loads(answer.stdout)
    assert (answer.code, answer.stderr) == (1, "")
    assert {step["name"] for step in steps if step["status"] == "fail"} == failed
    assert all(step["advice"] for step in steps if step["status"] == "fail")
    assert steps[-1]["name"] == "torch"


# --- parity


@pytest.mark.parametrize("output", FORMATS)
def test_parity_without_torch_says_how_to_install_it(program, tmp_path, output):
    absent = broken_module(tmp_path / "shim", "torch", "ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    answer = program("parity", "--weights", tmp_path, "--format", output, **absent)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr == (
        "Error: The parity check needs torch, which is not installed. Install it with: pip install 'alknet-firewall[torch]'\n"
    )


def test_parity_without_weights_is_a_usage_error(run):
    answer = run("parity")
    assert answer.code == 2
    assert "--weights" in answer.stderr
