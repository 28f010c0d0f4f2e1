"""What a scan answers (floor 0)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Origin = Literal["prompt", "content"]
"""Where a text came from: typed by a user (``prompt``) or retrieved by the application (``content``)."""

ORIGINS: tuple[Origin, ...] = get_args(Origin)


PLAIN = "plain"
"""The view that is the text itself."""


@dataclass(frozen=True)
class Span:
    """A stretch of the caller's text that carries the score.

    Attributes
    ----------
    start, end : int
        Half-open range of characters (code points) in the caller's own string; ``text[start:end]`` is the stretch.
    score : float
        Score of the stretch, in [0, 1], higher = more suspicious.
    view : str
        In which view of the text it was found: the text itself (``plain``), or one that shows what was hidden in it
        (:mod:`alknet_firewall.views`).
    """

    start: int
    end: int
    score: float
    view: str = PLAIN


@dataclass(frozen=True)
class Verdict:
    """The judgement of one text.

    Attributes
    ----------
    flagged : bool
        ``score >= threshold``, decided on raw floats.
    score : float
        In [0, 1], higher = more suspicious. It orders texts and is compared with the threshold; `probability` says how likely an attack is.
    probability : float
        In [0, 1]: how likely the text is an attack, were attacks as common as harmless texts. Learnt on sources that nothing was fitted
        on, it rises with the score. Where a share `s` of texts are attacks it is ``s * p / (s * p + (1 - s) * (1 - p))``.
    threshold : float
        What the score was compared with.
    origin : {"prompt", "content"}
        What the text was judged as.
    spans : tuple of Span
        The stretches at or above the threshold, in order, not overlapping. Not empty exactly when `flagged`.
    windows : int
        How many overlapping windows the text and its views were read in: at least 1, or 0 for a stream before its first. Nothing
        is truncated.
    artifact : str
        Name and manifest hash of the artifact that judged, ``name@sha256``.
    revision : str or None
        Commit hash of the Hub repository that the artifact came from, also when a branch or tag was asked for; None when it is not
        from the Hub.
    """

    flagged: bool
    score: float
    probability: float
    threshold: float
    origin: Origin
    spans: tuple[Span, ...]
    windows: int
    artifact: str
    revision: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON: full-precision floats, spans as a list of dicts."""
        return {**asdict(self), "spans": [asdict(span) for span in self.spans]}


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans that touch or overlap; the joined one has the highest score, and the view it was found in.

    Parameters
    ----------
    spans : iterable of Span
        In any order.

    Returns
    -------
    tuple of Span
        Ordered, disjoint, not touching.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if merged and span.start <= merged[-1].end:
            last = merged.pop()
            worst = max(last, span, key=lambda s: s.score)
            merged.append(Span(last.start, max(last.end, span.end), worst.score, worst.view))
        else:
            merged.append(span)
    return tuple(merged)
