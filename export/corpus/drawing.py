"""Draws parts: fills their slots, wraps, pairs and disguises them. What rows they make is said in :mod:`export.corpus.compose`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from export.corpus.disguise import DISGUISES, READABLE
from export.corpus.parts import Block, Parts, fill, place
from export.corpus.row import Row

NEUTRAL_WRAPPERS = ("markup", "delimiter", "urgent", "posed_todo", "posed_colleague", "bare_context")
"""Wrappers that harmless parts wear too; the others pose as a user, a system or a tool, which is an attack in itself."""

REQUESTED = ("task", "agent_task", "code", "constraints")
"""Ordinary requests that are injected instructions when a document makes them."""

TYPED = ("override", "role_hijack", "fake_turn", "extract_direct", "policy", "completion")
"""Attacks that users type, and that are as often put into a document."""

DESCRIPTIONS = ("tool_mcp",)
"""Documents that tell an agent how a tool is used: orders to it are harmless there as long as they serve the tool's purpose."""

TRIGGERED = 0.12
"""Share of attacks in content that are drawn from those with a trigger phrase; most have none."""

BARE = 0.3
"""Share of twins that are the document alone: what it asks for itself belongs there, and what was put in does not. The others have
something harmless that does not belong there either, or everything odd would be an attack."""


class Drawer:
    """What every row needs."""

    def __init__(self, parts: Parts, seed: int) -> None:
        """Start a sequence of rows that `seed` determines."""
        self.parts, self.rng, self._pairs = parts, random.Random(seed), 0

    @cached_property
    def _lists(self) -> dict[str, dict[str, list[str]]]:
        names = (
            "direct.en",
            "jailbreak.en",
            "payload.en",
            "wrapper.en",
            "people.en",
            "content.benign.en",
            "request.benign.en",
            "trigger.benign.en",
            "fiction.benign.en",
            "mention.benign.en",
        )
        return {name.split(".")[0]: self.parts.sections(name) for name in names}

    @cached_property
    def _blocks(self) -> dict[str, list[Block]]:
        names = ("context.en", "tool.en", "jailbreak.en", "fiction.benign.en", "system.benign.en")
        return {name.split(".")[0]: self.parts.blocks(name) for name in names}

    def _pick(self, name: str, sections: tuple[str, ...] | None = None) -> tuple[str, str]:
        """A section and a filled part of a list, sections weighted by the root of their size."""
        lists = self._lists[name]
        names = list(sections or lists)
        section = self.rng.choices(names, [len(lists[n]) ** 0.5 for n in names])[0]
        return section, self._fill(self.rng.choice(lists[section]))

    def _fill(self, text: str) -> str:
        return fill(text, self.parts.slots, self.rng)

    def _disguised(self, row: Row) -> Row:
        """The row, now and then in a disguise; encodings of long texts are left out, since nobody could read them."""
        if self.rng.random() > 0.12:
            return row
        names = [n for n in DISGUISES if n in READABLE or len(row.text) < 400]
        name = self.rng.choice(names)
        return replace(row, text=DISGUISES[name](row.text, self.rng), disguise=name, injected=None)

    def _untidy(self, *texts: str) -> tuple[str, ...]:
        """The texts, now and then all in the same one of the disguises that people use by accident, with its name first."""
        if self.rng.random() > 0.08:
            return "", *texts
        name = self.rng.choice(READABLE)
        return name, *(DISGUISES[name](text, self.rng) for text in texts)

    def _longer(self, text: str, name: str) -> str:
        """The text, often with one or two more requests behind it: attacks are longer than most requests, and length must not tell."""
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            text = self.rng.choice(["\n", " ", "\n\n"]).join([text, self._pick(name if self.rng.random() < 0.3 else "request")[1]])
        return text

    def _language(self) -> tuple[str, dict[str, list[str]]]:
        return self.rng.choice(sorted(self.parts.languages.items()))

    def _document(self) -> tuple[str, str]:
        """A filled document with its places left in, now and then several joined to a long one."""
        name = "tool" if self.rng.random() < 0.45 else "context"
        block = self.rng.choice(self._blocks[name])
        text = self._fill_keeping_places(block.text)
        if name == "context" and self.rng.random() < 0.25:
            others = [self._fill_keeping_places(self.rng.choice(self._blocks["context"]).text) for _ in range(self.rng.randint(1, 4))]
            text = "\n\n".join([text, *others])
        return text, block.kind

    def _payload(self) -> tuple[str, str]:
        if self.rng.random() < 0.1:
            section, text = self._pick("request", REQUESTED)
            return f"requested_{section}", text
        if self.rng.random() < 0.08:
            section, text = self._pick("direct", TYPED)
            return f"typed_{section}", text
        sections = tuple(s for s in self._lists["payload"] if s != "conceal")
        sections = ("trigger",) if self.rng.random() < TRIGGERED else sections
        section, text = self._pick("payload", sections)
        if self.rng.random() < 0.08:
            text = f"{text} {self._pick('payload', ('conceal',))[1]}"
        return section, text

    def _wrap(self, payload: str, only: tuple[str, ...] | None = None) -> tuple[str, str]:
        """The payload in a wrapper, or bare."""
        if only == ("",) or self.rng.random() < 0.45:
            return "", payload
        lists = self._lists["wrapper"]
        section = self.rng.choice(sorted(lists))
        return section, place(self._fill_keeping_places(self.rng.choice(lists[section])), payload, self.rng)

    def _twin(self, payload: str, wrapper: str, context: str) -> tuple[str, str | None]:
        """What stands in the harmless twin: a harmless part of about the same length, wrapped alike where that is neutral, or nothing."""
        draw = self.rng.random()
        if draw < BARE:
            return "", None
        text = self._like(payload, lambda: self._harmless(context)[1] if draw < 0.9 else self._pick("trigger", ("statement",))[1])
        if not wrapper or self.rng.random() < 0.2:
            return "", text
        section = wrapper if wrapper in NEUTRAL_WRAPPERS else self.rng.choice(NEUTRAL_WRAPPERS)
        return section, place(self._fill_keeping_places(self.rng.choice(self._lists["wrapper"][section])), text, self.rng)

    def _harmless(self, context: str = "") -> tuple[str, str]:
        """Family and text of something harmless in content: what people are told, what pages and programs say, how a tool is used."""
        if context in DESCRIPTIONS and self.rng.random() < 0.7:
            section, text = self._pick("content", ("tool_usage",))
            return f"content.{section}", text
        name = "people" if self.rng.random() < 0.6 else "content"
        section, text = self._pick(name)
        return f"{name}.{section}", text

    def _lead(self, context: str) -> str:
        """Now and then something harmless that stands right before what is put into a document, attack or not."""
        if self.rng.random() < 0.75:
            return ""
        return self._harmless(context)[1] + self.rng.choice([" ", " ", "\n"])

    def _like(self, text: str, draw: Callable[[], str]) -> str:
        """Of a few draws the one whose length is nearest to a text's: length must not tell a pair apart."""
        return min((draw() for _ in range(4)), key=lambda drawn: abs(len(drawn) - len(text)))

    def _fill_block(self, block: Block) -> str:
        return place(self._fill_keeping_places(block.text), None, self.rng)

    def _fill_keeping_places(self, text: str) -> str:
        """Fill the slots but leave ``{payload}``."""
        return "{payload}".join(self._fill(piece) for piece in text.split("{payload}"))
