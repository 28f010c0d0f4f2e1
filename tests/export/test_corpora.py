"""The list of public sets: read strictly, and rows that differ from it are refused by name."""

import hashlib
from types import SimpleNamespace

import click
import pytest

from export.corpora import CORPORA_FILE, check_rows, held_out_sources, read_corpora, texts_sha256
from export.data import APART, corpus_examples, file_examples, is_corpus

pytestmark = pytest.mark.offline_world

TEXTS = ("first \u00e9", "second", "zeroth")
ENTRY = {
    "name": "a",
    "file": "train.jsonl.gz",
    "role": "held-out",
    "url": "",
    "revision": "",
    "licence": "MIT",
    "mapping": "attack: all",
    "attack": 2,
    "benign": 1,
    "sha256": hashlib.sha256("first \u00e9\0second\0zeroth".encode()).hexdigest(),
}


@pytest.fixture
def write(tmp_path):
    """``write(entry, ...)``: a file with these tables."""

    def write(*entries):
        path = tmp_path / "corpora.toml"
        path.write_text(
            "\n".join("\n".join(["[[source]]", *(f"{k} = {_toml(v)}" for k, v in entry.items())]) for entry in entries), "utf-8"
        )
        return path

    return write


def _toml(value):
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else f'"{value}"'


def rows(texts=TEXTS, labels=(1, 0, 1), source="a"):
    return [SimpleNamespace(text=text, label=label, source=source) for text, label in zip(texts, labels, strict=True)]


def test_the_file_of_the_project_is_whole():
    corpora = read_corpora()
    assert len(corpora) == 47
    assert sum(c.attack + c.benign for c in corpora if c.file == "train.jsonl.gz") == 10_540
    assert sum(c.attack + c.benign for c in corpora if c.file == "dev.jsonl.gz") == 1_042
    assert len({c.sha256 for c in corpora}) == 47


def test_the_sets_held_out_are_held_out():
    held = held_out_sources(CORPORA_FILE)
    assert len([name for name in held if not is_corpus(name) and name != "apart:*"]) == 19
    assert {e.source.partition(":")[0] for e in file_examples([APART])} == {"apart"}
    families = {example.source for example in corpus_examples(8000, seed=1)}
    assert {name for name in held if is_corpus(name)} <= families
    assert {"piarena_dolly_closed_qa", "piarena_dolly_closed_qa_clean", "jbb_JBC", "mgsm"} <= set(held)
    assert {c.name for c in read_corpora() if c.file == "dev.jsonl.gz"} <= set(held)


def test_a_context_and_its_clean_twin_have_one_role():
    roles = {c.name: c.role for c in read_corpora()}
    assert all(roles[name] == roles[f"{name}_clean"] for name in roles if f"{name}_clean" in roles)


def test_rows_as_described_pass_in_any_order(write):
    path = write(ENTRY, {**ENTRY, "name": "absent"})
    assert check_rows(path, rows()) == ["a"]
    assert check_rows(path, rows()[::-1]) == ["a"]


def test_rows_of_other_sources_are_passed_over(write):
    assert check_rows(write(ENTRY), [*rows(), *rows(source="corpus:direct.short")]) == ["a"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (rows()[:2], "1 attack and 1 benign rows, not 2 and 1"),
        (rows(labels=(1, 1, 1)), "3 attack and 0 benign"),
        (rows(("first \u00e9", "second", "zeroth.")), "sha256"),
        ([*rows(), *rows()], "4 attack and 2 benign"),
    ],
    ids=["fewer", "another label", "another text", "repeated"],
)
def test_rows_that_differ_are_refused_by_name(write, changed, message):
    with pytest.raises(click.ClickException, match="a: ") as caught:
        check_rows(write(ENTRY), changed)
    assert message in str(caught.value)


def test_the_message_names_every_source_that_differs(write):
    with pytest.raises(click.ClickException) as caught:
        check_rows(write(ENTRY, {**ENTRY, "name": "b"}), [*rows()[:1], *rows(source="b")[:1]])
    assert "a: 1 attack" in str(caught.value)
    assert "b: 1 attack" in str(caught.value)


def test_the_hash_is_of_the_sorted_texts():
    assert texts_sha256(reversed(TEXTS)) == ENTRY["sha256"]
    assert texts_sha256(["ab", "c"]) != texts_sha256(["a", "bc"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "test"}, "role is 'test'"),
        ({"attack": "2"}, "attack must be a whole number"),
        ({"licence": 3}, "licence must be text"),
        ({"attack": 0, "benign": 0}, "not both 0"),
        ({"attack": -1}, "must be counts"),
        ({"sha256": "AB" * 32}, "sha256 must be 64"),
        ({"label": "x"}, "missing or unknown: label"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_table_is_an_error_that_says_where(write, change, message):
    with pytest.raises(click.ClickException, match="source 2: ") as caught:
        read_corpora(write(ENTRY, {**ENTRY, "name": "b", **change}))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", list(ENTRY))
def test_every_key_is_needed(write, name):
    with pytest.raises(click.ClickException, match=f"missing or unknown: {name}"):
        read_corpora(write({k: v for k, v in ENTRY.items() if k != name}))


def test_a_name_given_twice_is_an_error(write):
    with pytest.raises(click.ClickException, match="names a more than once"):
        read_corpora(write(ENTRY, ENTRY))


@pytest.mark.parametrize("content", ["x = 1", "[source]\nname = 'a'", "not toml", ""], ids=["other key", "one table", "not toml", "empty"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "corpora.toml"
    path.write_text(content)
    with pytest.raises(click.ClickException, match=r"corpora\.toml"):
        read_corpora(path)
    with pytest.raises(click.ClickException, match="cannot be read"):
        read_corpora(tmp_path / "absent.toml")
