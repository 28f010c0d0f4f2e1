"""Text to token ids and character offsets (floor 2): the only import of tokenizers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alknet_firewall.errors import AlknetFirewallError, ArtifactCorruptError, ArtifactNotFoundError, InvalidInputError
from alknet_firewall.tensors import IntArray


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

        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_str(plain_definition(definition))
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

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> Tokens:
        """Tokens of the whole text.

        Parameters
        ----------
        text : str
            Any text without lone surrogates.

        Returns
        -------
        Tokens

        Raises
        ------
        InvalidInputError
            If the tokenizer refuses the text.
        """
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as err:  # noqa: BLE001 - tokenizers raises TypeError or bare Exception, and may quote the text
            raise InvalidInputError(
                f"The tokenizer cannot read this text of {len(text)} characters. Replace characters that are not valid Unicode."
            ) from (err if isinstance(err, AlknetFirewallError) else None)
        ids = np.array(encoding.ids, dtype=np.int64)
        return Tokens(ids, np.array(encoding.offsets, dtype=np.int64).reshape(len(ids), 2))


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
