"""Views of a text that is still arriving (floor 3)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from copy import copy

from alknet_firewall.encoder import Past
from alknet_firewall.reader import Reader, Segment
from alknet_firewall.verdict import Origin
from alknet_firewall.views import View, views

STRETCH = 1_024
"""Characters at the end of what has arrived that are searched for something hidden."""

STEP = STRETCH // 2
"""New characters after which they are searched again, so that what is up to this long lies whole in one stretch."""

FIRST_STEP = 64
"""New characters before the first search. From then on it is half of what has arrived, up to :data:`STEP`."""


class ArrivingViews:
    """Reads what is hidden in a text, in overlapping stretches while it arrives."""

    def __init__(self, reader: Reader, origin: Origin, past: Past) -> None:
        """Read behind a past."""
        self._reader, self._origin, self._past = reader, origin, past
        self._recent, self._n_characters, self._due = "", 0, FIRST_STEP
        self._known: dict[tuple[str, str, bytes, bytes], list[list[Segment]]] = {}

    def feed(self, chunk: str) -> list[list[Segment]]:
        """Take more text.

        Parameters
        ----------
        chunk : str

        Returns
        -------
        list of list of Segment
            The segments of each window of what is found in it now and was not before.
        """
        found: list[list[Segment]] = []
        at = 0
        while at < len(chunk):
            part = chunk[at : at + self._due - self._n_characters]
            at += len(part)
            self._take(part)
            if self._n_characters == self._due:
                self._due += min(STEP, max(FIRST_STEP, self._n_characters // 2))
                found += self._search()
        return found

    def peek(self, more: str) -> list[list[Segment]]:
        """What :meth:`feed` would give with `more`, a few characters, if it were to search now; nothing is taken."""
        ahead = copy(self)
        ahead._take(more)  # noqa: SLF001 - a copy of this one
        return ahead._search()  # noqa: SLF001

    def close(self, text: str) -> list[list[Segment]]:
        """The segments of each window of the views of the whole text; what was found last is not computed again."""
        self._read(views(text))
        return [window for windows in self._known.values() for window in windows]

    def _take(self, part: str) -> None:
        """Move on by at most :data:`STEP` characters."""
        self._recent = (self._recent + part)[-STRETCH:]
        self._n_characters += len(part)

    def _search(self) -> list[list[Segment]]:
        """The windows of what is found at the end of what has arrived and was not before."""
        start = self._n_characters - len(self._recent)
        return self._read([_moved(view, start) for view in views(self._recent)])

    def _read(self, found: Sequence[View]) -> list[list[Segment]]:
        """Keep the windows of views in mind, and return those of views that were not among the ones before."""
        keys = [(view.name, view.text, array("q", view.starts).tobytes(), array("q", view.ends).tobytes()) for view in found]
        fresh = [i for i, key in enumerate(keys) if key not in self._known]
        self._known = {key: self._known.get(key, []) for key in keys}
        windows = [window for i in fresh for window in self._reader.view_windows(i, found[i])]
        for window, states in self._reader.hidden_states(windows, self._origin, past=self._past):
            self._known[keys[window.text]].append(self._reader.describe(window, states, self._origin))
        return [window for i in fresh for window in self._known[keys[i]]]


def _moved(view: View, by: int) -> View:
    """A view of a stretch, as one of the whole text."""
    return View(view.name, view.text, array("q", (at + by for at in view.starts)), array("q", (at + by for at in view.ends)))
