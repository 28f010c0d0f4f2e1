"""What counts as a text, an origin and a threshold."""

import math

import numpy as np
import pytest

from alknet_firewall import InvalidInputError
from alknet_firewall.text import MAX_CHARACTERS, check_origin, check_text, check_threshold


@pytest.mark.parametrize("text", ["a", " ", "\n", "Grüße 🐝 你好", "tab\tand \x07 bell", "\U0010ffff", "e\u0301\u200b\ufeff"])
def test_a_usable_text_comes_back_as_it_is(text):
    assert check_text(text) is text


@pytest.mark.parametrize("text", [None, b"bytes", 7, 1.5, ["a"], ("a",), object()])
def test_what_is_no_string_is_refused_with_its_type(text):
    with pytest.raises(InvalidInputError, match=f"must be str, not {type(text).__name__}"):
        check_text(text)


def test_an_empty_text_is_refused():
    with pytest.raises(InvalidInputError, match="empty"):
        check_text("")


@pytest.mark.parametrize("place", [0, 3, 9])
@pytest.mark.parametrize(("code", "name"), [(0, "NUL"), (0xD800, "lone surrogate"), (0xDBFF, "lone surrogate"), (0xDFFF, "lone surrogate")])
def test_a_character_that_cannot_be_judged_is_refused_with_its_place(code, name, place):
    secret = "heronsong"
    with pytest.raises(InvalidInputError, match=rf"{name} at character {place}\b") as caught:
        check_text(secret[:place] + chr(code) + secret[place:])
    assert "heron" not in str(caught.value)
    assert "song" not in str(caught.value)


def test_the_first_bad_character_is_the_one_named():
    with pytest.raises(InvalidInputError, match="surrogate at character 1,"):
        check_text("a\ud800b\ud800")


def test_the_limit_on_length_is_exact_and_both_numbers_are_told():
    assert check_text("abcd", 4) == "abcd"
    with pytest.raises(InvalidInputError, match="5 characters, more than the limit of 4"):
        check_text("abcde", 4)


def test_a_text_of_ten_megabytes_is_over_the_default_limit():
    with pytest.raises(InvalidInputError, match=str(MAX_CHARACTERS)):
        check_text("x" * 10_000_000)


@pytest.mark.parametrize("origin", ["prompt", "content"])
def test_the_two_origins_are_known(origin):
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "origin", ["", "Prompt", "content ", "system", None, 0, b"prompt", ["prompt"], ("content",), math.nan, np.array(["prompt", "content"])]
)
def test_any_other_origin_is_refused_and_the_known_ones_are_told(origin):
    with pytest.raises(InvalidInputError, match="'prompt', 'content'"):
        check_origin(origin)


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, 0.5, 5e-324, np.float64(0.25), np.float32(0.5), np.int64(1)])
def test_a_threshold_from_0_to_1_is_taken_unrounded(threshold):
    checked = check_threshold(threshold)
    assert checked == threshold
    assert type(checked) in (float, np.float64)


@pytest.mark.parametrize("threshold", [-1e-9, 1.0000001, -1, 2, math.nan, math.inf, -math.inf, True, False, "0.5", None, 1j, [0.5]])
def test_any_other_threshold_is_refused(threshold):
    with pytest.raises(InvalidInputError, match="number from 0 to 1"):
        check_threshold(threshold)


def test_a_number_too_large_for_a_float_is_refused_like_any_other():
    with pytest.raises(InvalidInputError, match="number from 0 to 1"):
        check_threshold(10**400)
