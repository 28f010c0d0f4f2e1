"""Any text gets a verdict or an error of ours, and the company it is scanned in changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_texts, usable_texts

from alknet_firewall import InvalidInputError, Span, Verdict
from alknet_firewall.firewall import BATCH_TOLERANCE

origins = st.sampled_from(["prompt", "content"])
requests = st.lists(st.tuples(usable_texts, origins), min_size=1, max_size=6)


def is_usable(text):
    return bool(text) and "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@given(text=any_texts, origin=origins)
def test_any_text_gives_a_verdict_or_an_invalid_input_error(text, origin, embedded):
    if not is_usable(text):
        with pytest.raises(InvalidInputError):
            embedded.scan(text, origin)
        return
    verdict = embedded.scan(text, origin, threshold=0)
    assert isinstance(verdict, Verdict)
    assert 0.0 <= verdict.score <= 1.0
    (span,) = verdict.spans
    assert (span.start, span.end, span.score) == (0, len(text), verdict.score)


@given(text=usable_texts)
def test_offsets_run_through_the_text_without_a_gap(text, embedded):
    tokens = embedded.reader.tokenizer.encode(text)
    starts, ends = tokens.offsets.T
    assert starts[0] == 0
    assert ends[-1] == len(text)
    assert (starts < ends).all()
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    assert (starts[1:] <= ends[:-1]).all()


@given(text=usable_texts, origin=origins)
def test_segments_of_the_windows_cover_the_text(text, origin, embedded):
    covered = np.zeros(len(text), bool)
    for _, window in embedded.reader.segments([text], [origin]):
        for segment in window:
            assert 0 <= segment.start < segment.end <= len(text)
            covered[segment.start : segment.end] = True
    assert covered.all()


@given(requests=requests, batch_size=st.integers(1, 9), random=st.randoms(use_true_random=False))
def test_a_text_is_judged_the_same_alone_and_in_any_batch_order_and_padding(requests, batch_size, random, embedded):
    alone = [embedded.scan(text, origin) for text, origin in requests]
    order = list(range(len(requests)))
    random.shuffle(order)
    shuffled = [requests[i] for i in order]
    together = embedded.scan_batch([text for text, _ in shuffled], [origin for _, origin in shuffled], batch_size=batch_size)
    assert len(together) == len(requests)
    for verdict, i in zip(together, order, strict=True):
        assert verdict.score == pytest.approx(alone[i].score, abs=BATCH_TOLERANCE)
        assert (verdict.origin, verdict.threshold, verdict.windows) == (alone[i].origin, alone[i].threshold, alone[i].windows)
        if abs(alone[i].score - alone[i].threshold) > BATCH_TOLERANCE:
            assert verdict.flagged == alone[i].flagged


@given(text=usable_texts, origin=origins, threshold=st.floats(0, 1))
def test_spans_are_ordered_apart_inside_the_text_and_there_exactly_when_flagged(text, origin, threshold, embedded):
    verdict = embedded.scan(text, origin, threshold=threshold)
    assert verdict.flagged == (verdict.score >= threshold)
    assert bool(verdict.spans) == verdict.flagged
    edges = [edge for span in verdict.spans for edge in (span.start, span.end)]
    assert edges == sorted(set(edges))
    assert not edges or (edges[0] >= 0 and edges[-1] <= len(text))
    assert all(threshold <= span.score <= verdict.score for span in verdict.spans)


def test_a_megabyte_of_one_character_gets_a_verdict_on_all_of_it(embedded):
    """Once, not for every example, and with a character that the tokenizer reads in long pieces."""
    verdict = embedded.scan("=" * 1_000_000, "content", threshold=0)
    assert verdict.windows > 20
    assert verdict.spans == (Span(0, 1_000_000, verdict.score),)
