"""Detection on sources left out of training: the artifact beside what a bag of words learns from the same rows, in the same run.

    .venv-export/bin/python benchmarks/quality.py --data train.jsonl.gz --data dev.jsonl.gz --data export/apart.jsonl --rows 20000 --seed 1
    .venv-export/bin/python benchmarks/quality.py --markdown

Needs the export environment. Rows and seed are those of the artifact's build.

What is left out is what export/corpora.toml lists, or the sources named with --hold-out: it must be what the artifact
was built without. The peer is TF-IDF with logistic regression, words and characters, fitted on the rows that the
artifact's head was fitted on. Every threshold is set at 1 % false positives on the left-out harmless texts of its origin.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall, Verdict  # noqa: E402
from alknet_firewall.evaluation import calibration  # noqa: E402
from alknet_firewall.ranking import Ranking, bootstrap, threshold_at, wilson  # noqa: E402
from alknet_firewall.verdict import ORIGINS  # noqa: E402
from benchmarks.common import environment, markdown_table, read_results, write_results  # noqa: E402
from export.ablation import Task, bag_of_words  # noqa: E402
from export.corpora import held_out_sources  # noqa: E402
from export.corpus.disguise import DISGUISES  # noqa: E402
from export.data import Example, all_examples, long_documents, sample_examples, split_examples  # noqa: E402
from export.groups import GROUPS, KEYWORDS, belongs  # noqa: E402
from export.head import LONG  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
FPR = 0.01
LENGTHS = (1_000, LONG)
"""Characters that the same long harmless documents are cut at, to compare false-positive rates."""

Scores = npt.NDArray[np.float64]


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), multiple=True, help="Labelled JSON lines.")
@click.option("--rows", type=int, default=20_000, show_default=True, help="Rows of our own corpus to fit the peer on.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--hold-out", multiple=True, help="Source that nothing was fitted on; may be a pattern.  [default: the listed ones]")
@click.option("--artifact", help="Folder of the artifact.  [default: the embedded one]")
@click.option("--markdown", is_flag=True, help="Print the tables of the last run.")
def main(data: tuple[Path, ...], rows: int, seed: int, hold_out: tuple[str, ...], artifact: str | None, markdown: bool) -> None:
    """Measure, write the results, print the tables."""
    if not markdown:
        fitted, held = split_examples(all_examples(data, rows, seed), hold_out or held_out_sources())
        firewall, task = Firewall.from_pretrained(artifact), Task(fitted, held)
        verdicts = judge(firewall, held)
        systems = {
            firewall.artifact.id: np.array([v.score for v in verdicts]),
            "TF-IDF words + logistic regression": bag_of_words(task, "word", (1, 2)),
            "TF-IDF characters + logistic regression": bag_of_words(task, "char_wb", (2, 5)),
        }
        results = {
            "environment": environment(),
            "fitted_rows": len(fitted),
            "sources": sorted({e.source for e in held}),
            "systems": {name: {origin: measure(held, scores, origin) for origin in ORIGINS} for name, scores in systems.items()},
            "default": at_default(held, verdicts),
            "innocent": innocent(held, verdicts),
            "spans": spans(held, verdicts),
            "lengths": lengths(firewall, held),
            "disguises": {origin: disguises(firewall, [e for e in held if e.origin == origin], seed) for origin in ORIGINS},
        }
        write_results(RESULTS, results)
    click.echo(tables(read_results(RESULTS)))


def judge(firewall: Firewall, examples: Sequence[Example], *, with_views: bool = True) -> list[Verdict]:
    """Verdicts on whole texts."""
    verdicts: list[Verdict] = []
    with click.progressbar(range(0, len(examples), 32), file=sys.stderr) as starts:
        for start in starts:
            part = examples[start : start + 32]
            verdicts += firewall.scan_batch([e.text for e in part], [e.origin for e in part], with_views=with_views)
    return verdicts


def measure(examples: Sequence[Example], scores: Scores, origin: str) -> dict[str, Any]:
    """ROC AUC and TPR at 1 % FPR of one origin with 95 % intervals, and the share found of each group of attacks."""
    chosen = np.array([i for i, e in enumerate(examples) if e.origin == origin])
    labels, values = np.array([examples[i].label for i in chosen]), scores[chosen]
    strata = np.unique([examples[i].source for i in chosen], return_inverse=True)[1].astype(np.int64)
    ranking, limit = Ranking.of(values, labels), threshold_at(values[labels == 0], FPR)
    auc, (tpr,) = bootstrap(values, labels, strata, (FPR,))
    groups = {}
    for name, patterns in GROUPS.items():
        own = np.array([belongs(examples[i].source, patterns) for i in chosen]) & (labels == 1)
        if own.any():
            groups[name] = {"n": int(own.sum()), "tpr": float((values[own] >= limit).mean())}
    return {
        "n_benign": int((labels == 0).sum()),
        "n_attack": int(labels.sum()),
        "roc_auc": ranking.roc_auc(),
        "roc_auc_interval": list(auc),
        "tpr": ranking.tpr(FPR),
        "tpr_interval": list(tpr),
        "groups": groups,
    }


def at_default(examples: Sequence[Example], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What the artifact's own threshold does, source by source, and how far its probabilities are from shares of attacks."""
    found: dict[str, Any] = {}
    for origin in ORIGINS:
        own = [(e, v) for e, v in zip(examples, verdicts, strict=True) if e.origin == origin]
        sources = {}
        for source in sorted({e.source for e, _ in own}):
            flags = [v.flagged for e, v in own if e.source == source]
            labels = {e.label for e, _ in own if e.source == source}
            sources[source] = {"n": len(flags), "flagged": sum(flags) / len(flags), "labels": sorted(labels)}
        probabilities, labels_ = np.array([v.probability for _, v in own]), np.array([e.label for e, _ in own])
        error, bins = calibration(probabilities, labels_)
        reliability = [asdict(b) for b in bins]
        found[origin] = {"threshold": own[0][1].threshold, "calibration_error": error, "reliability": reliability, "sources": sources}
    return found


