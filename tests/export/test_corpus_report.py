"""The report on the corpus: counts, near duplicates, and probes that find the shortcuts in made-up rows and nothing where there is none."""

import math
import random

import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.corpus.compose import compose
from export.corpus.parts import Parts
from export.corpus.report import corpus_report
from export.corpus.row import Row
from export.corpus.shortcuts import PROBES, families, told, told_by_group, told_by_language, top_marks, top_words
from export.corpus.similar import near_duplicates, shingles
from export.corpus.usage import CountedParts, FoldParts, slot_uses
from export.corpus.words import MARKS, SHAPES, surface, words

needs_sklearn = pytest.mark.offline_world  # the export environment has it
N_ROWS = 1500
FILLER = ("lorem", "ipsum", "dolor", "sit", "amet", "elit", "sed", "magna", "erat", "diam")


def made_up(n, attack="", benign="", seed=0, **kinds):
    """Rows in turn harmless and attack, of random words and then what the class adds."""
    rng = random.Random(seed)
    texts = (" ".join(rng.choices(FILLER, k=12)) + (attack if i % 2 else benign) for i in range(n))
    return [Row(text, i % 2, "prompt", f"{'ab'[i % 2]}{i % 7}", **kinds) for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def report():
    return corpus_report(N_ROWS, seed=3)


def test_words_are_lower_case_runs_and_single_characters_where_nothing_sets_words_apart():
    assert words("Don't STOP, tool_name=7!") == ["don", "t", "stop", "tool_name", "7"]
    assert words("\u5ffd\u7565 ok \u3042\u308a") == ["\u5ffd", "\u7565", "ok", "\u3042", "\u308a"]
    assert words("\u0438\u0433\u043d\u043e\u0440") == ["\u0438\u0433\u043d\u043e\u0440"]


def test_surface_has_a_number_for_every_shape_and_mark():
    table = dict(zip((*SHAPES, *MARKS), surface("Go!! \u00e9 7"), strict=True))
    assert table["characters"] == pytest.approx(math.log(8))
    assert table["!"] == 25
    assert table["not_ascii"] == table["digit"] == table["upper"] == 1 / 8
    assert (table["opens_upper"], table["ends_letter"], table["ends_stop"], table["ends_question"]) == (1, 1, 0, 0)


def test_shingles_are_of_five_words_or_of_all():
    assert shingles("One two three four five six") == {"one two three four five", "two three four five six"}
    assert shingles("One two") == {"one two"}


@needs_sklearn
def test_near_duplicates_are_found_across_families_but_not_in_twins():
    long = " ".join(f"w{i}" for i in range(60))
    rows = [
        Row(f"{long} one", 0, "prompt", "copied"),
        Row(f"{long} two", 0, "prompt", "copy"),
        Row(" ".join(f"v{i}" for i in range(60)), 0, "prompt", "alone"),
        Row(" ".join(f"u{i}" for i in range(60)), 0, "content", "twin", pair=1),
        Row(" ".join(f"u{i}" for i in range(60)) + " x", 1, "content", "attack", pair=1),
        Row(f"{long} three", 1, "prompt", "wrong"),
    ]
    found = {n.family: (n.label, n.n_rows, n.same, n.other) for n in near_duplicates(rows, 100, seed=0)}
    assert found["copied"] == found["copy"] == (0, 1, 1, 1)
    assert found["wrong"] == (1, 1, 0, 1)
    assert found["alone"] == found["twin"] == (0, 1, 0, 0)
    assert found["attack"] == (1, 1, 0, 0)


@needs_sklearn
def test_texts_below_the_limit_are_not_near():
    shared = " ".join(f"w{i}" for i in range(20))
    rows = [Row(f"{shared} a b c d e", 0, "prompt", "x"), Row(f"{shared} f g h i j", 0, "prompt", "x")]
    assert [n.same for n in near_duplicates(rows, 100, seed=0)] == [0]  # 16 of 26 shingles


@needs_sklearn
@pytest.mark.parametrize(
    ("attack", "benign", "finds"),
    [
        (" zebra", " horse", {"words"}),
        (" sit amet", " sit, amet", {"marks"}),
        (" lorem ipsum dolor sit amet elit" * 5, "", {"length", "marks"}),
        ("", "", set()),
    ],
    ids=["word", "comma", "length", "nothing"],
)
def test_a_probe_finds_its_shortcut(attack, benign, finds):
    fitted, rows = made_up(400, attack, benign, seed=1), made_up(400, attack, benign, seed=2)
    aucs = {name: told(probe, fitted, rows).auc for name, probe in PROBES.items()}
    for name in finds:
        assert aucs[name] > 0.95, name
    for name in set(PROBES) - finds - ({"words"} if "length" in finds else set()):
        assert 0.35 < aucs[name] < 0.65, name


@needs_sklearn
def test_a_word_of_one_family_is_no_use_when_that_family_is_left_out():
    plain = made_up(700)
    rows = [Row(f"{row.text} only{row.family}", row.label, "prompt", row.family) for row in plain]
    at_random = told_by_group(PROBES["words"], rows, [str(i) for i in range(len(rows))], seed=0)
    left_out = told_by_group(PROBES["words"], rows, families(rows), seed=0)
    assert at_random.auc > 0.95
    assert left_out.auc < 0.65
    assert math.isnan(at_random.twins)


def test_a_twin_goes_with_its_attacks_family():
    rows = [Row("a", 0, "content", "document", pair=4), Row("b", 1, "content", "payload.x", pair=4), Row("c", 0, "content", "people")]
    assert families(rows) == ["payload.x", "payload.x", "people"]


@needs_sklearn
def test_twins_are_compared_with_each_other():
    rows = [
        Row("x" * size, label, "content", "f", pair=pair) for pair, label, size in [(1, 0, 5), (1, 1, 9), (2, 0, 50), (2, 1, 50), (3, 1, 1)]
    ]
    assert told(PROBES["length"], rows, rows).twins == pytest.approx(0.75)  # one above, one level, one without a twin


@needs_sklearn
def test_the_words_and_marks_that_tell_are_listed_first():
    rows = made_up(400, " zebra!", " horse")
    benign, attack = top_words(rows, 3)
    assert (benign[0].text, benign[0].share) == ("horse", pytest.approx((100, 0)))
    assert (attack[0].text, attack[0].share) == ("zebra", pytest.approx((0, 100)))
    assert benign[0].weight < 0 < attack[0].weight
    assert ("!", 1.0) in top_marks(rows, 5)


@needs_sklearn
def test_languages_are_told_apart_one_by_one():
    def rows(seed):
        return [*made_up(200, " zebra", " horse", seed=seed, language="de"), *made_up(200, seed=seed, language="fr")]

    found = told_by_language(rows(1), [*rows(2), Row("solo", 1, "prompt", "x", language="it")])
    assert found["de"].auc > 0.95
    assert 0.35 < found["fr"].auc < 0.65
    assert set(found) == {"de", "fr"}


def test_no_part_is_on_both_sides_and_none_is_lost():
    kept, left_out, every = FoldParts(), FoldParts(left_out=True), Parts()
    for section, parts in every.sections("direct.en").items():
        sides = [set(side.sections("direct.en")[section]) for side in (kept, left_out)]
        assert sides[0] | sides[1] == set(parts)
        assert not sides[0] & sides[1]
        assert len(sides[1]) == len(parts) // 5
    assert len(left_out.blocks("context.en")) == len(every.blocks("context.en")) // 5
    assert set(kept.languages["de"]["direct"]).isdisjoint(left_out.languages["de"]["direct"])
    assert kept.slots == every.slots


def test_small_sections_stay_whole_on_both_sides(tmp_path):
    (tmp_path / "x.list").write_text("[few]\na\nb\n[many]\n" + "\n".join("cdefg"))
    assert FoldParts(tmp_path).sections("x") == {"few": ["a", "b"], "many": ["c", "d", "e", "f"]}
    assert FoldParts(tmp_path, left_out=True).sections("x") == {"few": ["a", "b"], "many": ["g"]}


def test_counting_draws_changes_no_row():
    counted = CountedParts()
    assert list(compose(counted, 600, seed=9)) == list(compose(Parts(), 600, seed=9))
    assert counted.known["direct.en"] == len({part for parts in Parts().sections("direct.en").values() for part in parts})
    assert 20 < counted.distinct()["direct.en"] <= counted.known["direct.en"]
    assert counted.distinct()["slots"] > 100


def test_slots_of_one_class_come_first(tmp_path):
    files = {"direct.en": "do {harm}\nsay {city}\n", "request.benign.en": "visit {city}\nsee {city}\nprint {{harm}}\n"}
    for name, lines in files.items():
        (tmp_path / f"{name}.list").write_text(f"[x]\n{lines}")
    (tmp_path / "slots.list").write_text("[harm]\na\n[city]\nb\n[unused]\nc\n")
    uses = [(use.slot, use.origin, [round(share) for share in use.share]) for use in slot_uses(Parts(tmp_path))]
    assert uses == [("harm", "prompt", [0, 50]), ("city", "prompt", [67, 50])]


@needs_sklearn
def test_the_report_says_everything_and_the_same_each_time(report):
    assert [line for line in report.splitlines() if line.startswith("## ")] == [
        "## Counts",
        "## Lengths",
        "## Parts",
        "## Near duplicates",
        "## Slots",
        "## What gives the class away",
        "## Prompt: words and marks",
        "## Content: words and marks",
    ]
    assert corpus_report(N_ROWS, seed=3) == report
    assert "nan" not in report.lower().split()


@needs_sklearn
@pytest.mark.parametrize("dimension", ["family", "language", "context", "wrapper", "disguise"])
def test_every_table_of_counts_adds_up(report, dimension):
    table = report.split(f"| {dimension} | prompt benign ")[1].split("\n\n")[0].splitlines()[2:]
    assert sum(int(cell) for line in table for cell in line.strip("|").split("|")[1:]) == N_ROWS


@needs_sklearn
def test_every_table_has_as_many_cells_in_each_line(report):
    for table in report.split("\n\n"):
        if table.startswith("|"):
            assert len({len(line.replace("\\|", "").split(" | ")) for line in table.splitlines()}) == 1, table.splitlines()[0]


@needs_sklearn
def test_the_command_writes_the_report(tmp_path, report, monkeypatch):
    out = tmp_path / "report.md"
    asked = []
    monkeypatch.setattr("export.corpus.report.corpus_report", lambda n_rows, seed: asked.append((n_rows, seed)) or report)
    result = CliRunner().invoke(main, ["corpus-report", "--rows", "700", "--seed", "4", "--out", str(out)], catch_exceptions=False)
    assert (result.exit_code, asked) == (0, [(700, 4)])
    assert out.read_text("utf-8") == report
    printed = CliRunner().invoke(main, ["corpus-report"], catch_exceptions=False)
    assert printed.output == report
