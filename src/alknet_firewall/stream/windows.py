"""Windows of a text that is still arriving (floor 3)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import cast

import numpy as np

from alknet_firewall.continuing import extend
from alknet_firewall.encoder import Before, Past
from alknet_firewall.reader import Reader, Segment, Window
from alknet_firewall.tensors import IntArray
from alknet_firewall.tokenizer import NO_TOKENS, Tokens, joined
from alknet_firewall.verdict import Origin


class ArrivingWindows:
    """Reads the windows of a text from its tokens as they come, each token once a window.

    Keeps keys, values and hidden states of the window that is open, and the last tokens of the text; nothing that grows with it.

    Attributes
    ----------
    open : list of Segment
        The segments of the window that is not full yet, as they would be if the text ended here; empty when there is none.
    """

    def __init__(self, reader: Reader, origin: Origin, past: Past) -> None:
        """Read behind a past."""
        config = reader.config
        self.open: list[Segment] = []
        self._reader, self._origin, self._past = reader, origin, past
        self._size, self._overlap = config.window.size, config.window.size - config.window.stride
        self._states = np.empty((self._size, config.encoder.hidden_size), np.float32)
        self._last = NO_TOKENS
        self._n_total = 0
        self._restart()

    def feed(self, tokens: Tokens) -> Iterator[list[Segment]]:
        """Read more tokens.

        Parameters
        ----------
        tokens : Tokens
            Those that follow the ones before.

        Yields
        ------
        list of Segment
            The segments of each window that they fill. A full window is one of the whole text's, however the text goes on.
        """
        while len(tokens):
            shared = NO_TOKENS
            if self._n_open == self._size:
                self._restart()
                shared = self._last[self._size - self._overlap :]
            new = tokens[: self._size - self._n_open - len(shared)]
            tokens = tokens[len(new) :]
            self._n_total += len(new)
            self._last = joined(self._last, new)[-self._size :]
            self._compute(joined(shared, new).ids)
            if self._n_open == self._size:
                yield self._segments()
        self.open = self._segments() if 0 < self._n_open < self._size else []

    def peek(self, tokens: Tokens) -> list[list[Segment]]:
        """The segments of each window that the next tokens would go on with, an open one last; nothing is taken."""
        ahead = copy(self)
        ahead._states = self._states.copy()  # noqa: SLF001 - a copy of this one, and the one thing in it that is written into
        return [*ahead.feed(tokens), *([ahead.open] if ahead.open else [])]

    def close(self) -> list[Segment]:
        """The segments of the last window of a text that ends here; empty when :meth:`feed` gave them."""
        if self.open and self._n_total > self._size:  # the last window of a long text is moved back to end with it
            self._restart()
            self._compute(self._last.ids)
            return self._segments()
        return self.open

    def _restart(self) -> None:
        """Open a window with nothing in it."""
        self._n_open, self._before = 0, cast("Before", self._past)

    def _compute(self, ids: IntArray) -> None:
        """Read the next tokens of the open window."""
        states, self._before = extend(self._reader.encoder, ids, self._before)
        self._states[self._n_open : self._n_open + len(ids)] = states
        self._n_open += len(ids)

    def _segments(self) -> list[Segment]:
        """The segments of the open window."""
        tokens = self._last[-self._n_open :]
        return self._reader.describe(Window(0, tokens.ids, tokens.offsets), self._states[: self._n_open], self._origin)
