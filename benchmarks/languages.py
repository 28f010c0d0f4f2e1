"""What is found in which language, on rows of our own corpus.

    .venv-export/bin/python benchmarks/languages.py
    .venv-export/bin/python benchmarks/languages.py --markdown

Needs the export environment. The head was fitted on rows of the same parts, so these figures flatter; what they show is how much
less is read outside English. Rows in disguise are left out, and the artifact's own thresholds are used.
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
from alknet_firewall.ranking import Ranking  # noqa: E402
from alknet_firewall.verdict import ORIGINS, Origin  # noqa: E402
from benchmarks.common import environment, markdown_table, read_results, write_results  # noqa: E402
from export.corpus.compose import compose  # noqa: E402
from export.corpus.parts import Parts  # noqa: E402
from export.corpus.row import Row  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "languages.json"
ENGLISH = "en"


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=500), default=12_000, show_default=True, help="Rows to compose and choose from.")
@click.option("--texts", type=click.IntRange(min=20), default=900, show_default=True, help="Most texts of each line of the table.")
@click.option("--seed", type=int, default=77, show_default=True)
@click.option("--artifact", help="Folder of the artifact.  [default: the embedded one]")
@click.option("--markdown", is_flag=True, help="Print the table of the last run.")
def main(rows: int, texts: int, seed: int, artifact: str | None, markdown: bool) -> None:
    """Measure, write the results, print the table."""
    if not markdown:
        firewall = Firewall.from_pretrained(artifact)
        plain = [row for row in compose(Parts(), rows, seed) if not row.disguise]
        found = []
        for origin in ORIGINS:
            for name, is_english in (("English", True), ("other languages", False)):
                own = [row for row in plain if row.origin == origin and (row.language == ENGLISH) == is_english]
                found.append({"origin": origin, "language": name, **measure(firewall, own[:texts], origin)})
        write_results(RESULTS, {"environment": environment(), "artifact": firewall.artifact.id, "lines": found})
    click.echo(table(read_results(RESULTS)))


def measure(firewall: Firewall, rows: list[Row], origin: Origin) -> dict[str, Any]:
    """ROC AUC, and shares flagged at the artifact's own threshold."""
    verdicts = firewall.scan_batch([row.text for row in rows], origin)
    labels, flagged = np.array([row.label for row in rows]), np.array([v.flagged for v in verdicts])
    return {
        "languages": len({row.language for row in rows}),
        "n_attack": int(labels.sum()),
        "n_benign": int((labels == 0).sum()),
        "roc_auc": Ranking.of(np.array([v.score for v in verdicts]), labels).roc_auc(),
        "found": float(flagged[labels == 1].mean()),
        "false": float(flagged[labels == 0].mean()),
    }


def table(results: dict[str, Any]) -> str:
    """Markdown: a line for each origin and kind of language."""
    rows = [
        [
            line["origin"],
            f"{line['language']} ({line['languages']})",
            f"{line['roc_auc']:.2f}",
            f"{line['found']:.2f} of {line['n_attack']}",
            f"{line['false']:.3f} of {line['n_benign']}",
        ]
        for line in results["lines"]
    ]
    return markdown_table(["origin", "language", "ROC AUC", "attacks found", "harmless flagged"], rows)


if __name__ == "__main__":
    main()
