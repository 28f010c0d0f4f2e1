"""Detection on sources left out of training: the artifact beside what a bag of words learns from the same rows, in the same run.

    python benchmarks/quality.py --data train.jsonl.gz --hold-out SOURCE --hold-out SOURCE ...
    python benchmarks/quality.py --markdown

The sources named with --hold-out must be those that the artifact was built without (its card names how many). The peer
is TF-IDF with logistic regression, words and characters, fitted on the rows that the artifact's head was fitted on.
Every threshold is set at 1 % false positives on the left-out harmless texts of its origin.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from alknet_firewall.verdict import ORIGINS  # noqa: E402
from benchmarks.common import environment, markdown_table, read_results, write_results  # noqa: E402
from export.data import Example, all_examples, split_examples  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
FPR = 0.01
RESAMPLES = 1000
Scores = npt.NDArray[np.float64]


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), multiple=True, help="Labelled JSON lines.")
@click.option("--rows", type=int, default=20_000, show_default=True, help="Rows of our own corpus to fit the peer on.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--hold-out", multiple=True, help="Source that nothing was fitted on.")
@click.option("--artifact", help="Folder of the artifact.  [default: the embedded one]")
@click.option("--markdown", is_flag=True, help="Print the table of the last run.")
def main(data: tuple[Path, ...], rows: int, seed: int, hold_out: tuple[str, ...], artifact: str | None, markdown: bool) -> None:
    """Measure, write the results, print the table."""
    if not markdown:
        fitted, held = split_examples(all_examples(data, rows, seed), hold_out)
        if not held:
            raise click.UsageError("Name the sources that were left out with --hold-out.")
        firewall = Firewall.from_pretrained(artifact)
        systems = {
            firewall.artifact.id: artifact_scores(firewall, held),
            "TF-IDF words + logistic regression": peer_scores(fitted, held, "word", (1, 2)),
            "TF-IDF characters + logistic regression": peer_scores(fitted, held, "char_wb", (2, 5)),
        }
        figures = {name: {origin: measure(held, scores, origin, seed) for origin in ORIGINS} for name, scores in systems.items()}
        sources = sorted({e.source for e in held})
        write_results(RESULTS, {"environment": environment(), "fitted_rows": len(fitted), "sources": sources, "systems": figures})
    click.echo(table(read_results(RESULTS)))


def artifact_scores(firewall: Firewall, examples: list[Example]) -> Scores:
    """Scores of the artifact, whole texts."""
    scores = []
    with click.progressbar(range(0, len(examples), 32), file=sys.stderr) as starts:
        for start in starts:
            part = examples[start : start + 32]
            scores += [v.score for v in firewall.scan_batch([e.text for e in part], [e.origin for e in part])]
    return np.array(scores)


def peer_scores(fitted: list[Example], held: list[Example], analyzer: str, n_grams: tuple[int, int]) -> Scores:
    """Scores of a bag of words (or characters), one model an origin as the artifact has one prefix an origin."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    scores = np.zeros(len(held))
    for origin in ORIGINS:
        own = [e for e in fitted if e.origin == origin]
        vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=n_grams, min_df=3, max_features=200_000, sublinear_tf=True)
        model = make_pipeline(vectorizer, LogisticRegression(C=10.0, max_iter=400, class_weight="balanced"))
        model.fit([e.text[:6000] for e in own], [e.label for e in own])
        chosen = [i for i, e in enumerate(held) if e.origin == origin]
        scores[chosen] = model.decision_function([held[i].text for i in chosen])
    return scores


def measure(examples: list[Example], scores: Scores, origin: str, seed: int) -> dict[str, float | list[float] | int]:
    """ROC AUC and TPR at 1 % FPR of one origin, the latter with a 95 % bootstrap interval over texts."""
    from sklearn.metrics import roc_auc_score

    labels = np.array([e.label for e in examples if e.origin == origin])
    values = np.array([s for e, s in zip(examples, scores, strict=True) if e.origin == origin])
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(RESAMPLES):
        draw = rng.integers(0, len(labels), len(labels))
        if 0 < labels[draw].sum() < len(draw):
            resampled.append(tpr_at(labels[draw], values[draw]))
    return {
        "n_benign": int((labels == 0).sum()),
        "n_attack": int(labels.sum()),
        "roc_auc": float(roc_auc_score(labels, values)),
        "tpr": tpr_at(labels, values),
        "tpr_interval": [float(q) for q in np.quantile(resampled, [0.025, 0.975])],
    }


def tpr_at(labels: npt.NDArray[np.int64], values: Scores, fpr: float = FPR) -> float:
    """Share of attacks above the threshold that flags at most `fpr` of the harmless texts."""
    benign = np.sort(values[labels == 0])[::-1]
    return float((values[labels == 1] > benign[int(fpr * len(benign))]).mean())


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rows = []
    for system, origins in results["systems"].items():
        for origin, f in origins.items():
            low, high = f["tpr_interval"]
            rows.append(
                [system, origin, f"{f['roc_auc']:.3f}", f"{f['tpr']:.2f} ({low:.2f}-{high:.2f})", str(f["n_benign"]), str(f["n_attack"])]
            )
    return markdown_table(["system", "origin", "ROC AUC", "TPR at 1 % FPR (95 % interval)", "harmless", "attacks"], rows)


if __name__ == "__main__":
    main()
