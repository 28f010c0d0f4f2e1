"""Text to token ids and character offsets (floor 2): the only import of tokenizers."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.errors import AlknetFirewallError, ArtifactCorruptError, ArtifactNotFoundError, InvalidInputError
from alknet_firewall.tensors import IntArray
from alknet_firewall.threads import check_going_on

LOOKAHEAD = 2
"""Characters after a word that can decide where it ends: ``'r`` is a word of one kind before an ``e`` and of another before anything else,
and white space leaves its last character to the word after it."""


REPLACEMENT = "\ufffd"
"""What the library makes of bytes that are no whole character."""

PIECE = 1 << 16
"""Characters that the library is given at a time where a text can be cut."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text.

    Attributes
    ----------
    ids : ndarray of shape (n_tokens,), int64
        Token ids. Special tokens written in the text are plain characters; only bytes that the vocabulary lacks (a few control
        characters, such as U+0004) become its unknown token.
    offsets : ndarray of shape (n_tokens, 2), int64
        Half-open character range of each token in the text. The tokens of one character that takes several all have that character's range.
    """

    ids: IntArray
    offsets: IntArray

    def __getitem__(self, chosen: slice) -> Tokens:
        return Tokens(self.ids[chosen], self.offsets[chosen])

    def __len__(self) -> int:
        return len(self.ids)


NO_TOKENS = Tokens(np.zeros(0, np.int64), np.zeros((0, 2), np.int64))


def joined(first: Tokens, second: Tokens) -> Tokens:
    """Tokens that follow each other in one text."""
    return Tokens(np.concatenate([first.ids, second.ids]), np.concatenate([first.offsets, second.offsets]))


class Tokenizer:
    """A byte-level BPE tokenizer that never truncates and reads special tokens in a text as plain characters.

    Safe to share between threads.
    """

    def __init__(self, definition: str, where: str = "tokenizer.json") -> None:
        """Build from the content of a ``tokenizer.json``.

        Parameters
        ----------
        definition : str
            JSON, as the tokenizers library writes it.
        where : str
            File it came from, for the error.

        Raises
        ------
        ArtifactCorruptError
            If it does not describe a tokenizer.
        """
        import tokenizers

        self._definition = definition
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_str(definition)
            if not _is_plain(self._tokenizer):
                self._tokenizer = tokenizers.Tokenizer.from_str(plain_definition(definition))
        except Exception as err:  # tokenizers raises bare Exception for everything
            raise ArtifactCorruptError(f"{where} does not describe a tokenizer. Fetch or build the artifact again.") from err

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Build from a ``tokenizer.json`` file."""
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError as err:
            raise ArtifactNotFoundError(f"{path} does not exist. Fetch or build the artifact again.") from err
        except (OSError, UnicodeDecodeError) as err:
            raise ArtifactCorruptError(f"{path} is not readable as UTF-8. Fetch or build the artifact again.") from err

    @cached_property
    def splits_locally(self) -> bool:
        """Whether :meth:`encode_settled` can be used; see :func:`splits_locally`."""
        return splits_locally(self._definition)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str, stop: threading.Event | None = None) -> Tokens:
        """Tokens of the whole text.

        Parameters
        ----------
        text : str
            Any text without lone surrogates.
        stop : threading.Event, optional
            Once it is set, a long text is read no further.

        Returns
        -------
        Tokens

        Raises
        ------
        InvalidInputError
            If the tokenizer refuses the text.
        CancelledError
            If it was told to stop.
        """
        if len(text) <= PIECE or not self.splits_locally:
            return _tokens(self._encoding(text))
        return self._encode_pieces(text, stop)

    def _encode_pieces(self, text: str, stop: threading.Event | None) -> Tokens:
        """Tokens of a long text, piece by piece: the library takes hundreds of bytes a token while it works."""
        parts, start, size = [], 0, PIECE
        while start + size < len(text):
            check_going_on(stop)
            settled = self.encode_settled(text[start : start + size])
            if not len(settled):
                size *= 2
                continue
            parts.append(Tokens(settled.ids, settled.offsets + start))
            start, size = int(parts[-1].offsets[-1, 1]), PIECE
        last = _tokens(self._encoding(text[start:]))
        parts.append(Tokens(last.ids, last.offsets + start))
        return Tokens(np.concatenate([part.ids for part in parts]), np.concatenate([part.offsets for part in parts]))

    def encode_settled(self, text: str) -> Tokens:
        """Tokens at the start of a text that stay as they are, whatever follows it.

        The pre-tokenizer cuts a text into words from left to right and never looks back; where a word ends depends on the two
        characters after it at most (:func:`splits_locally`). So the words that end two characters before the end are settled, and their
        tokens are those of any longer text.

        Parameters
        ----------
        text : str
            A text that begins where a word does.

        Returns
        -------
        Tokens
            Whole words; none when there is no settled one.

        Raises
        ------
        InvalidInputError
            If the tokenizer refuses the text.
        """
        encoding = self._encoding(text)
        tokens = _tokens(encoding)
        open_words = {word for word, end in zip(encoding.word_ids, tokens.offsets[:, 1], strict=True) if end > len(text) - LOOKAHEAD}
        n_settled = next((i for i, word in enumerate(encoding.word_ids) if word in open_words), len(tokens.ids))
        return tokens[:n_settled]

    def pieces(self, ids: IntArray, ends: IntArray) -> list[str]:
        """The text of consecutive runs of tokens.

        Parameters
        ----------
        ids : ndarray of shape (n_tokens,), int64
        ends : ndarray of shape (n_runs,), int64
            Where each run ends, increasing; the last is `n_tokens`.

        Returns
        -------
        list of str
            One a run; together they are the text of all tokens. A character whose bytes lie in two runs belongs to the second.
        """
        so_far = [self._tokenizer.decode(ids[:end].tolist(), skip_special_tokens=False) for end in ends]
        bounds = [0, *(len(text.rstrip(REPLACEMENT)) for text in so_far[:-1]), len(so_far[-1])]
        return [so_far[-1][start:end] for start, end in pairwise(bounds)]

    def _encoding(self, text: str) -> Any:
        """What the library makes of a text."""
        try:
            return self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as err:  # noqa: BLE001 - tokenizers raises TypeError or bare Exception, and may quote the text
            raise InvalidInputError(
                f"The tokenizer cannot read this text of {len(text)} characters. Replace characters that are not valid Unicode."
            ) from (err if isinstance(err, AlknetFirewallError) else None)


