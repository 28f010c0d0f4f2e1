"""What is found in which language, on texts that were written apart from the corpus and that nothing was fitted on.

    python benchmarks/languages.py
    python benchmarks/languages.py --markdown

The texts lie in benchmarks/languages/, a file for each language: attacks and harmless texts of both origins, by writers who had
not seen the corpus. The artifact's own thresholds are used.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from alknet_firewall.ranking import Ranking, Scores  # noqa: E402
from alknet_firewall.tensors import IntArray  # noqa: E402
from alknet_firewall.verdict import ORIGINS, Origin  # noqa: E402
from benchmarks.common import environment, markdown_table, read_results, write_results  # noqa: E402
from export.corpus.parts import read_list  # noqa: E402
from export.data import ENGLISH  # noqa: E402

TEXTS = Path(__file__).with_name("languages")
RESULTS = ROOT / "benchmarks" / "results" / "languages.json"
OTHERS = "others together"


@click.command(help=__doc__)
@click.option("--artifact", help="Folder of the artifact.  [default: the embedded one]")
@click.option("--markdown", is_flag=True, help="Print the table of the last run.")
def main(artifact: str | None, *, markdown: bool) -> None:
    """Measure, write the results, print the table."""
    if not markdown:
        firewall = Firewall.from_pretrained(artifact)
        lines = [line for origin in ORIGINS for line in measure(firewall, origin)]
        write_results(RESULTS, {"environment": environment(), "artifact": firewall.artifact.id, "lines": lines})
    click.echo(table(read_results(RESULTS)))


def measure(firewall: Firewall, origin: Origin) -> list[dict[str, Any]]:
    """Figures of one origin: each language, then all but English together."""
    texts, labels, languages = read_texts(origin)
    verdicts = firewall.scan_batch(texts, origin)
    scores, flagged = np.array([v.score for v in verdicts]), np.array([v.flagged for v in verdicts])
    groups = {name: languages == name for name in sorted(set(languages.tolist()))} | {OTHERS: languages != ENGLISH}
    return [{"origin": origin, "language": name, **figures(scores[own], flagged[own], labels[own])} for name, own in groups.items()]


def read_texts(origin: Origin) -> tuple[list[str], IntArray, Any]:
    """Texts of one origin, their labels and their languages."""
    texts: list[str] = []
    labels: list[int] = []
    languages: list[str] = []
    for path in sorted(TEXTS.glob("*.list")):
        sections = read_list(path)
        for label, kind in enumerate(("harmless", "attack")):
            own = sections[f"{origin}_{kind}"]
            texts += own
            labels += [label] * len(own)
            languages += [path.stem] * len(own)
    return texts, np.array(labels, np.int64), np.array(languages)


def figures(scores: Scores, flagged: Any, labels: IntArray) -> dict[str, Any]:
    """ROC AUC, and how many are flagged at the artifact's own threshold."""
    return {
        "roc_auc": Ranking.of(scores, labels).roc_auc(),
        "n_attack": int(labels.sum()),
        "found": int(flagged[labels == 1].sum()),
        "n_benign": int((labels == 0).sum()),
        "false": int(flagged[labels == 0].sum()),
    }


def table(results: dict[str, Any]) -> str:
    """Markdown: a line for each language."""
    by_language: dict[str, list[str]] = {}
    for line in results["lines"]:
        cells = by_language.setdefault(line["language"], [])
        cells += [f"{line['roc_auc']:.2f}", f"{line['found']} of {line['n_attack']}", f"{line['false']} of {line['n_benign']}"]
    header = ["language", *(f"{origin}: {name}" for origin in ORIGINS for name in ("ROC AUC", "attacks found", "harmless flagged"))]
    return markdown_table(header, [[name, *cells] for name, cells in by_language.items()])


if __name__ == "__main__":
    main()
