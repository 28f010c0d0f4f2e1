"""Scores the texts of golden.json again with the embedded artifact, and writes the scores and the artifact's id.

Run it when the artifact has changed on purpose, and say in CHANGELOG.md that scores changed::

    python tests/golden/regenerate.py            # write
    python tests/golden/regenerate.py --check    # only compare: exit 1 when a score or a verdict is another
"""

import json
import sys
from pathlib import Path

import click

from alknet_firewall import Firewall

sys.path[:0] = [str(Path(__file__).parents[1])]

from kernels import integers_saturate  # noqa: E402

GOLDEN = Path(__file__).parent / "golden.json"

DIGITS = 6
TOLERANCE = 0.02 if integers_saturate() else 0.01
"""Most that a score may differ from the file: processors, and ONNX Runtime before 1.30 (by up to 0.0052), round differently, and
an activation then takes the next of 255 levels. Where integers saturate it is up to 0.018 (docs/adr/003)."""


def score_again(firewall, cases):
    """The cases as the firewall judges them now, and the distance of each score from its threshold."""
    verdicts = [firewall.scan(case["text"], case["origin"]) for case in cases]
    scored = [{**case, "score": round(v.score, DIGITS), "flagged": v.flagged} for case, v in zip(cases, verdicts, strict=True)]
    return scored, [abs(v.score - v.threshold) for v in verdicts]


def differences(golden, cases, artifact):
    """What is no longer as the file says, a line each."""
    if golden["artifact"] != artifact:
        yield f"the file is of {golden['artifact']}, the embedded artifact is {artifact}"
    for number, (old, new) in enumerate(zip(golden["cases"], cases, strict=True)):
        if not abs(old["score"] - new["score"]) <= TOLERANCE:
            yield f"case {number}: score {new['score']}, was {old['score']}"
        if old["flagged"] is not new["flagged"]:
            yield f"case {number}: flagged {new['flagged']}, was {old['flagged']}"


@click.command(help=__doc__.partition("\n")[0])
@click.option("--check", is_flag=True, help="Compare and write nothing; exit 1 when something differs.")
@click.option("--file", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=GOLDEN, help="Which file.")
def main(*, check, path):
    golden = json.loads(path.read_text(encoding="utf-8"))
    firewall = Firewall.from_pretrained()
    cases, margins = score_again(firewall, golden["cases"])
    found = list(differences(golden, cases, firewall.artifact.id))
    for line in found:
        click.echo(line)
    if check:
        raise SystemExit(1 if found else 0)
    for number, margin in enumerate(margins):
        if margin <= TOLERANCE:
            click.echo(f"case {number} is so near its threshold that another processor may decide otherwise: change its text", err=True)
    new = {"artifact": firewall.artifact.id, "cases": cases}
    path.write_text(json.dumps(new, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
