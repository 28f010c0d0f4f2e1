"""Token ids of a text that is still arriving (floor 2)."""

from __future__ import annotations

import numpy as np

from alknet_firewall.tokenizer import NO_TOKENS, Tokenizer, Tokens, joined

LONGEST_WORD = 1_024
"""Characters without the end of a word that are waited for. A longer word is cut there: its tokens may then differ from the whole
text's, and :attr:`ArrivingTokens.is_exact` says so."""

MOST_TOGETHER = 4
"""Times as many tokens as at first that are given out together in a long text."""

PATIENCE = 8
"""Tokens wait for up to this share of what has been given out: one in so many."""


class ArrivingTokens:
    """Gives out each token of a text once, as soon as nothing that follows can change it.

    Attributes
    ----------
    n_characters : int
        How many characters have been fed.
    is_exact : bool
        Whether the ids are those of the whole text for certain: no word was longer than :data:`LONGEST_WORD`.
    """

    def __init__(self, tokenizer: Tokenizer, together: int) -> None:
        """Read with a tokenizer, giving out `together` tokens at a time, or several times as many: in a long text a few more may wait."""
        self.n_characters, self.is_exact = 0, True
        self._tokenizer, self._together, self._n_given = tokenizer, together, 0
        self._waiting, self._unread = "", 0
        self._ready = NO_TOKENS

    def feed(self, chunk: str) -> Tokens:
        """Take more text.

        Parameters
        ----------
        chunk : str
            May be empty, and may end within a word or a character of several code points.

        Returns
        -------
        Tokens
            Settled ones, their offsets counted from the start of the text; none while too few are settled.
        """
        self.n_characters += len(chunk)
        self._waiting += chunk
        self._unread += len(chunk)
        together = self._together * max(1, min(MOST_TOGETHER, self._n_given // (PATIENCE * self._together)))
        if self._unread < together // 2:  # not worth a look
            return NO_TOKENS
        settled = self._tokenizer.encode_settled(self._waiting)
        if len(self._waiting) - _end(settled) > LONGEST_WORD:
            self.is_exact = False
            settled = self._tokenizer.encode(self._waiting)
        self._take(settled)
        return self._give(len(self._ready) // together * together)

    def peek(self, more: str) -> Tokens:
        """All tokens that would be left, were `more` the end of the text; they go on waiting."""
        tokens = self._tokenizer.encode(self._waiting + more)
        return joined(self._ready, self._placed(tokens))

    def close(self) -> Tokens:
        """All tokens that are left, as the text ends here."""
        self._take(self._tokenizer.encode(self._waiting))
        return self._give(len(self._ready))

    def _take(self, tokens: Tokens) -> None:
        """Exchange the first characters that wait for their tokens."""
        self._ready = joined(self._ready, self._placed(tokens))
        self._waiting, self._unread = self._waiting[_end(tokens) :], 0

    def _placed(self, tokens: Tokens) -> Tokens:
        """Tokens of what waits, their offsets counted from the start of the text."""
        return Tokens(tokens.ids, tokens.offsets + np.int64(self.n_characters - len(self._waiting)))

    def _give(self, n_tokens: int) -> Tokens:
        """Give out tokens that are ready."""
        given, self._ready = self._ready[:n_tokens], self._ready[n_tokens:]
        self._n_given += n_tokens
        return given


def _end(tokens: Tokens) -> int:
    """Where tokens end."""
    return int(tokens.offsets[-1, 1]) if len(tokens) else 0
