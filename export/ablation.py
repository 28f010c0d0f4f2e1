"""What each part of the detector is worth on sources that it has not seen, as a document: ``docs/ablation.md``.

Every variant is fitted on the same texts and judged on the same left-out ones. The baselines read no hidden state; the
others are heads on features of torch in fp32, or of the shipped int8 graph.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from alknet_firewall.bags import UNKNOWN, worst_segments
from alknet_firewall.firewall import Firewall
from alknet_firewall.fit import FitOptions, fit_detector
from alknet_firewall.integrity import file_sha256
from alknet_firewall.parity.sides import torch_states
from alknet_firewall.ranking import Ranking, Scores, bootstrap, threshold_at
from alknet_firewall.reader import Segment
from alknet_firewall.verdict import ORIGINS
from alknet_firewall.windows import batches
from export.data import Example, is_corpus
from export.features import LONGEST_CHARACTERS, FeatureSet, extract, feature_set, how_read, reading_with
from export.graph import load_backbone
from export.groups import GROUPS, KEYWORDS, belongs
from export.measured import Measured, Variant
from export.scorer import Scorer, fit_scorer, labels_of, of_origin, source_weights
from export.weights import load_record
from export.wording import wording_logits

FPR = 0.01


@dataclass(frozen=True)
class Task:
    """What to fit on, and what is left out."""

    fitted: Sequence[Example]
    held: Sequence[Example]


def baselines(task: Task) -> list[Variant]:
    """What needs no model of language."""
    texts = [e.text for e in task.held]
    return [
        Variant("length", np.array([float(len(text)) for text in texts])),
        Variant("keywords", np.array([float(len(KEYWORDS.findall(text))) for text in texts])),
        Variant("TF-IDF, words", bag_of_words(task, "word", (1, 2))),
        Variant("TF-IDF, characters", bag_of_words(task, "char_wb", (2, 5))),
    ]


def bag_of_words(task: Task, analyzer: str, n_grams: tuple[int, int]) -> Scores:
    """TF-IDF and logistic regression, a model for each origin."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    scores = np.zeros(len(task.held))
    for origin in ORIGINS:
        chosen = [i for i, e in enumerate(task.held) if e.origin == origin]
        if not chosen:
            continue
        own = [e for e in task.fitted if e.origin == origin]
        vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=n_grams, min_df=3, max_features=200_000, sublinear_tf=True)
        model = make_pipeline(vectorizer, LogisticRegression(C=10.0, max_iter=400, class_weight="balanced"))
        model.fit([e.text[:LONGEST_CHARACTERS] for e in own], [e.label for e in own])
        scores[chosen] = model.decision_function([task.held[i].text for i in chosen])
    return scores


def torch_features(firewall: Firewall, backbone: Any, layers: Sequence[int], examples: Sequence[Example]) -> dict[int, FeatureSet]:
    """Features at several layers of a torch backbone, for the windows and prefixes of an artifact."""
    found: dict[int, list[list[list[Segment]]]] = {layer: [[] for _ in examples] for layer in layers}
    for origin in ORIGINS:
        prefix = np.array(firewall.artifact.config.prefixes[origin].ids, np.int64)
        chosen = [i for i, e in enumerate(examples) if e.origin == origin]
        windows = [w for i in chosen for w in firewall.reader.windows(i, examples[i].text[:LONGEST_CHARACTERS])]
        with click.progressbar(list(batches([w.ids for w in windows], 8)), label=f"torch, {origin}") as todo:
            for batch in todo:
                states = torch_states(backbone, prefix, batch.ids, batch.mask, layers)
                for row, index in enumerate(batch.indices):
                    window = windows[index]
                    for layer in layers:
                        own = states[layer][row, : len(window.ids)]
                        found[layer][window.text].append(firewall.reader.describe(window, own, origin))
    return {layer: feature_set(own, examples) for layer, own in found.items()}


def head_scores(
    fitted: FeatureSet, held: FeatureSet, task: Task, options: FitOptions, keep: Callable[[Example], bool] | None = None
) -> Scores:
    """Logits of the left-out texts by a linear head on hidden states alone, fitted on the (kept) others."""
    own, rows = _kept(fitted, task, keep)
    detector = fit_detector(own.features, own.texts, labels_of(rows), source_weights(rows), options, own.known)
    return worst_segments(detector.logits(held.features), held.texts)


def whole_scores(fitted: FeatureSet, held: FeatureSet, task: Task, options: FitOptions, keep: Callable[[Example], bool]) -> Scores:
    """Logits of the left-out texts by a head of the shipped kind, fitted on the kept ones without the rows of which only words are read."""
    return fit_scorer(*_kept(fitted, task, keep), options).texts(held, task.held)


