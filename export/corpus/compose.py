"""Joins parts to labelled rows, deterministic by seed.

An attack in ``content`` always comes with its twin: the same document with a harmless part, or none, at the same place.
A row knows its parts, so that whole families, contexts, wrappers, languages and disguises can be left out together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from export.corpus.drawing import DESCRIPTIONS, Drawer
from export.corpus.parts import Parts, locate, place
from export.corpus.row import Row

ASKED = ("plain", "plain_goal_tool")
"""Injected instructions that are ordinary requests when a user types them."""

LANGUAGE_ATTACKS = ("direct", "direct", "extract", "jailbreak")
LANGUAGE_HARMLESS = ("request", "request", "innocent", "problem", "persona", "story")
LANGUAGE_LEADS = ("request", "problem", "story")
"""Sections of a language's file that stand in prompts; the leads are followed by an attack as often as by something harmless."""

JSON_KINDS = ("tool_json", "tool_mcp")

PLAINLY = 0.2
"""Share of attacks in prompts that are drawn from the plainest section, so that words such as "ignore" are not mostly harmless ones."""

LANGUAGE_PAYLOADS = ("payload_trigger", "payload_plain", "payload_trigger", "payload_plain", "direct")
"""Sections of a language's file that are put into content."""


class Composer(Drawer):
    """Draws rows from the parts."""

    def draws(self) -> Iterator[list[Row]]:
        """Rows that belong together, without end; about half of all rows are attacks."""
        makers: list[tuple[Callable[[], Iterator[Row]], float]] = [
            (self._prompt_attack, 3.0),
            (self._prompt_benign, 3.6),
            (self._prompt_long, 0.8),
            (self._content_pair, 3.0),
            (self._content_bare, 1.8),
            (self._language_prompt, 2.6),
            (self._language_content, 2.2),
        ]
        functions, weights = zip(*makers, strict=True)
        while True:
            yield list(self.rng.choices(functions, weights)[0]())

    def _prompt_attack(self) -> Iterator[Row]:
        draw = self.rng.random()
        if draw < 0.50:
            section, text = self._pick("direct", ("override",) if self.rng.random() < PLAINLY else None)
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
        name = "request" if draw < 0.43 else "trigger" if draw < 0.59 else "fiction" if draw < 0.74 else "asked" if draw < 0.80 else ""
        name = name or ("mention" if draw < 0.86 else "shown" if draw < 0.89 else "")
        if name == "asked":
            section, text = self._pick("payload", ASKED)
            row = Row(self._longer(text, "request"), 0, "prompt", f"asked.{section}")
        elif name == "mention":
            quoted = self._pick(self.rng.choice(["direct", "jailbreak", "payload"]))[1]
            frame = self.rng.choice(self._lists["mention"]["frame"])
            row = Row(place(self._fill_keeping_places(frame), quoted, self.rng), 0, "prompt", "mention.quoted")
        elif name == "shown":
            shown, text = self._harmless()
            row = Row("\n\n".join([self._pick("request", ("question", "task"))[1], text]), 0, "prompt", f"shown.{shown}")
        elif name:
            section, text = self._pick(name)
            row = Row(self._longer(text, name), 0, "prompt", f"{name}.{section}")
        else:
            block = self.rng.choice(self._blocks[self.rng.choice(["fiction", "system"])])
            row = Row(place(self._fill_block(block), None, self.rng), 0, "prompt", block.kind)
        yield self._disguised(row)

    def _prompt_long(self) -> Iterator[Row]:
        """A user pastes a document: with requests (benign), or with an override in place of the last one (attack)."""
        self._pairs += 1
        document, context = self._document()
        clean = place(document, None, self.rng)
        _, request = self._pick("request", ("task", "question"))
        section, attack = self._pick("direct", ("override", "role_hijack", "extract_direct", "fake_turn"))
        other = self._like(attack, lambda: self._pick(self.rng.choice(["request", "trigger"]))[1])
        behind = self.rng.random() < 0.7
        pieces = [request, clean, other] if behind else [other, clean]
        yield Row("\n\n".join(pieces), 0, "prompt", "pasted", context=context, pair=self._pairs)
        joined = [request, clean, attack] if behind else [attack, clean]
        yield _joined("\n\n", joined, attack, Row("", 1, "prompt", f"pasted.{section}", context=context, pair=self._pairs))

    def _content_pair(self) -> Iterator[Row]:
        """A document with an injected instruction, and its harmless twin."""
        self._pairs += 1
        document, context = self._document()
        section, payload = self._payload()
        wrapper, wrapped = self._wrap(payload, ("",) if section == "trigger" and self.rng.random() < 0.5 else None)
        twin_wrapper, twin = self._twin(payload, wrapper, context)
        disguise, wrapped, told = self._untidy(wrapped, twin or "")
        lead, escaped = (_escaped(text, context) for text in (self._lead(context), wrapped))
        state = self.rng.getstate()
        attack, start = locate(document, lead + escaped, self.rng)
        self.rng.setstate(state)
        harmless = lead + _escaped(told, context)
        benign = place(document, harmless.rstrip() or None, self.rng)
        injected = (start + len(lead), start + len(lead) + len(escaped))
        kinds: dict[str, Any] = {"context": context, "disguise": disguise, "pair": self._pairs}
        yield Row(attack, 1, "content", f"payload.{section}", wrapper=wrapper, injected=injected, **kinds)
        yield Row(benign, 0, "content", "document", wrapper=twin_wrapper, **kinds)

    def _content_bare(self) -> Iterator[Row]:
        """Short content: an instruction alone or after a few sentences, and short harmless content."""
        section, payload = self._payload()
        wrapper, wrapped = self._wrap(payload)
        lead = self._harmless()[1]
        leads = self.rng.random() < 0.5
        separator, joined = self.rng.choice([("", [wrapped]), (" ", [lead, wrapped]), ("\n", [lead, wrapped]), ("\n", [wrapped, lead])])
        yield self._disguised(
            _joined(separator, joined, wrapped, Row("", 1, "content", f"payload.{section}", context="short", wrapper=wrapper))
        )
        draw = self.rng.random()
        if draw < 0.75:
            family, benign = self._harmless(self.rng.choice(["", "", "", *DESCRIPTIONS]))
        elif draw < 0.87:
            family, benign = "people.statement", self._pick("trigger", ("statement",))[1]
        else:  # rules for an assistant are left out: inside retrieved content they would be an injection
            block = self.rng.choice([block for block in self._blocks["system"] if block.kind != "system_prompt"])
            family, benign = f"people.{block.kind}", self._fill_block(block)
        if leads and len(benign) < 200:
            benign = self.rng.choice([" ", "\n"]).join([benign, self._harmless()[1]])
        yield self._disguised(Row(benign, 0, "content", family, context="short"))

    def _language_prompt(self) -> Iterator[Row]:
        """An attack and a harmless prompt of one language; either may follow a harmless one, so that neither length nor a topic tells."""
        code, sections = self._language()
        for label, kinds in ((1, LANGUAGE_ATTACKS), (0, LANGUAGE_HARMLESS)):
            section = self.rng.choice(kinds)
            text = self._fill(self.rng.choice(sections[section]))
            if self.rng.random() < 0.35:
                text = f"{self._fill(self.rng.choice(sections[self.rng.choice(LANGUAGE_LEADS)]))}\n{text}"
            yield self._disguised(Row(text, label, "prompt", f"language.{section}", language=code))

    def _language_content(self) -> Iterator[Row]:
        """A document of one language, or what a person is told, with an injected instruction, and its harmless twin."""
        self._pairs += 1
        code, sections = self._language()
        short = self.rng.random() < 0.3
        said = self._fill(self.rng.choice(sections["people"]))
        document = self._fill_keeping_places(self.rng.choice(sections["document"]))
        if short:
            document = self.rng.choice(["{payload}", f"{said} {{payload}}", f"{{payload}}\n{said}"])
        section = self.rng.choice(LANGUAGE_PAYLOADS)
        payload = self._fill(self.rng.choice(sections[section])) if self.rng.random() < 0.8 else self._payload()[1]
        twin = self._fill(self.rng.choice(sections["people"])) if short or self.rng.random() < 0.7 else None
        state = self.rng.getstate()
        text, start = locate(document, payload, self.rng)
        self.rng.setstate(state)
        kinds: dict[str, Any] = {"language": code, "context": "short" if short else "document", "pair": self._pairs}
        yield Row(text, 1, "content", f"language.{section}", injected=(start, start + len(payload)), **kinds)
        yield Row(place(document, twin, self.rng), 0, "content", "language.document", **kinds)


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
        No two with the same text and origin, white space and case aside; of rows that belong together all or none, but for the last ones.

    Raises
    ------
    ValueError
        If the parts cannot give so many: a thousand repeats came one after the other.
    """
    seen: set[tuple[str, str]] = set()
    repeats = 0
    for rows in Composer(parts, seed).draws():
        keys = {(row.origin, " ".join(row.text.lower().split())) for row in rows}
        if len(keys) < len(rows) or not all(text for _, text in keys) or keys & seen:
            repeats += 1
            if repeats > 1000:
                raise ValueError(f"The parts give no more than {len(seen)} distinct rows. Ask for fewer, or write more parts.")
            continue
        repeats = 0
        yield from rows[: n_rows - len(seen)]
        seen |= keys
        if len(seen) >= n_rows:
            return
