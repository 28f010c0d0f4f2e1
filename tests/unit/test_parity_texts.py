"""Texts that a graph is compared with torch on: of every awkward length, whatever sentences the self-test has."""

import pytest

from alknet_firewall.errors import InvalidInputError
from alknet_firewall.parity.texts import _cut_to, parity_texts


def test_the_embedded_artifact_is_compared_around_one_window_and_on_several(embedded):
    size = embedded.artifact.config.window.size
    counts = {len(embedded.reader.tokenizer.encode(text).ids) for text in parity_texts(embedded)}
    assert counts >= {1, 2, size - 1, size, size + 1, 2 * size + size // 3}


@pytest.mark.parametrize("n_tokens", range(20, 32))
def test_characters_of_several_tokens_do_not_stand_in_the_way_of_a_length(embedded, n_tokens):
    text = "🧿🪬" * 40
    cut = _cut_to(embedded, text, n_tokens)
    assert len(embedded.reader.tokenizer.encode(cut).ids) == n_tokens
    assert cut.startswith("🧿🪬")


def test_a_text_that_is_too_short_is_an_error(embedded):
    with pytest.raises(InvalidInputError, match="has 500 tokens"):
        _cut_to(embedded, "too short", 500)
