"""A trusted text that others are read after (floor 3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from alknet_firewall.encoder import Past
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.reader import Reader
from alknet_firewall.text import check_text
from alknet_firewall.verdict import Origin

MOST_TOKENS = 256
"""Tokens that a context may have: as far back as the model was trained to look. A longer one is an error, never cut."""

MOST_KEPT = 8
"""Contexts given as str that are remembered, the least recently used being let go of; each takes about 3 MB an origin."""

BREAK = "\n\n"
"""What stands between a context and the text."""


class Context:
    """A trusted text, such as a system prompt or a user's request, read once for all scans that are given it.

    It stands between the prefix of the scanned text's origin and that text. A long one costs something at every scan, for attention has
    more to look at: up to a third more. Made by :meth:`alknet_firewall.firewall.Firewall.context`; safe to share between threads.

    Attributes
    ----------
    n_tokens : int
        How many tokens it has, those that set it off included.
    """

    def __init__(self, text: str, reader: Reader) -> None:
        """Check a text; its keys and values are computed when they are first asked for.

        Raises
        ------
        InvalidInputError
            If it is no text that can be judged, or has more than :data:`MOST_TOKENS` tokens.
        """
        self._ids = reader.tokenizer.encode(check_text(text) + BREAK).ids
        self.n_tokens = len(self._ids)
        if self.n_tokens > MOST_TOKENS:
            raise InvalidInputError(
                f"The context has {self.n_tokens} tokens, more than the limit of {MOST_TOKENS}. "
                "Give the part that says what the text is for; nothing is ever cut."
            )
        self.reader = reader
        self._pasts: dict[Origin, Past] = {}

    def past(self, origin: Origin) -> Past:
        """Keys and values of an origin's prefix and the context."""
        past = self._pasts.get(origin)
        if past is None:  # two threads may both compute it, to the same end
            past = self._pasts[origin] = self.reader.encoder.past_of(self._ids, self.reader.pasts[origin])
        return past


class Contexts:
    """The contexts of one firewall, those given as str remembered."""

    def __init__(self, reader: Reader) -> None:
        """Read contexts as a reader does."""
        self._reader = reader
        self._known: OrderedDict[str, Context] = OrderedDict()

    def of(self, text: str) -> Context:
        """The context that a text makes."""
        context = self._known.pop(text, None) if isinstance(text, str) else None
        context = context or Context(text, self._reader)
        self._known[text] = context
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return context

    def pasts(self, context: Context | str | None, origins: Iterable[Origin]) -> Mapping[Origin, Past]:
        """What texts of origins are read behind.

        Parameters
        ----------
        context : Context or str, optional
        origins : iterable of {"prompt", "content"}

        Returns
        -------
        dict of origin to Past

        Raises
        ------
        InvalidInputError
            If the context cannot be used, or is of a firewall with another artifact.
        """
        if context is None:
            return self._reader.pasts
        if not isinstance(context, Context):
            context = self.of(context)
        if context.reader is not self._reader:
            raise InvalidInputError("The context is of another firewall. Make one with this firewall's context(text), or give its text.")
        return {origin: context.past(origin) for origin in dict.fromkeys(origins)}
