"""The report: one well-formed page that loads nothing, with everything foreign in it escaped."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from alknet_firewall import plots
from alknet_firewall.errors import MissingDependencyError
from alknet_firewall.evaluation import evaluate
from alknet_firewall.figures import Estimate
from alknet_firewall.plots import MOST_SOURCES
from alknet_firewall.report import SHOWN_CHARACTERS, html_report, shown, tables, visible
from tests.unit.test_evaluation import judged, point, sample

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script> & \"quotes\" '$\\frac{' \0\x1b]0;\u202e\ud800 名前"


def report_of(texts, points=()):
    return evaluate(texts, points, "name@sha256", resamples=20)


@pytest.fixture(scope="module")
def page():
    texts = [*sample(), *sample(120, 30, origin="content"), judged(1, 0.1, HOSTILE, place=HOSTILE, text=HOSTILE)]
    return html_report(report_of(texts, [point("prompt", 0.01, 0.5)]), "2026-11-20 <now>")


def test_the_page_is_well_formed_and_has_every_plot_and_table(page):
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert len(list(root.iter(f"{SVG}svg"))) == 6
    assert [heading.text for heading in root.iter("h2")] == ["prompt: 200 benign, 101 attacks", "content: 120 benign, 30 attacks"]
    captions = [caption.text.partition(" (")[0] for caption in root.iter("caption")]
    assert captions == [
        *("Figures", "Operating points of the artifact, measured here", "Sources", "Reliability", "Worst misses", "Worst false alarms"),
        *("Figures", "Sources", "Reliability", "Worst misses", "Worst false alarms"),
    ]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_why_no_source_has_a_rate_is_said_once():
    (part,) = report_of(sample(30, 10)).origins
    (table,) = [table for table in tables(part) if table.title.startswith("Sources")]
    assert table.title == "Sources (1 % FPR: 30 harmless texts are too few for this rate; at least 100 are needed)"
    assert {row[-1] for row in table.rows} == {"-"}


def test_every_reference_in_a_plot_finds_its_target(page):
    ids = set(re.findall(r' id="([^"]+)"', page))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert references
    assert references <= ids


def test_foreign_strings_are_shown_and_not_obeyed(page):
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;" in page
    assert "\\x00\\x1b]0;\\u202e\\ud800 名前" in page
    assert "2026-11-20 &lt;now&gt;" in page
    page.encode("utf-8")


def test_the_page_loads_and_runs_nothing(page):
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\"' <]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(script|link|img|iframe|object)|@import|\son\w+=", page)


def test_the_roc_curve_has_a_logarithmic_axis_a_line_an_origin_and_the_intervals(monkeypatch):
    monkeypatch.setattr(plots, "_svg", lambda _figure, axes, _name: axes)
    evaluation = report_of([*sample(), *sample(120, 30, origin="content")])
    axes = plots.roc(evaluation)
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (1 / 200, 1)
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    for part in evaluation.origins:
        curve = lines[f"{part.origin}, ROC AUC {part.roc_auc.value:.3f}"]
        assert curve == [list(point) for point in part.curve[1:]]
        measured = [[[d.fpr, d.tpr.low], [d.fpr, d.tpr.high]] for d in part.detection if d.tpr.value is not None]
        assert measured
        assert all(interval in lines.values() for interval in measured)


def test_the_same_evaluation_gives_the_same_page(page):
    texts = [*sample(), *sample(120, 30, origin="content"), judged(1, 0.1, HOSTILE, place=HOSTILE, text=HOSTILE)]
    assert html_report(report_of(texts, [point("prompt", 0.01, 0.5)]), "2026-11-20 <now>") == page


def test_figures_that_are_missing_leave_their_plots_out_and_say_why():
    page = html_report(report_of([judged(0, 0.3), judged(0, 0.7)]), "now")
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert len(list(root.iter(f"{SVG}svg"))) == 2
    assert "none: there are no attacks" in page


def test_of_very_many_sources_the_plot_says_which_it_leaves_out():
    texts = [judged(0, 0.1, f"source {number}") for number in range(MOST_SOURCES + 5)]
    page = html_report(report_of([*texts, judged(0, 0.1, "source 44")]), "now")
    assert "The 5 rows with fewest texts are only in the table." in page
    assert page.count("source 44 (2)") == 1  # in the plot
    assert "<td>source 9</td>" in page
    assert "source 9 (1)" not in page  # the last by name of those with one text


def test_a_name_in_a_plot_is_neither_a_formula_nor_a_control_character():
    page = html_report(report_of([judged(0, 0.1, "$\\frac{$ \x1b[2J")]), "now")
    ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert ">$\\frac{$ ?[2J (1)<" in page


def test_texts_are_in_a_table_only_when_they_were_given_and_long_ones_are_shortened():
    hidden = tables(report_of([judged(1, 0.1)]).origins[0])[-1]
    assert hidden.header == ("place", "source", "score", "threshold", "characters")
    long = "a" * SHOWN_CHARACTERS + "b" * SHOWN_CHARACTERS
    given = tables(report_of([judged(1, 0.1, text=long)]).origins[0])[-1]
    assert given.header[-1] == "text"
    assert given.rows[0][-1] == "a" * 100 + " […] " + "b" * 100


def test_a_figure_is_shown_with_its_interval_or_its_reason():
    assert shown(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250-0.750)"
    assert shown(Estimate(0.5)) == "0.500"
    assert shown(Estimate(None, why="there are no attacks")) == "none: there are no attacks"
    assert visible("a\tb\u00a0ü") == "a\\tb\\xa0ü"


def test_without_matplotlib_the_error_gives_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'alknet-firewall\[report\]'"):
        html_report(report_of([judged(0, 0.3)]), "now")


def test_matplotlib_waits_until_a_plot_is_wanted():
    program = "import sys, alknet_firewall.report, alknet_firewall.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
