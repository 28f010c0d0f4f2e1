"""One labelled text of the corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One labelled text, and what it was made of. `label` is 1 for an attack."""

    text: str
    label: int
    origin: str
    family: str
    language: str = "en"
    context: str = ""
    wrapper: str = ""
    disguise: str = ""
    pair: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return asdict(self)
