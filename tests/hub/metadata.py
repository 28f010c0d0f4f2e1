"""What ``/api/validate-yaml`` of :mod:`tests.hub.server` checks of a model card: the rules of the Hub that concern our fields.

After https://github.com/huggingface/hub-docs/blob/main/modelcard.md; the lists hold the commoner values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

BLOCK = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
MODEL_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}|https?://\S+")
LICENCES = {
    *("apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd"),
    *("bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cdla-permissive-2.0", "ecl-2.0", "epl-2.0", "eupl-1.1", "agpl-3.0", "gpl"),
    *("gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "mpl-2.0", "ms-pl", "odc-by", "odbl", "osl-3.0", "postgresql"),
    *("unlicense", "wtfpl", "zlib", "ncsa", "ofl-1.1", "gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "unknown", "other"),
}
TASKS = {"text-classification", "token-classification", "feature-extraction", "text-generation", "zero-shot-classification", "other"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The same check for one value or a list of them."""
    return lambda value: all(map(check, value)) if isinstance(value, list) else check(value)


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "license": (_are(lambda v: v in LICENCES), "must be one of the Hub's licence ids"),
    "base_model": (_are(lambda v: _is_text(v) and MODEL_ID.fullmatch(v) is not None), "must be a model id"),
    "library_name": (_is_text, "must be a string"),
    "pipeline_tag": (lambda v: v in TASKS, "must be one of the Hub's tasks"),
    "tags": (lambda v: isinstance(v, list) and all(map(_is_text, v)), "must be a list of strings"),
    "model-index": (lambda v: isinstance(v, list) and all("name" in m and "results" in m for m in v), "must be a list of results"),
}


def check_card(content: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Errors and warnings, each with a ``message``."""
    block = BLOCK.match(content)
    if block is None:
        return [], [{"message": "empty or missing yaml metadata in repo card"}]
    try:
        metadata = yaml.safe_load(block[1])
    except yaml.YAMLError:
        return [{"message": "the metadata is not valid YAML"}], []
    if not isinstance(metadata, dict):
        return [{"message": "the metadata must be an object"}], []
    broken = [f'"{key}" {words}' for key, (holds, words) in RULES.items() if key in metadata and not holds(metadata[key])]
    return [{"message": message} for message in broken], []
