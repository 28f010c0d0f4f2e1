"""Plots of an evaluation, as SVG to stand in an HTML page (floor 2). matplotlib is imported only inside functions."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from alknet_firewall.errors import missing_dependency
from alknet_firewall.figures import Evaluation, OriginEvaluation, SourceRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BENIGN, ATTACK, MUTED = "#0072b2", "#d55e00", "#888888"
"""Colours that the colour-blind can tell apart: Wong 2011, "Points of view: color blindness", Nature Methods 8."""

ORIGIN_COLOURS = {"prompt": "#009e73", "content": "#cc79a7"}
MOST_SOURCES = 40
"""Most bars that are drawn; of more rows those with most texts."""

NAME_CHARACTERS = 40
WIDTH, HEIGHT = 6.4, 4.2


def require_matplotlib() -> None:
    """Say what to install when matplotlib is not there.

    Raises
    ------
    MissingDependencyError
    """
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as err:
        raise missing_dependency("The HTML report", "matplotlib", "report") from err


def roc(evaluation: Evaluation) -> str | None:
    """ROC curves, the FPR on a logarithmic axis, with the intervals of the TPR; None where no origin has one."""
    parts = [part for part in evaluation.origins if part.curve]
    if not parts:
        return None
    figure, axes = _axes("ROC curve", "false-positive rate", "true-positive rate")
    lowest = min(1 / part.n_benign for part in parts)
    diagonal = [lowest * (1 / lowest) ** (step / 50) for step in range(51)]
    axes.plot(diagonal, diagonal, color=MUTED, linestyle=":", linewidth=1, label="chance")
    for part in parts:
        seen = [point for point in part.curve if point[0] > 0]  # a logarithmic axis has no place for 0
        colour = ORIGIN_COLOURS[part.origin]
        label = f"{part.origin}, ROC AUC {part.roc_auc.value:.3f}"
        axes.step(*zip(*seen, strict=True), where="post", color=colour, label=label)
        for d in part.detection:
            if d.tpr.low is not None and d.tpr.high is not None:
                axes.plot([d.fpr, d.fpr], [d.tpr.low, d.tpr.high], color=colour, linewidth=3, alpha=0.4)
    axes.set_xscale("log")
    axes.set_xlim(lowest, 1)
    axes.set_ylim(0, 1.02)
    return _svg(figure, axes, "roc")


def reliability(evaluation: Evaluation) -> str | None:
    """Share of attacks against mean probability; None where no origin has bins."""
    parts = [part for part in evaluation.origins if part.reliability]
    if not parts:
        return None
    figure, axes = _axes("Reliability", "mean probability", "share of attacks")
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1)
    for part in parts:
        means, shares = [b.mean_probability for b in part.reliability], [b.attack_share for b in part.reliability]
        label = f"{part.origin}, error {part.calibration_error.value:.3f}"
        axes.plot(means, shares, marker="o", color=ORIGIN_COLOURS[part.origin], label=label)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    return _svg(figure, axes, "reliability")


def histogram(part: OriginEvaluation) -> str:
    """Shares of scores by label, with the threshold."""
    figure, axes = _axes(f"Scores, {part.origin}", "score", "share of the label's texts")
    for name, counts, colour in (("benign", part.histogram.benign, BENIGN), ("attack", part.histogram.attacks, ATTACK)):
        if n := sum(counts):
            shares = [count / n for count in counts]
            axes.stairs(shares, part.histogram.edges, fill=True, color=colour, alpha=0.45, label=f"{name} ({n})")
    if part.threshold is not None:
        axes.axvline(part.threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {part.threshold:.3f}")
    axes.set_xlim(0, 1)
    return _svg(figure, axes, f"histogram-{part.origin}")


def sources(part: OriginEvaluation) -> str:
    """Bars of what is flagged by default, a source and label each, with intervals."""
    rows = sorted(sorted(part.sources, key=lambda row: -row.n)[:MOST_SOURCES], key=lambda row: (-row.label, row.at_default.value or 0.0))
    figure, axes = _axes(f"Flagged by default, {part.origin}", "share flagged", "", height=1.2 + 0.28 * len(rows))
    for label, name, colour in ((1, "attacks: recall", ATTACK), (0, "benign: false positives", BENIGN)):
        places = [place for place, row in enumerate(rows) if row.label == label]
        axes.barh(places, [rows[place].at_default.value or 0.0 for place in places], color=colour, alpha=0.7, label=name)
    for place, row in enumerate(rows):
        axes.plot([row.at_default.low or 0.0, row.at_default.high or 0.0], [place, place], color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    return _svg(figure, axes, f"sources-{part.origin}")


def _name(row: SourceRates) -> str:
    """A source's name, short and in characters that can be drawn, with its number of texts."""
    name = "".join(c if c.isprintable() else "?" for c in row.source)
    short = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
    return f"{short} ({row.n})"


def _axes(title: str, across: str, up: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty plot; without pyplot, which would keep it for ever and look for a screen."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, axes: Axes, name: str) -> str:
    """The plot as an SVG element whose ids no other plot has; the same plot gives the same bytes."""
    import matplotlib as mpl

    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, framealpha=0.9)
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has fonts for what matplotlib's lacks
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