def innocent(examples: Sequence[Example], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Share of harmless prompts with words that attacks use which are not flagged at the artifact's own threshold."""
    pairs = zip(examples, verdicts, strict=True)
    flags = [v.flagged for e, v in pairs if e.label == 0 and e.origin == "prompt" and KEYWORDS.search(e.text)]
    right = len(flags) - sum(flags)
    return {"n": len(flags), "accuracy": right / max(1, len(flags)), "interval": list(wilson(right, len(flags))) if flags else None}


def spans(examples: Sequence[Example], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Of detected attacks in content whose injected characters are known: do the spans meet them, and how long are they beside them?"""
    met, ratios = [], []
    for example, verdict in zip(examples, verdicts, strict=True):
        if example.injected is not None and verdict.flagged and example.origin == "content":
            start, end = example.injected
            met.append(any(span.start < end and span.end > start for span in verdict.spans))
            ratios.append(sum(span.end - span.start for span in verdict.spans) / (end - start))
    return {
        "n": len(met),
        "overlap": float(np.mean(met)) if met else None,
        "median_length_ratio": float(np.median(ratios)) if ratios else None,
        "share_within_three_times": float((np.array(ratios) <= 3).mean()) if ratios else None,
    }


def lengths(firewall: Firewall, examples: Sequence[Example]) -> dict[str, Any]:
    """False-positive rates of long harmless documents of left-out sources, cut short and long: of those no length was learnt from."""
    documents = long_documents(examples, LENGTHS[-1])[1::2]
    rates = {}
    for length in LENGTHS:
        verdicts = judge(firewall, [replace(e, text=e.text[:length]) for e in documents])
        rates[str(length)] = {"n": len(documents), "flagged": sum(v.flagged for v in verdicts)}
    return rates


def disguises(firewall: Firewall, examples: Sequence[Example], seed: int) -> dict[str, Any]:
    """Share flagged of the same short left-out texts in each disguise, with and without views."""
    import random

    short = [e for e in examples if 20 <= len(e.text) <= 300]
    plain = {label: sample_examples([e for e in short if e.label == label], 60, seed) for label in (0, 1)}
    found: dict[str, Any] = {}
    for name, disguise in {"none": lambda text, _: text, **DISGUISES}.items():
        row = {}
        for label, chosen in plain.items():
            worn = [replace(e, text=disguise(e.text, random.Random(seed))) for e in chosen]
            for with_views in (True, False):
                flagged = [v.flagged for v in judge(firewall, worn, with_views=with_views)]
                row[f"{'attack' if label else 'benign'}_{'views' if with_views else 'plain'}"] = sum(flagged) / max(1, len(flagged))
        found[name] = row
    return found


def tables(results: dict[str, Any]) -> str:
    """Markdown: all tables."""
    return "\n\n".join(
        [system_table(results), group_table(results), default_table(results), short_facts(results), disguise_table(results), ""]
    )


def system_table(results: dict[str, Any]) -> str:
    """ROC AUC and TPR of each system."""
    rows = []
    for system, origins in results["systems"].items():
        for origin, f in origins.items():
            (low, high), (first, last) = f["tpr_interval"], f["roc_auc_interval"]
            auc, tpr = f"{f['roc_auc']:.3f} ({first:.3f}-{last:.3f})", f"{f['tpr']:.2f} ({low:.2f}-{high:.2f})"
            rows.append([system, origin, auc, tpr, str(f["n_benign"]), str(f["n_attack"])])
    return markdown_table(["system", "origin", "ROC AUC", "TPR at 1 % FPR (95 % interval)", "harmless", "attacks"], rows)


def group_table(results: dict[str, Any]) -> str:
    """Share found of each group of attacks."""
    rows = []
    for origin in ORIGINS:
        systems = {name: origins[origin]["groups"] for name, origins in results["systems"].items()}
        for group, first in next(iter(systems.values())).items():
            rows.append([origin, f"{group} ({first['n']})", *(f"{own[group]['tpr']:.2f}" for own in systems.values())])
    return markdown_table(["origin", "attacks", *results["systems"]], rows)


def default_table(results: dict[str, Any]) -> str:
    """What is flagged at the artifact's own thresholds, by source."""
    rows = []
    for origin, found in results["default"].items():
        for source, f in found["sources"].items():
            kind = {(0,): "harmless", (1,): "attacks"}.get(tuple(f["labels"]), "both")
            rows.append([origin, source, kind, str(f["n"]), f"{f['flagged']:.3f}"])
    return markdown_table(["origin", "source", "texts", "n", "flagged at the default threshold"], rows)


def short_facts(results: dict[str, Any]) -> str:
    """Innocent texts, spans, lengths, calibration."""
    facts, s = results["innocent"], results["spans"]
    lines = [f"Harmless prompts with words that attacks use, not flagged: {facts['accuracy']:.3f} of {facts['n']}."]
    if s["n"]:
        lines.append(
            f"Spans of {s['n']} detected attacks in content: {s['overlap']:.3f} meet the injected part; the spans are "
            f"{s['median_length_ratio']:.1f} times as long (median), at most three times in {s['share_within_three_times']:.2f}."
        )
    rates = [f"{f['flagged']} of {f['n']} flagged at {n} characters" for n, f in results["lengths"].items()]
    lines.append(f"The same documents: {', '.join(rates)}.")
    errors = ", ".join(f"{origin} {f['calibration_error']:.3f}" for origin, f in results["default"].items())
    lines.append(f"Expected calibration error: {errors}.")
    return "\n".join(lines)


def disguise_table(results: dict[str, Any]) -> str:
    """Views on and off."""
    names = ("attack_views", "attack_plain", "benign_views", "benign_plain")
    rows = [[origin, name, *(f"{f[n]:.2f}" for n in names)] for origin, own in results["disguises"].items() for name, f in own.items()]
    return markdown_table(["origin", "disguise", "attacks, views", "attacks, no views", "harmless, views", "harmless, no views"], rows)


if __name__ == "__main__":
    main()
