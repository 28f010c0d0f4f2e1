"""Detection on English texts that were written apart from the corpus and that nothing was fitted, calibrated or chosen on.

    .venv-export/bin/python benchmarks/unseen.py
    .venv-export/bin/python benchmarks/unseen.py --markdown

The texts lie in benchmarks/unseen/, a file for each origin, by a writer who had not seen the corpus. The artifact's own
thresholds are used. The peer is TF-IDF with logistic regression, fitted in the same run on as many rows of our own corpus as
are given, with a threshold that flags as many of the harmless texts as the artifact does. Needs the export environment.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from alknet_firewall.evaluation import calibration  # noqa: E402
from alknet_firewall.ranking import Ranking, Scores, bootstrap, wilson  # noqa: E402
from alknet_firewall.tensors import IntArray  # noqa: E402
from alknet_firewall.verdict import ORIGINS, Origin  # noqa: E402
from benchmarks.common import environment, markdown_table, read_results, write_results  # noqa: E402
from export.data import Example, corpus_examples, file_examples  # noqa: E402

TEXTS = Path(__file__).with_name("unseen")
RESULTS = ROOT / "benchmarks" / "results" / "unseen.json"
FPR = 0.05
"""False positives at which systems are compared beside the artifact's own threshold: of some hundred harmless texts 1 % is one."""


@click.command(help=__doc__)
@click.option("--artifact", help="Folder of the artifact.  [default: the embedded one]")
@click.option("--rows", type=int, default=100_000, show_default=True, help="Rows of our own corpus to fit the peer on.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--markdown", is_flag=True, help="Print the tables of the last run.")
def main(artifact: str | None, rows: int, seed: int, *, markdown: bool) -> None:
    """Measure, write the results, print the tables."""
    if not markdown:
        firewall = Firewall.from_pretrained(artifact)
        fitted = corpus_examples(rows, seed)
        results = {origin: measure(firewall, read_texts(origin), fitted, origin) for origin in ORIGINS}
        write_results(RESULTS, {"environment": environment(), "artifact": firewall.artifact.id, "peer_rows": rows, "origins": results})
    click.echo(tables(read_results(RESULTS)))


def read_texts(origin: Origin) -> list[Example]:
    """Texts of one origin; the source is the kind."""
    return file_examples([TEXTS / f"{origin}s.jsonl"])


def measure(firewall: Firewall, texts: list[Example], fitted: list[Example], origin: Origin) -> dict[str, Any]:
    """Figures of one origin: of the artifact and of the peer, and the artifact's by kind."""
    from export.ablation import Task, bag_of_words

    verdicts = firewall.scan_batch([e.text for e in texts], origin)
    labels = np.array([e.label for e in texts])
    flagged = np.array([v.flagged for v in verdicts])
    systems = {
        "this artifact": np.array([v.score for v in verdicts]),
        "TF-IDF words": bag_of_words(Task(fitted, texts), "word", (1, 2)),
        "TF-IDF characters": bag_of_words(Task(fitted, texts), "char_wb", (2, 5)),
    }
    false = int(flagged[labels == 0].sum())
    error, bins = calibration(np.array([v.probability for v in verdicts]), labels)
    kinds = np.array([e.source for e in texts])
    groups = [(label, str(kind)) for label in (1, 0) for kind in sorted(set(kinds[labels == label].tolist()))]
    own = {(label, kind): (kinds == kind) & (labels == label) for label, kind in groups}
    return {
        "n_attack": int(labels.sum()),
        "n_benign": int((labels == 0).sum()),
        "systems": {name: figures(scores, labels, false) for name, scores in systems.items()},
        "default": {"found": int(flagged[labels == 1].sum()), "false": false},
        "calibration_error": error,
        "reliability": [asdict(b) for b in bins],
        "kinds": [{"kind": k, "label": n, "n": int(own[n, k].sum()), "flagged": int(flagged[own[n, k]].sum())} for n, k in groups],
    }


def figures(scores: Scores, labels: IntArray, false: int) -> dict[str, Any]:
    """ROC AUC, and the share of attacks above all but `false` of the harmless texts, and at :data:`FPR`; with 95 % intervals."""
    ranking = Ranking.of(scores, labels)
    share = ranking.tpr((false + 0.5) / int((labels == 0).sum()))
    auc, (tpr,) = bootstrap(scores, labels, np.zeros(len(labels), np.int64), (FPR,))
    return {"roc_auc": ranking.roc_auc(), "roc_auc_interval": auc, "tpr": ranking.tpr(FPR), "tpr_interval": tpr, "at_default": share}


def tables(results: dict[str, Any]) -> str:
    """Markdown: the systems, how far probabilities are off, then the artifact by kind."""
    origins = results["origins"]
    errors = ", ".join(f"{origin} {own['calibration_error']:.3f}" for origin, own in origins.items())
    return "\n\n".join([system_table(origins), f"Expected calibration error of probabilities: {errors}.", kind_table(origins)])


def system_table(origins: dict[str, Any]) -> str:
    """A line for each origin and system."""
    header = ["system", "origin", "ROC AUC", f"TPR at {FPR:.0%} FPR", "TPR at as many false alarms as ours", "harmless flagged there"]
    lines = [
        [
            name,
            origin,
            f"{f['roc_auc']:.3f} ({f['roc_auc_interval'][0]:.3f}-{f['roc_auc_interval'][1]:.3f})",
            f"{f['tpr']:.2f} ({f['tpr_interval'][0]:.2f}-{f['tpr_interval'][1]:.2f})",
            f"{f['at_default']:.2f}",
            f"{own['default']['false']} of {own['n_benign']}",
        ]
        for origin, own in origins.items()
        for name, f in own["systems"].items()
    ]
    return markdown_table(header, lines)


def kind_table(origins: dict[str, Any]) -> str:
    """A line for each kind of text: how many are flagged at the artifact's own thresholds."""
    lines = []
    for origin, own in origins.items():
        for group in own["kinds"]:
            low, high = wilson(group["flagged"], group["n"])
            label = "attack" if group["label"] else "harmless"
            lines.append([origin, label, group["kind"], f"{group['flagged']} of {group['n']}", f"{low:.2f}-{high:.2f}"])
    return markdown_table(["origin", "", "kind", "flagged", "95 % interval"], lines)


if __name__ == "__main__":
    main()
