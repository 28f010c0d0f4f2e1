"""One labelled text of the corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One labelled text, and what it was made of.

    `label` is 1 for an attack. `injected` is the half-open range of characters that makes it one, where only a part of it does.
    """

    text: str
    label: int
    origin: str
    family: str
    language: str = "en"
    context: str = ""
    wrapper: str = ""
    disguise: str = ""
    pair: int | None = None
    injected: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return asdict(self)