def part_scores(scorer: Scorer, held: FeatureSet, task: Task) -> list[Variant]:
    """Logits of the left-out texts by the words of their segments alone, and by the perceptrons alone."""
    words, perceptrons = np.zeros(len(task.held)), np.zeros(len(task.held))
    for origin, part in scorer.parts.items():
        chosen = of_origin(task.held, (origin,))
        own = held.subset(chosen)
        words[chosen] = worst_segments(wording_logits(part.wording, own.pieces).astype(np.float64), own.texts)
        alone = replace(part.detector, weights=0 * part.detector.weights, bias=0 * part.detector.bias)
        perceptrons[chosen] = worst_segments(replace(part, detector=alone).logits(own.features, own.pieces), own.texts)
    return [Variant("words of segments alone", words), Variant("int8, perceptrons alone", perceptrons)]


def _kept(fitted: FeatureSet, task: Task, keep: Callable[[Example], bool] | None) -> tuple[FeatureSet, list[Example]]:
    """Features of the texts that are fitted on, and these."""
    chosen = np.array([i for i, e in enumerate(task.fitted) if keep is None or keep(e)])
    return fitted.subset(chosen), [task.fitted[i] for i in chosen]


def torch_variants(task: Task, firewall: Firewall, weights: Path, adapter: Path | None) -> list[Variant]:
    """Heads on frozen states, or on fine-tuned ones when there is an adapter, layer by layer, in fp32."""
    last = firewall.artifact.config.encoder.layer
    name = "frozen" if adapter is None else "fine-tuned"
    layers = sorted({*range(0 if adapter is None else 3, last + 1, 2), last})
    backbone = load_backbone(weights, last, adapter)
    fitted, held = (torch_features(firewall, backbone, layers, examples) for examples in (task.fitted, task.held))
    return [Variant(f"{name}, layer {k}", head_scores(fitted[k], held[k], task, FitOptions())) for k in layers]


def graph_variants(task: Task, firewall: Firewall, cache: Path | None) -> list[Variant]:
    """Heads on the shipped int8 graph: rank, rows, knowledge of segments, residual, views."""
    fitted = extract(firewall, task.fitted, LONGEST_CHARACTERS, cache=cache)
    held = extract(firewall, task.held, LONGEST_CHARACTERS, cache=cache)
    viewed = extract(firewall, task.held, LONGEST_CHARACTERS, with_views=True, cache=cache)
    whole = fitted.features.shape[1]
    plain = FitOptions()
    blind = replace(fitted, known=np.full_like(fitted.known, UNKNOWN))
    scorer = fit_scorer(fitted, task.fitted, plain)
    found = [
        Variant("int8", head_scores(fitted, held, task, plain)),
        Variant("int8, views", head_scores(fitted, viewed, task, plain)),
        *part_scores(scorer, held, task),
        Variant("whole head", scorer.texts(held, task.held)),
        Variant("whole head, views", scorer.texts(viewed, task.held)),
        *(Variant(f"int8, rank {n}", head_scores(fitted, held, task, replace(plain, n_components=n))) for n in (32, 64)),
        Variant("int8, no SVD", head_scores(fitted, held, task, replace(plain, n_components=whole))),
        Variant("int8, segments of attacks not told", head_scores(blind, held, task, plain)),
        Variant("whole head, public rows alone", whole_scores(fitted, held, task, plain, lambda e: not is_corpus(e.source))),
        Variant("whole head, our corpus alone", whole_scores(fitted, held, task, plain, lambda e: is_corpus(e.source))),
    ]
    found += [Variant(f"whole head, {name}", whole_scores(fitted, held, task, plain, keep)) for name, keep in learning_curve().items()]
    return [*found, Variant("int8, residual as second opinion", with_residual(found[0].scores, fitted, held, task))]


def segmented_variants(task: Task, firewall: Firewall, segment: int, cache: Path | None) -> list[Variant]:
    """A linear head on segments of another length."""
    other = reading_with(firewall, config=replace(firewall.reader.config, segment=segment))
    fitted, held = (extract(other, examples, LONGEST_CHARACTERS, cache=cache) for examples in (task.fitted, task.held))
    return [Variant(f"int8, segments of {segment} tokens", head_scores(fitted, held, task, FitOptions()))]


def learning_curve() -> dict[str, Callable[[Example], bool]]:
    """Shares of our own rows, pairs whole, and of its families: what more of either would bring. Public rows are all kept."""

    def share(of: Callable[[Example], str], part: int) -> Callable[[Example], bool]:
        return lambda e: not is_corpus(e.source) or zlib.crc32(of(e).encode()) % part == 0

    curve = {f"1/{part} of our rows": share(lambda e: e.pair or e.text, part) for part in (8, 4, 2)}
    return curve | {f"1/{part} of our families": share(lambda e: e.source, part) for part in (4, 2)}


