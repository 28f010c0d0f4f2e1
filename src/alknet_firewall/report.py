"""An evaluation as tables, and as one HTML file that needs nothing else (floor 3)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from alknet_firewall.evaluation import SOURCE_FPR
from alknet_firewall.figures import Bin, Estimate, Evaluation, Mistake, OriginEvaluation, PointCheck, SourceRates

LABEL_NAMES = {0: "benign", 1: "attack"}
SHOWN_CHARACTERS = 200
"""How much of a text is shown; the middle of a longer one is left out."""

NOTES = (
    "95 % intervals: bootstrap stratified by source for ROC AUC and TPR, Wilson's for shares. They hold for these sources, not for others.",
    "TPR is the share of attacks flagged, FPR that of harmless texts. Figures on texts that the artifact was fitted on flatter it.",
    "The calibration error depends on the share of attacks among the texts: a score is not a probability.",
)

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
figure { margin: 1rem 0; display: inline-block; vertical-align: top; }
figcaption, .note { color: #555; font-size: .9rem; max-width: 40rem; }
svg { max-width: 100%; height: auto; }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page may load and run nothing, whatever a name in it holds."""


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are to be read; names in them are as they came and want escaping."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(part: OriginEvaluation) -> list[Table]:
    """The tables of one origin; those without rows are left out.

    Parameters
    ----------
    part : OriginEvaluation

    Returns
    -------
    list of Table
    """
    at_fpr = f"flagged at {percent(SOURCE_FPR)} FPR"
    found = [
        Table("Figures", ("figure", "value (95 % interval)", "threshold"), _figures(part)),
        Table(
            "Operating points of the artifact, measured here",
            ("stated FPR", "threshold", "measured FPR", "measured TPR"),
            tuple(map(_point, part.points)),
        ),
        Table(_sources_title(part), ("source", "label", "texts", "flagged by default", at_fpr), tuple(map(_source, part.sources))),
        Table("Reliability", ("mean probability", "share of attacks", "texts"), tuple(map(_bin, part.reliability))),
        _mistakes("Worst misses", part.worst_misses, part.n_misses),
        _mistakes("Worst false alarms", part.worst_false_alarms, part.n_false_alarms),
    ]
    return [table for table in found if table.rows]


def heading(part: OriginEvaluation) -> str:
    """The origin and how many texts it has."""
    return f"{part.origin}: {part.n_benign} benign, {part.n_attack} attacks"


def html_report(evaluation: Evaluation, created: str) -> str:
    """The whole report as an HTML page with plots in it: no scripts, no requests.

    Parameters
    ----------
    evaluation : Evaluation
    created : str
        When, for the reader.

    Returns
    -------
    str
        Well-formed as HTML and as XML; in UTF-8 when it is written.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    from alknet_firewall import plots

    title = f"Evaluation of {plain(evaluation.artifact)}"
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="note">{evaluation.n_texts} texts, {escape(created)}, seed {evaluation.seed}, {evaluation.resamples} resamples.</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in NOTES),
        _figure(
            plots.roc(evaluation), "Share of attacks found at each false-positive rate. The rates a firewall works at are on the left."
        ),
        _figure(
            plots.reliability(evaluation),
            "Points above the line: more attacks than the probability says. Both labels weigh the same.",
        ),
    ]
    for part in evaluation.origins:
        parts.append(f"<h2>{escape(heading(part))}</h2>")
        parts.append(_figure(plots.histogram(part), "Where the scores lie, as shares of each label."))
        parts.append(_figure(plots.sources(part), _sources_caption(part, plots.MOST_SOURCES)))
        parts += [_table(table) for table in tables(part)]
    head = f'<meta charset="utf-8"/><meta http-equiv="Content-Security-Policy" content="{POLICY}"/><title>{title}</title>'
    body = "\n".join(part for part in parts if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'


def plain(text: str) -> str:
    """A foreign string as HTML; what cannot be seen or be in a file is written as an escape."""
    return escape(visible(text))


def visible(text: str) -> str:
    """Control, format and surrogate characters, and spaces other than the usual, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(estimate: Estimate, digits: int = 3) -> str:
    """A figure with its interval, or why there is none."""
    if estimate.value is None:
        return f"none: {estimate.why}"
    interval = f" ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})" if estimate.low is not None else ""
    return f"{estimate.value:.{digits}f}{interval}"


def percent(rate: float) -> str:
    """A rate as a percentage, as short as it can be."""
    return f"{100 * rate:g} %"


def _figures(part: OriginEvaluation) -> tuple[tuple[str, ...], ...]:
    """The main figures."""
    default = "differs" if part.threshold is None else f"{part.threshold:.4f}"
    return (
        ("ROC AUC", shown(part.roc_auc), ""),
        *((f"TPR at {percent(d.fpr)} FPR", shown(d.tpr), "" if d.threshold is None else f"{d.threshold:.4f}") for d in part.detection),
        ("TPR by default", shown(part.tpr), default),
        ("FPR by default", shown(part.fpr), default),
        ("calibration error", shown(part.calibration_error), ""),
    )


def _point(point: PointCheck) -> tuple[str, ...]:
    return percent(point.stated_fpr), f"{point.threshold:.4f}", shown(point.fpr, 4), shown(point.tpr)


def _source(row: SourceRates) -> tuple[str, ...]:
    at_fpr = "-" if row.at_fpr.value is None else shown(row.at_fpr)
    return row.source, LABEL_NAMES[row.label], str(row.n), shown(row.at_default), at_fpr


def _sources_title(part: OriginEvaluation) -> str:
    """Why a column is empty is the same for every source, so it is said once."""
    why = next((row.at_fpr.why for row in part.sources if row.at_fpr.value is None), None)
    return f"Sources ({percent(SOURCE_FPR)} FPR: {why})" if why else "Sources"


def _bin(group: Bin) -> tuple[str, ...]:
    return f"{group.mean_probability:.3f}", f"{group.attack_share:.3f}", str(group.n)


def _mistakes(title: str, mistakes: tuple[Mistake, ...], n: int) -> Table:
    """Misses or false alarms, with their texts when these may be shown."""
    with_text = any(mistake.text is not None for mistake in mistakes)
    header = ("place", "source", "score", "threshold", "characters", *(["text"] if with_text else []))
    rows = tuple(
        (m.place, m.source, f"{m.score:.4f}", f"{m.threshold:.4f}", str(m.length), *([_shortened(m.text or "")] if with_text else []))
        for m in mistakes
    )
    return Table(f"{title} ({len(mistakes)} of {n})", header, rows)


def _shortened(text: str) -> str:
    """The beginning and end of a long text."""
    half = SHOWN_CHARACTERS // 2
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:half]} […] {text[-half:]}"


def _sources_caption(part: OriginEvaluation, most: int) -> str:
    """What the bars are, and which sources have none."""
    caption = "Flagged at the artifact's threshold, by source. Long bars are good for attacks and bad for harmless texts."
    n_hidden = len(part.sources) - most
    return f"{caption} The {n_hidden} rows with fewest texts are only in the table." if n_hidden > 0 else caption


def _figure(svg: str | None, caption: str) -> str:
    """A plot with its caption; nothing where there is no plot."""
    return f"<figure>\n{svg}\n<figcaption>{escape(caption)}</figcaption></figure>" if svg else ""


def _table(table: Table) -> str:
    """A table."""
    header = "".join(f"<th>{plain(cell)}</th>" for cell in table.header)
    rows = "\n".join("<tr>" + "".join(f"<td>{plain(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><caption>{plain(table.title)}</caption>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
