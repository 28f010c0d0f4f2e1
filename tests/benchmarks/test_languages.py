"""The texts that benchmarks/languages.py measures on."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from benchmarks.languages import TEXTS, read_texts  # noqa: E402
from export.corpus.parts import Parts, read_list  # noqa: E402
from export.data import ENGLISH  # noqa: E402

LANGUAGES = sorted(path.stem for path in TEXTS.glob("*.list"))


def test_there_are_twenty_languages_beside_english():
    assert ENGLISH in LANGUAGES
    assert len(LANGUAGES) > 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_attacks_and_harmless_texts_of_both_origins(language):
    counts = {name: len(own) for name, own in read_list(TEXTS / f"{language}.list").items()}
    assert set(counts) == {"prompt_attack", "prompt_harmless", "content_attack", "content_harmless"}
    assert min(counts.values()) >= 10


@pytest.mark.parametrize("origin", ["prompt", "content"])
def test_no_text_is_of_the_corpus(origin):
    texts, labels, languages = read_texts(origin)
    parts = {part for sections in Parts().languages.values() for own in sections.values() for part in own if len(part) > 40}
    assert not [text for text in texts if any(part in text for part in parts if part[:12] in text)]
    assert set(labels.tolist()) == {0, 1}
    assert len(set(texts)) == len(texts) == len(languages)