def with_residual(logits: Scores, fitted: FeatureSet, held: FeatureSet, task: Task) -> Scores:
    """The head's logits, and what of a text's features lies outside the subspace, weighed on out-of-sample scale."""
    labels = np.array([e.label for e in task.fitted])
    detector = fit_detector(fitted.features, fitted.texts, labels, source_weights(task.fitted), FitOptions(), fitted.known)

    def residual(data: FeatureSet) -> Scores:
        standardised = (data.features - detector.mean) / detector.scale
        inside = standardised @ detector.components.T
        outside = (standardised**2).sum(1) - (inside**2).sum(1)
        return worst_segments(np.log(np.maximum(outside, 1e-9)).astype(np.float64), data.texts)

    own, other = residual(fitted), residual(held)
    return logits / logits.std() + 0.5 * (other - own.mean()) / own.std()


def table(task: Task, variants: Sequence[Variant], groups: dict[str, tuple[str, ...]]) -> str:
    """Markdown: for each origin the ROC AUC, and the share of attacks found at 1 % false positives, together and by group of sources."""
    parts = []
    for origin in ORIGINS:
        chosen = np.array([i for i, e in enumerate(task.held) if e.origin == origin], np.int64)
        own = [task.held[i] for i in chosen]
        labels = np.array([e.label for e in own])
        members = {name: np.array([belongs(e.source, patterns) for e in own]) & (labels == 1) for name, patterns in groups.items()}
        members = {name: mask for name, mask in members.items() if mask.any()}
        strata = np.unique([e.source for e in own], return_inverse=True)[1].astype(np.int64)
        header = ["variant", "ROC AUC", "TPR at 1 % FPR", *(f"{name} ({mask.sum()})" for name, mask in members.items())]
        rows = [_row(v.name, v.scores[chosen], labels, strata, members) for v in variants]
        title = f"## Origin {origin}: {int((labels == 0).sum())} harmless texts, {int(labels.sum())} attacks\n"
        parts.append("\n".join([title, *(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)), ""]))
    return "\n".join(parts)


def _row(name: str, scores: Scores, labels: Any, strata: Any, members: dict[str, Any]) -> list[str]:
    ranking, limit = Ranking.of(scores, labels), threshold_at(scores[labels == 0], FPR)
    auc, (tpr,) = bootstrap(scores, labels, strata, (FPR,), resamples=500)
    figures = [f"{ranking.roc_auc():.3f} ({auc[0]:.3f}-{auc[1]:.3f})", f"{ranking.tpr(FPR):.2f} ({tpr[0]:.2f}-{tpr[1]:.2f})"]
    return [name, *figures, *(f"{(scores[mask] >= limit).mean():.2f}" for mask in members.values())]


def measure(task: Task, firewall: Firewall, weights: Path, adapter: Path, cache: Path | None) -> list[Variant]:
    """Every variant. With a folder as `cache`, what a stopped run had measured, and what another artifact shares, is not measured again."""
    measured = Measured(cache, [asdict(task)])
    base = [load_record(weights).id, how_read(firewall)]
    steps: dict[str, tuple[Callable[[], list[Variant]], list[Any]]] = {
        "baselines": (lambda: baselines(task), []),
        "frozen": (lambda: torch_variants(task, firewall, weights, None), base),
        "fine-tuned": (lambda: torch_variants(task, firewall, weights, adapter), [*base, file_sha256(adapter)]),
        "graph": (lambda: graph_variants(task, firewall, cache), [firewall.artifact.id]),
        "segments of 8": (lambda: segmented_variants(task, firewall, 8, cache), [firewall.artifact.id]),
        "segments of 32": (lambda: segmented_variants(task, firewall, 32, cache), [firewall.artifact.id]),
    }
    return [variant for name, (step, of) in steps.items() for variant in measured.step(name, step, *of)]


def report(task: Task, firewall: Firewall, variants: Sequence[Variant]) -> str:
    """Every variant, as a markdown document."""
    sources = sorted({e.source for e in task.held})
    head = (
        "# What each part is worth\n\n"
        "Generated by `python -m export ablation`; do not edit.\n\n"
        f"{len(task.fitted)} texts to fit every head on, {len(task.held)} to judge it with, of {len(sources)} sources that neither\n"
        f"backbone nor head was fitted on: {', '.join(sources)}. Texts are read up to {LONGEST_CHARACTERS} characters. Thresholds are set\n"
        "at 1 % false positives on the harmless texts of the same origin, hard ones included; the last columns give the share found of\n"
        "each group of attacks (their number in brackets). 95 %\n"
        "intervals are from a bootstrap over texts, stratified by source.\n\n"
        f"Artifact: `{firewall.artifact.id}`. 'Layer k' is the hidden state after block k, 0 the embeddings; the fine-tuned ones were\n"
        f"trained at layer {firewall.artifact.config.encoder.layer} and are read earlier. Every 'int8' line is the shipped graph with a\n"
        "head of its own.\n\n"
    )
    return head + table(task, variants, GROUPS)
