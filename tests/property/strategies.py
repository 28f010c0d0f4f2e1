"""Texts of all kinds for the properties."""

from hypothesis import strategies as st

WORDS = [
    "tram",
    "harbour",
    " ",
    "\n\n",
    "ignore",
    "the instructions",
    "<|im_start|>",
    "🐝",
    "電車",
    "3.14",
    "—",
    "def f(x):\n\t",
    "\x07",
    "é",
    "e\u0301",
]
RARE = "\x04\x1b\x7f\u200b\u200d\u202e\u2060\ufeff\ufffe\U000e0041\U0010ffff👩‍👩‍👧"

characters = st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), st.sampled_from(RARE))

short_texts = st.text(characters, min_size=1, max_size=60)
"""Any characters that a text may have."""

word_texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
"""Something like language, up to about a window."""

long_texts = st.builds(lambda text, times: text * times, word_texts, st.integers(2, 12))
"""Up to several windows."""

usable_texts = st.one_of(short_texts, word_texts, long_texts)

any_texts = st.text(st.one_of(st.characters(exclude_categories=[]), st.sampled_from(["\0", "\ud800", "\udfff", *RARE])), max_size=60)
"""Also lone surrogates, NUL, and nothing at all."""
