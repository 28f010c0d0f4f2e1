"""Joins parts to labelled rows, deterministic by seed.

An attack in ``content`` always comes with its twin: the same document with a harmless part, or none, at the same place.
A row knows its parts, so that whole families, contexts, wrappers, languages and disguises can be left out together.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from export.corpus.disguise import DISGUISES, READABLE
from export.corpus.parts import Block, Parts, fill, locate, place
from export.corpus.row import Row

NEUTRAL_WRAPPERS = ("markup", "delimiter", "urgent", "posed_todo", "posed_colleague", "bare_context")
"""Wrappers that harmless parts wear too; the others pose as a user, a system or a tool, which is an attack in itself."""

ASKED = ("plain", "plain_goal_tool")
"""Injected instructions that are ordinary requests when a user types them."""

REQUESTED = ("task", "agent_task", "code", "constraints")
"""Ordinary requests that are injected instructions when a document makes them."""

JSON_KINDS = ("tool_json", "tool_mcp")


class Composer:
    """Draws rows from the parts."""

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
            "request.benign.en",
            "trigger.benign.en",
            "fiction.benign.en",
        )
        return {name.split(".")[0]: self.parts.sections(name) for name in names}

    @cached_property
    def _blocks(self) -> dict[str, list[Block]]:
        names = ("context.en", "tool.en", "jailbreak.en", "fiction.benign.en", "system.benign.en")
        return {name.split(".")[0]: self.parts.blocks(name) for name in names}

    def rows(self) -> Iterator[Row]:
        """Rows without end, about half of them attacks; twins follow each other."""
        makers: list[tuple[Callable[[], Iterator[Row]], float]] = [
            (self._prompt_attack, 3.0),
            (self._prompt_benign, 3.6),
            (self._prompt_long, 0.8),
            (self._content_pair, 3.0),
            (self._content_bare, 1.0),
            (self._language_prompt, 1.6),
            (self._language_content, 1.4),
        ]
        functions, weights = zip(*makers, strict=True)
        while True:
            yield from self.rng.choices(functions, weights)[0]()

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

    def _prompt_attack(self) -> Iterator[Row]:
        draw = self.rng.random()
        if draw < 0.50:
            section, text = self._pick("direct")
            row = Row(text, 1, "prompt", f"direct.{section}")
        elif draw < 0.72:
            section, text = self._pick("jailbreak")
            row = Row(text, 1, "prompt", f"jailbreak.{section}")
        elif draw < 0.84:
            row = Row(self._fill(self.rng.choice(self._blocks["jailbreak"]).text), 1, "prompt", "jailbreak.long")
        else:
            section, attack = self._pick("direct", ("override", "role_hijack", "fake_turn", "extract_direct", "policy", "completion"))
            _, request = self._pick("request", ("question", "task", "chatty", "code"))
            joined = [request, attack] if self.rng.random() < 0.75 else [attack, request]
            row = _joined(self.rng.choice(["\n", "\n\n", " "]), joined, attack, Row("", 1, "prompt", f"mixed.{section}"))
        yield self._disguised(row)

    def _prompt_benign(self) -> Iterator[Row]:
        draw = self.rng.random()
        name = "request" if draw < 0.38 else "trigger" if draw < 0.63 else "fiction" if draw < 0.78 else "asked" if draw < 0.84 else ""
        if name == "asked":
            section, text = self._pick("payload", ASKED)
            row = Row(text, 0, "prompt", f"asked.{section}")
        elif name:
            section, text = self._pick(name)
            if self.rng.random() < 0.1:
                text = f"{text}\n{self._pick(name)[1]}"
            row = Row(text, 0, "prompt", f"{name}.{section}")
        else:
            block = self.rng.choice(self._blocks[self.rng.choice(["fiction", "system"])])
            row = Row(place(self._fill_block(block), None, self.rng), 0, "prompt", block.kind)
        yield self._disguised(row)

    def _prompt_long(self) -> Iterator[Row]:
        """A user pastes a document: with a request (benign), or with an override as well (attack)."""
        self._pairs += 1
        document, context = self._document()
        clean = place(document, None, self.rng)
        _, request = self._pick("request", ("task", "question"))
        section, attack = self._pick("direct", ("override", "role_hijack", "extract_direct", "fake_turn"))
        yield Row(f"{request}\n\n{clean}", 0, "prompt", "pasted", context=context, pair=self._pairs)
        joined = [request, clean, attack] if self.rng.random() < 0.7 else [attack, clean]
        yield _joined("\n\n", joined, attack, Row("", 1, "prompt", f"pasted.{section}", context=context, pair=self._pairs))

    def _content_pair(self) -> Iterator[Row]:
        """A document with an injected instruction, and its harmless twin."""
        self._pairs += 1
        document, context = self._document()
        section, payload = self._payload()
        wrapper, wrapped = self._wrap(payload, ("",) if section == "trigger" and self.rng.random() < 0.5 else None)
        twin_wrapper, twin = self._twin()
        state = self.rng.getstate()
        escaped = _escaped(wrapped, context)
        attack, start = locate(document, escaped, self.rng)
        self.rng.setstate(state)
        benign = place(document, None if twin is None else _escaped(twin, context), self.rng)
        injected = (start, start + len(escaped))
        yield Row(attack, 1, "content", f"payload.{section}", context=context, wrapper=wrapper, pair=self._pairs, injected=injected)
        yield Row(benign, 0, "content", "document", context=context, wrapper=twin_wrapper, pair=self._pairs)

    def _content_bare(self) -> Iterator[Row]:
        """Short content: an instruction alone or after a few sentences, and short harmless content."""
        section, payload = self._payload()
        wrapper, wrapped = self._wrap(payload)
        lead = self._pick("people", ("note", "ask_people", "quote"))[1]
        separator, joined = self.rng.choice([("", [wrapped]), (" ", [lead, wrapped]), ("\n", [lead, wrapped]), ("\n", [wrapped, lead])])
        yield self._disguised(
            _joined(separator, joined, wrapped, Row("", 1, "content", f"payload.{section}", context="short", wrapper=wrapper))
        )
        draw = self.rng.random()
        if draw < 0.55:
            kind, benign = self._pick("people")
        elif draw < 0.75:
            kind, benign = self._pick("trigger", ("statement", "business", "technical"))
        else:
            block = self.rng.choice(self._blocks["system"])
            kind, benign = block.kind, self._fill_block(block)
            if kind == "system_prompt":  # rules for an assistant inside retrieved content would be an injection
                kind, benign = self._pick("people")
        yield self._disguised(Row(benign, 0, "content", f"people.{kind}", context="short"))

    def _language_prompt(self) -> Iterator[Row]:
        code, sections = self._language()
        section = self.rng.choice(["direct", "extract", "jailbreak"])
        attack = self._fill(self.rng.choice(sections[section]))
        benign_section = self.rng.choice(["request", "request", "innocent"])
        benign = self._fill(self.rng.choice(sections[benign_section]))
        if self.rng.random() < 0.25:
            attack = f"{self._fill(self.rng.choice(sections['request']))}\n{attack}"
        yield self._disguised(Row(attack, 1, "prompt", f"language.{section}", language=code))
        yield self._disguised(Row(benign, 0, "prompt", f"language.{benign_section}", language=code))

    def _language_content(self) -> Iterator[Row]:
        self._pairs += 1
        code, sections = self._language()
        document = self._fill_keeping_places(self.rng.choice(sections["document"]))
        section = self.rng.choice(["payload_trigger", "payload_plain"])
        payload = self._fill(self.rng.choice(sections[section])) if self.rng.random() < 0.8 else self._payload()[1]
        twin = self._fill(self.rng.choice(sections["people"])) if self.rng.random() < 0.7 else None
        text, start = locate(document, payload, self.rng)
        kinds: dict[str, Any] = {"language": code, "context": "document", "pair": self._pairs}
        yield Row(text, 1, "content", f"language.{section}", injected=(start, start + len(payload)), **kinds)
        yield Row(place(document, twin, self.rng), 0, "content", "language.document", **kinds)

    def _language(self) -> tuple[str, dict[str, list[str]]]:
        return self.rng.choice(sorted(self.parts.languages.items()))

    def _document(self) -> tuple[str, str]:
        """A filled document with its places left in, now and then several joined to a long one."""
        name = "tool" if self.rng.random() < 0.4 else "context"
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
        sections = tuple(s for s in self._lists["payload"] if s != "conceal")
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

    def _twin(self) -> tuple[str, str | None]:
        """What stands in the harmless twin: a part for people, wrapped or bare, or nothing."""
        draw = self.rng.random()
        if draw < 0.30:
            return "", None
        _, text = self._pick("people") if draw < 0.85 else self._pick("trigger", ("statement", "business", "technical"))
        if self.rng.random() < 0.6:
            return "", text
        section = self.rng.choice(NEUTRAL_WRAPPERS)
        return section, place(self._fill_keeping_places(self.rng.choice(self._lists["wrapper"][section])), text, self.rng)

    def _fill_block(self, block: Block) -> str:
        return place(self._fill_keeping_places(block.text), None, self.rng)

    def _fill_keeping_places(self, text: str) -> str:
        """Fill the slots but leave ``{payload}``."""
        return "{payload}".join(self._fill(piece) for piece in text.split("{payload}"))


def _joined(separator: str, pieces: list[str], attack: str, row: Row) -> Row:
    """The row with the pieces as its text, of which one is the attack."""
    start = len(separator.join([*pieces[: pieces.index(attack)], ""])) if pieces.index(attack) else 0
    return replace(row, text=separator.join(pieces), injected=(start, start + len(attack)))


def _escaped(text: str, context: str) -> str:
    """Text as it stands inside a JSON string, where the context is JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1] if context in JSON_KINDS else text


def compose(parts: Parts, n_rows: int, seed: int) -> Iterator[Row]:
    """Distinct rows.

    Parameters
    ----------
    parts : Parts
    n_rows : int
        How many.
    seed : int
        The same seed and parts give the same rows.

    Yields
    ------
    Row
        No two with the same text and origin, white space and case aside.

    Raises
    ------
    ValueError
        If the parts cannot give so many: a thousand repeats came one after the other.
    """
    seen: set[tuple[str, str]] = set()
    repeats = 0
    for row in Composer(parts, seed).rows():
        key = (row.origin, " ".join(row.text.lower().split()))
        if not key[1] or key in seen:
            repeats += 1
            if repeats > 1000:
                raise ValueError(f"The parts give no more than {len(seen)} distinct rows. Ask for fewer, or write more parts.")
            continue
        repeats = 0
        seen.add(key)
        yield row
        if len(seen) == n_rows:
            return
