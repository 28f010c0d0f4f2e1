"""JSON into dataclasses: what is missing, unknown or of another type is an error that names it."""

import json
from dataclasses import asdict, dataclass

import pytest

from alknet_firewall import ArtifactCorruptError
from alknet_firewall.schema import parse


@dataclass(frozen=True)
class Part:
    name: str
    weight: float


@dataclass(frozen=True)
class Whole:
    count: int
    ready: bool
    note: str | None
    part: Part
    parts: tuple[Part, ...]
    named: dict[str, Part]
    sizes: tuple[int, ...]


GOOD = Whole(
    count=3,
    ready=True,
    note=None,
    part=Part("a", 0.5),
    parts=(Part("b", 1.0), Part("c", 2.0)),
    named={"d": Part("d", 3.0)},
    sizes=(1, 2),
)


def document(**changes):
    return {**json.loads(json.dumps(asdict(GOOD))), **changes}


def test_a_document_comes_back_as_the_dataclass_it_was():
    assert parse(Whole, document(), "whole.json") == GOOD


def test_an_optional_value_may_be_there():
    assert parse(Whole, document(note="hello"), "whole.json").note == "hello"


def test_a_whole_number_is_taken_for_a_float_and_becomes_one():
    part = parse(Part, {"name": "a", "weight": 2}, "part.json")
    assert part == Part("a", 2.0)
    assert type(part.weight) is float


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_named(weight):
    with pytest.raises(ArtifactCorruptError, match=r"^part\.json: weight must be a finite number"):
        parse(Part, json.loads(f'{{"name": "a", "weight": {weight}}}'), "part.json")


def test_only_what_has_a_default_may_be_missing():
    @dataclass(frozen=True)
    class Later(Part):
        since: int | None = None

    assert parse(Later, {"name": "a", "weight": 2.0}, "later.json") == Later("a", 2.0, None)
    assert parse(Later, {"name": "a", "weight": 2.0, "since": 3}, "later.json") == Later("a", 2.0, 3)
    with pytest.raises(ArtifactCorruptError, match="misses 'weight'"):
        parse(Later, {"name": "a", "since": 3}, "later.json")


@pytest.mark.parametrize("key", asdict(GOOD))
def test_a_missing_key_is_named_and_never_defaulted(key):
    broken = document()
    del broken[key]
    with pytest.raises(ArtifactCorruptError, match=rf"^whole\.json misses '{key}'"):
        parse(Whole, broken, "whole.json")


def test_an_unknown_key_is_named():
    with pytest.raises(ArtifactCorruptError, match=r"^whole\.json has the unknown key 'surprise'"):
        parse(Whole, document(surprise=1), "whole.json")


def test_the_place_of_a_nested_key_is_told():
    with pytest.raises(ArtifactCorruptError, match=r"whole\.json: parts\[1\] misses 'weight'"):
        parse(Whole, document(parts=[{"name": "b", "weight": 1.0}, {"name": "c"}]), "whole.json")
    with pytest.raises(ArtifactCorruptError, match=r"whole\.json: named\.d has the unknown key 'colour'"):
        parse(Whole, document(named={"d": {"name": "d", "weight": 1, "colour": "red"}}), "whole.json")


WRONG_TYPES = [
    ("count", 1.0, "int, not float"),
    ("count", True, "int, not bool"),
    ("count", "3", "int, not str"),
    ("count", None, "int, not NoneType"),
    ("ready", 1, "bool, not int"),
    ("ready", "true", "bool, not str"),
    ("note", 5, "str, not int"),
    ("part", ["a", 0.5], "an object, not list"),
    ("part", None, "an object, not NoneType"),
    ("part", {"name": "a", "weight": True}, "float, not bool"),
    ("part", {"name": "a", "weight": "0.5"}, "float, not str"),
    ("parts", {"0": {}}, "a list, not dict"),
    ("parts", "bc", "a list, not str"),
    ("named", [["d", {}]], "an object, not list"),
    ("sizes", [1, "2"], "int, not str"),
]


@pytest.mark.parametrize(("key", "value", "complaint"), WRONG_TYPES)
def test_a_value_of_another_type_is_an_error_that_names_the_key(key, value, complaint):
    with pytest.raises(ArtifactCorruptError, match=complaint) as caught:
        parse(Whole, document(**{key: value}), "whole.json")
    assert str(caught.value).startswith(f"whole.json: {key}")


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_a_document_that_is_no_object_is_an_error(data):
    with pytest.raises(ArtifactCorruptError, match=r"^whole\.json must be an object"):
        parse(Whole, data, "whole.json")


def test_the_wrong_value_itself_is_not_shown():
    with pytest.raises(ArtifactCorruptError) as caught:
        parse(Whole, document(count="heronsong"), "whole.json")
    assert "heronsong" not in str(caught.value)
