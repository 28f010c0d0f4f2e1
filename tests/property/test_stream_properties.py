"""A text in chunks has the tokens, windows and verdict of the whole, wherever it is split."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import usable_texts, word_texts

from alknet_firewall.artifact import TOKENIZER_FILE
from alknet_firewall.firewall import BATCH_TOLERANCE
from alknet_firewall.hub import EMBEDDED_FOLDER
from alknet_firewall.stream.tokens import ArrivingTokens
from alknet_firewall.tokenizer import Tokenizer

DEFINITION = (EMBEDDED_FOLDER / TOKENIZER_FILE).read_text(encoding="utf-8")
PLAIN = Tokenizer(DEFINITION)
BY_DIGIT = json.loads(DEFINITION)
BY_DIGIT["pre_tokenizer"] = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, BY_DIGIT["pre_tokenizer"]],
}
TOKENIZERS = {"as shipped": PLAIN, "digit by digit": Tokenizer(json.dumps(BY_DIGIT))}

PIECES = [
    "'",
    "'s",
    "'r",
    "e",
    "'ll",
    "l",
    "'v",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u00a0",
    "\u3000",
    "\x1c",
    "\x85",
    "12",
    "½",
    "!",
    "...",
    "a",
    "ñ",
]
joints = st.lists(st.sampled_from(PIECES), min_size=1, max_size=30).map("".join)
"""Where the rule for words has its corners: apostrophes, white space of all kinds, digits and signs."""

texts = st.one_of(joints, usable_texts)


def chunks_of(text, cuts):
    """The text, cut at places."""
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@given(text=texts, cuts=st.lists(st.integers(0, 2_000), max_size=40), together=st.sampled_from([1, 1, 4, 32]))
def test_streamed_tokens_are_those_of_the_whole_text_for_any_split(tokenizer, text, cuts, together):
    arriving = ArrivingTokens(tokenizer, together)
    found = [arriving.feed(chunk) for chunk in chunks_of(text, cuts)] + [arriving.close()]
    whole = tokenizer.encode(text)
    assert arriving.is_exact
    assert all(len(tokens) % together == 0 for tokens in found[:-1])
    assert arriving.n_characters == len(text)
    np.testing.assert_array_equal(np.concatenate([tokens.ids for tokens in found]), whole.ids)
    np.testing.assert_array_equal(np.concatenate([tokens.offsets for tokens in found]), whole.offsets)


@given(text=joints, after=joints)
def test_settled_tokens_are_those_of_any_longer_text(text, after):
    for tokenizer in TOKENIZERS.values():
        settled, longer = tokenizer.encode_settled(text), tokenizer.encode(text + after)
        np.testing.assert_array_equal(settled.ids, longer.ids[: len(settled)])
        np.testing.assert_array_equal(settled.offsets, longer.offsets[: len(settled)])


@given(
    text=st.one_of(usable_texts, word_texts),
    cuts=st.lists(st.integers(0, 2_000), max_size=8),
    origin=st.sampled_from(["prompt", "content"]),
)
def test_the_last_verdict_of_a_stream_is_that_of_a_scan(text, cuts, origin, embedded):
    guard = embedded.stream(origin)
    for chunk in chunks_of(text, cuts):
        guard.feed(chunk)
    streamed, scanned = guard.close(), embedded.scan(text, origin)
    assert streamed.score == pytest.approx(scanned.score, abs=BATCH_TOLERANCE)
    assert streamed.windows == scanned.windows
    if abs(scanned.score - scanned.threshold) > BATCH_TOLERANCE:
        assert streamed.flagged == scanned.flagged
        assert guard.flagged_at is not None or not streamed.flagged


def test_in_a_long_text_more_tokens_are_read_at_a_time_but_never_many_beside_what_has_been():
    arriving, given, sizes = ArrivingTokens(PLAIN, 4), 0, []
    for _ in range(400):
        size = len(arriving.feed(" tram"))
        if size:
            assert size <= max(4, given // 8 + 1)
            sizes.append(size)
            given += size
    assert (min(sizes), max(sizes)) == (4, 16)