def _is_plain(tokenizer: Any) -> bool:
    """Whether nothing in a tokenizer would treat some texts differently; see :func:`plain_definition`."""
    extras = (tokenizer.truncation, tokenizer.padding, tokenizer.post_processor)
    return not tokenizer.get_added_tokens_decoder() and all(extra is None for extra in extras)


def _tokens(encoding: Any) -> Tokens:
    """The library's encoding as arrays."""
    ids = np.array(encoding.ids, dtype=np.int64)
    return Tokens(ids, np.array(encoding.offsets, dtype=np.int64).reshape(len(ids), 2))


def splits_locally(definition: str) -> bool:
    """Whether a tokenizer cuts a text into words as :meth:`Tokenizer.encode_settled` needs it.

    Parameters
    ----------
    definition : str
        Content of a ``tokenizer.json``.

    Returns
    -------
    bool
        True for GPT-2's byte-level words, after single digits or not, of the text as it is; False for any other, known or not.
    """
    document = json.loads(definition)
    normalizer, pre_tokenizer = document.get("normalizer") or {}, document.get("pre_tokenizer") or {}
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    *digits, words = [{**step} for step in steps] or [{}]
    return (
        not normalizer.get("normalizers", normalizer)
        and all(step.get("type") == "Digits" and step.get("individual_digits") for step in digits)
        and words.get("type") == "ByteLevel"
        and bool(words.get("use_regex", True))
        and not words.get("add_prefix_space")
    )


def plain_definition(definition: str) -> str:
    """A tokenizer's definition without what would treat some texts differently.

    Added tokens go, so that ``<|im_start|>`` written by an attacker is text like any other; so do truncation, padding
    and the post-processor, which would drop or add tokens.

    Parameters
    ----------
    definition : str
        Content of a ``tokenizer.json``.

    Returns
    -------
    str
        Compact JSON of the same model and pre-tokenizer.
    """
    document = json.loads(definition)
    document.update(added_tokens=[], truncation=None, padding=None, post_processor=None)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
