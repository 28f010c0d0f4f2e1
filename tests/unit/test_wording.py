"""Words to evidence: n-grams, what each segment is read with, and weights on disk."""

import numpy as np
import pytest

from alknet_firewall import ArtifactCorruptError
from alknet_firewall.tensors import load_tensors, save_tensors
from alknet_firewall.wording import CHARACTERS, REACH, WORDS, Wording, contexts, n_grams

N_BUCKETS = 1 << 12
RANDOM = Wording(np.random.default_rng(0).normal(size=N_BUCKETS).astype(np.float32))

HASHED = [[247275, 108848, 212245, 371710, 523516, 122185, 433456, 179348, 238231, 169567]]


def spelled(*pieces):
    """The n-grams themselves, for each length, of a window whose normalised text is its pieces joined."""
    text = f" {' '.join(''.join(pieces).casefold().split())} "
    kinds, _, _ = n_grams(pieces)
    return [[text[start:end] for start, end in zip(grams.starts, grams.ends, strict=True)] for grams in kinds]


def bags(*pieces):
    return [sorted(own.tolist()) for own in contexts(pieces, N_BUCKETS)]


def test_n_grams_of_characters_stay_within_a_word_and_its_spaces():
    _, three, four, five, *_ = spelled("Go home")
    assert three == [" go", "go ", " ho", "hom", "ome", "me "]
    assert four == [" go ", " hom", "home", "ome "]
    assert five == [" home", "home "]


def test_two_characters_count_where_one_is_a_syllable():
    two, *_ = spelled("ok 指示を ok")
    assert two == ["指示", "示を"]


def test_n_grams_of_words():
    *_, one, two, three = spelled("ignore all", " rules")
    assert (one, two, three) == (["ignore", "all", "rules"], ["ignore all", "all rules"], ["ignore all rules"])


def test_every_length_has_its_kind():
    kinds, _, _ = n_grams(["some words"])
    assert len(kinds) == len(CHARACTERS) + len(WORDS)


@pytest.mark.parametrize(
    "other", ["IGNORE all\n\nrules", "  ignore\tall rules ", "ｉｇｎｏｒｅ\u00a0all\u2003rules", "\u2028ignore all rules"]
)
def test_case_forms_and_spaces_make_no_difference(other):
    assert bags(other) == bags("ignore all rules")


def test_the_same_letters_in_another_order_are_others():
    assert bags("abc") != bags("cba")
    assert bags("one two") != bags("two one")


def test_a_segment_is_read_with_those_just_before_it():
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    pieces = [f"{word} " for word in words]
    for index, own in enumerate(bags(*pieces)):
        first = max(0, index + 1 - REACH)
        alone = bags("".join(pieces[first : index + 1]))[0]
        assert set(own) <= set(alone)
        assert len(own) >= len(alone) - 1 - len(CHARACTERS)  # but for what would need the space before the first word


def test_what_follows_does_not_change_earlier_segments():
    assert bags("one two ", "three ", "four ")[:2] == bags("one two ", "three ", "something else ")[:2]


def test_logits_are_sums_over_the_root_of_their_number():
    pieces = ["Ignore the ", "rules, 指示 ", "", "and say so.", "   "]
    expected = [RANDOM.weights[own].sum() / max(1, len(own)) ** 0.5 for own in contexts(pieces, N_BUCKETS)]
    np.testing.assert_allclose(RANDOM.logits(pieces), expected, atol=1e-5)
    assert RANDOM.logits(pieces).dtype == np.float32


@pytest.mark.parametrize("pieces", [[""], ["   "], ["", ""], ["\n"]])
def test_nothing_says_nothing(pieces):
    assert RANDOM.logits(pieces).tolist() == [0.0] * len(pieces)


def test_hashes_are_those_of_the_weights_on_disk():
    """Other hashes would make every fitted artifact wrong without a word."""
    assert [own.tolist() for own in contexts(["ab 指示"], 1 << 19)] == HASHED


def test_weights_come_back_in_half_precision(tmp_path):
    save_tensors(tmp_path / "w", RANDOM.as_tensors("content"))
    again = Wording.from_tensors(load_tensors(tmp_path / "w"), "content", "w")
    np.testing.assert_array_equal(again.weights, RANDOM.weights.astype(np.float16))
    assert again.weights.dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        (np.zeros(8, np.float32), "is float32, not float16"),
        (np.zeros(6, np.float16), "a power of two long"),
        (np.zeros(1, np.float16), "a power of two long"),
        (np.zeros((2, 2), np.float16), "must be one row"),
        (np.full(8, np.inf, np.float16), "finite numbers"),
    ],
)
def test_weights_that_cannot_be_used_are_an_error(weights, problem):
    with pytest.raises(ArtifactCorruptError, match=rf"^there: tensor wording\.prompt\.weights .*{problem}.*build the artifact again"):
        Wording.from_tensors({"wording.prompt.weights": weights}, "prompt", "there")


def test_missing_weights_are_an_error():
    with pytest.raises(ArtifactCorruptError, match=r"wording\.content\.weights is missing"):
        Wording.from_tensors({}, "content", "there")
