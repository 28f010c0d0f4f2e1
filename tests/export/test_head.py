"""What a head's scores are corrected by, learnt from long harmless documents."""

from dataclasses import replace

import numpy as np
import pytest

from export.data import Example, corpus_examples, long_documents
from export.head import CUTS, LONG, long_content
from export.scorer import Part, Scorer


@pytest.fixture(scope="module")
def harmless():
    """Harmless content of two sources that were left out, and what does not belong into their documents."""
    own = [e for e in corpus_examples(600, 6) if e.origin == "content" and e.label == 0]
    sources = [replace(e, source=f"left_out_{i % 2}") for i, e in enumerate(own)]
    return [*sources, Example("attack " * 4_000, 1, "content", "left_out_0"), Example("prompt " * 4_000, 0, "prompt", "left_out_1")]


def test_long_documents_are_harmless_content_of_one_source_in_its_order(harmless):
    documents = long_documents(harmless, 5_000)
    assert len(documents) > 6
    assert {len(d.text) for d in documents} == {5_000}
    assert {(d.label, d.origin, d.pair) for d in documents} == {(0, "content", None)}
    for source in ("left_out_0", "left_out_1"):
        own = [e.text.strip() for e in harmless if e.source == source and e.label == 0 and e.origin == "content"]
        first = next(d for d in documents if d.source == source)
        assert "\n\n".join(own).startswith(first.text[: len(own[0])])
        assert first.text[:5_000] in "\n\n".join(own)[:5_200]
    assert long_documents(harmless[:1], 5_000) == []


def test_length_is_learnt_from_every_other_document_cut_at_several_lengths(embedded, harmless, tmp_path):
    scorer = Scorer({"content": Part(embedded.detectors["content"], embedded.reader.wordings["content"])})
    chosen = long_documents(harmless, LONG)[::2]
    learnt = long_content(embedded, scorer, harmless, tmp_path)["content"]
    assert len(learnt.logits) == len(CUTS) * len(chosen) > 0
    logits, counts = learnt.logits.reshape(-1, len(CUTS)), learnt.n_segments.reshape(-1, len(CUTS))
    assert (np.diff(logits) >= 0).all()
    assert (np.diff(counts) > 0).all()
    assert counts[:, -1].min() > 100
    verdict = embedded.scan(chosen[0].text, origin="content")
    assert verdict.score == pytest.approx(_score(embedded, logits[0, -1], counts[0, -1]), abs=1e-3)
    assert long_content(embedded, scorer, harmless[:3], tmp_path) == {}


def _score(firewall, logit, n_segments):
    from alknet_firewall.detector import calibrated

    calibration = firewall.artifact.config.calibration["content"]
    return float(calibrated(np.array([logit]), np.array([n_segments]), calibration)[0])
