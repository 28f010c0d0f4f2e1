"""The arithmetic of the streaming benchmark, and that its chunks are those it speaks of."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.streaming import CHUNK, chunks, main, share_seen, stream_of, tables
from export.data import Example

TEXT = "The tram to the harbour runs along the river. " * 9

RESULTS = {
    "environment": {
        "commit": "0123456789abcdef+changes",
        "threads": 2,
        "processor": "a processor",
        "python": "3.11.7",
        "date": "2026-11-21T15:00:00",
    },
    "rounds": 3,
    "chunk_tokens": 16,
    "times": {"1000": {"seconds": {"scan": [0.1, 0.2, 0.4], "stream": [0.11, 0.24, 0.6]}, "chunks": 63, "score_difference": 2e-4}},
    "arrivals": {
        "prompt": {
            "attacks": {"n": 4, "ever_flagged": 3, "flagged_in_the_end": 2, "share_seen": [0.25, 1.0]},
            "harmless": {"n": 9, "ever_flagged": 1, "flagged_in_the_end": 0, "share_seen": []},
        },
    },
}


@pytest.mark.parametrize(
    ("injected", "at", "share"), [(None, 50, 0.5), (None, 100, 1.0), ((40, 60), 50, 0.5), ((40, 60), 30, 0.0), ((40, 60), 90, 1.0)]
)
def test_the_share_is_of_the_injected_characters_where_they_are_known(injected, at, share):
    assert share_seen(Example("x" * 100, 1, "content", "s", injected), at) == share


def test_chunks_have_sixteen_tokens_and_leave_nothing_out(embedded):
    found = chunks(embedded, TEXT)
    assert "".join(found) == TEXT
    assert {len(embedded.reader.tokenizer.encode(part).ids) for part in found[:-1]} == {CHUNK}


def test_a_stream_of_chunks_is_judged_as_a_scan(embedded):
    at, is_flagged, score = stream_of(embedded, chunks(embedded, TEXT), "content")
    assert score == pytest.approx(embedded.scan(TEXT, "content").score, abs=0.01)
    assert at is not None or not is_flagged


def test_tables_show_medians_of_ratios_and_the_counts():
    shown = tables(RESULTS)
    assert "| 1,000 tokens | 200 ms | 240 ms | 1.20 | 2.0e-04 |" in shown
    assert "| attacks flagged in the end | 2 of 4 |" in shown
    assert "| share of the attack seen when it was flagged, median | 0.62 |" in shown
    assert "| harmless texts flagged at any time | 1 of 9 |" in shown
    assert "commit 0123456789ab+changes" in shown


def test_a_short_run_writes_what_the_table_is_made_of(tmp_path):
    out = tmp_path / "streaming.json"
    done = CliRunner().invoke(main, ["--texts", "0", "--rounds", "1", "--lengths", "40", "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines()[2].startswith("| 40 tokens | ")
    (measured,) = json.loads(out.read_text())["times"].values()
    assert measured["chunks"] == 3
    assert measured["score_difference"] < 0.01
