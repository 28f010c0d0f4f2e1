"""Where the time of a scan goes: its stages, and the operators of the graph by ONNX Runtime's own profile.

python benchmarks/shares.py
python benchmarks/shares.py --markdown
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from alknet_firewall import Firewall  # noqa: E402
from alknet_firewall.artifact import MODEL_FILE  # noqa: E402
from alknet_firewall.judging import rate  # noqa: E402
from alknet_firewall.sessions import integers_are_exact, session_options  # noqa: E402
from alknet_firewall.views import views  # noqa: E402
from alknet_firewall.windows import batches  # noqa: E402
from benchmarks.common import circumstances, environment, interleave, markdown_table, median, read_results, write_results  # noqa: E402
from benchmarks.worker import seconds, text_of  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "shares.json"
LENGTHS = (16, 128, 256)
WHOLE = "the whole scan"


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--artifact", type=click.Path(path_type=Path, exists=True), help="Folder of the artifact.  [default: the embedded one]")
@click.option("--markdown", is_flag=True, help="Print the tables of the last run.")
def main(rounds: int, threads: int, artifact: Path | None, *, markdown: bool) -> None:
    """Measure, write the results, print the tables."""
    if not markdown:
        firewall = Firewall.from_pretrained(artifact, threads=threads)
        results = {"environment": environment(threads), "rounds": rounds, "stages": {}, "operators": {}}
        for length in LENGTHS:
            tasks = {name: partial(seconds, task) for name, task in stages(firewall, text_of(firewall, length, 0)).items()}
            results["stages"][str(length)] = interleave(rounds, tasks)
            results["operators"][str(length)] = operators(firewall, length, rounds)
        write_results(RESULTS, results)
    click.echo(tables(read_results(RESULTS)))


def stages(firewall: Firewall, text: str) -> dict[str, Callable[[], Any]]:
    """Each stage of a scan of one window, given what the one before gives."""
    reader = firewall.reader
    (window,) = reader.windows(0, text)
    (batch,) = batches([window.ids], 1)
    states = reader.encoder.hidden_states(batch.ids, batch.mask, reader.pasts["content"])[0]
    segments = reader.describe(window, states, "content")
    return {
        WHOLE: lambda: firewall.scan(text, "content"),
        "tokenizer": lambda: reader.tokenizer.encode(text),
        "views": lambda: list(views(text)),
        "windows": lambda: list(batches([window.ids], 1)),
        "graph": lambda: reader.encoder.hidden_states(batch.ids, batch.mask, reader.pasts["content"]),
        "pooling and words": lambda: reader.describe(window, states, "content"),
        "head": lambda: rate(segments, firewall.detectors["content"]),
    }


def operators(firewall: Firewall, length: int, rounds: int) -> dict[str, float]:
    """Seconds of each kind of operator in one run, the median over runs of each node."""
    ids = np.random.default_rng(0).integers(100, 40_000, (1, length))
    past = firewall.reader.pasts["content"]
    positions = np.arange(past.n_tokens, past.n_tokens + length)[None]
    with tempfile.TemporaryDirectory() as scratch:
        options = session_options(firewall.threads, exact=integers_are_exact())
        options.enable_profiling, options.profile_file_prefix = True, str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(str(firewall.artifact.path(MODEL_FILE)), options, providers=["CPUExecutionProvider"])
        for _ in range(rounds):
            session.run(["last_hidden_state"], {"input_ids": ids, "position_ids": positions, **past.inputs(1)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"] / 1e6)
    found = dict.fromkeys((operator for operator, _ in times), 0.0)
    for (operator, _), values in times.items():
        found[operator] += median(values)
    return found


def tables(results: Mapping[str, Any]) -> str:
    """Stages, then operators."""
    lengths = list(results["stages"])
    medians = {n: {name: median(values) for name, values in results["stages"][n].items()} for n in lengths}
    rows = [
        [name, *(f"{human_time(medians[n][name])}, {medians[n][name] / medians[n][WHOLE]:.0%}" for n in lengths)]
        for name in medians[lengths[0]]
    ]
    first = markdown_table(["stage", *(f"{n} tokens" for n in lengths)], rows)
    sums = {n: sum(results["operators"][n].values()) for n in lengths}
    names = sorted(results["operators"][lengths[-1]], key=lambda name: -results["operators"][lengths[-1]][name])[:14]
    rows = [[name, *(f"{results['operators'][n].get(name, 0.0) / sums[n]:.1%}" for n in lengths)] for name in names]
    return "\n\n".join([first, markdown_table(["operator of the graph", *(f"{n} tokens" for n in lengths)], rows), circumstances(results)])


def human_time(value: float) -> str:
    """Milliseconds, as fine as they must be."""
    return f"{1000 * value:.2f} ms" if value < 0.01 else f"{1000 * value:.1f} ms"


if __name__ == "__main__":
    main()
