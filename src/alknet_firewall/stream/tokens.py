"""Token ids of a text that is still arriving (floor 2)."""

from __future__ import annotations

import numpy as np

from alknet_firewall.tokenizer import NO_TOKENS, Tokenizer, Tokens

LONGEST_WORD = 1_024
"""Characters without the end of a word that are waited for. A longer word is cut there: its tokens may then differ from the whole
text's, and :attr:`ArrivingTokens.is_exact` says so."""


class ArrivingTokens:
    """Gives out each token of a text once, as soon as nothing that follows can change it.

    Attributes
    ----------
    n_characters : int
        How many characters have been fed.
    is_exact : bool
        Whether the ids are those of the whole text for certain: no word was longer than :data:`LONGEST_WORD`.
    """

    def __init__(self, tokenizer: Tokenizer, at_least: int) -> None:
        """Read with a tokenizer, giving out `at_least` tokens at a time."""
        self.n_characters, self.is_exact = 0, True
        self._tokenizer, self._at_least = tokenizer, at_least
        self._waiting = ""
        self._unread = 0

    def feed(self, chunk: str) -> Tokens:
        """Take more text.

        Parameters
        ----------
        chunk : str
            May be empty, and may end within a word or a character of several code points.

        Returns
        -------
        Tokens
            Settled ones, their offsets counted from the start of the text; none while fewer than `at_least` are settled.
        """
        self.n_characters += len(chunk)
        self._waiting += chunk
        self._unread += len(chunk)
        if self._unread < self._at_least:  # a character is a token at most, or nearly so: not worth a look
            return NO_TOKENS
        self._unread = 0
        settled = self._tokenizer.encode_settled(self._waiting)
        if len(self._waiting) - _end(settled) > LONGEST_WORD:
            self.is_exact = False
            return self.close()
        return self._give(settled[: len(settled) if len(settled) >= self._at_least else 0])

    def close(self) -> Tokens:
        """All tokens that are left, as if the text ended here."""
        return self._give(self._tokenizer.encode(self._waiting))

    def _give(self, tokens: Tokens) -> Tokens:
        """Let go of the characters of tokens."""
        start = self.n_characters - len(self._waiting)
        self._waiting = self._waiting[_end(tokens) :]
        return Tokens(tokens.ids, tokens.offsets + np.int64(start))


def _end(tokens: Tokens) -> int:
    """Where tokens end."""
    return int(tokens.offsets[-1, 1]) if len(tokens) else 0
