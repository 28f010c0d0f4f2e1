"""What is compared (floor 3): real sentences of every awkward length."""

from __future__ import annotations

from alknet_firewall.artifact import SELFTEST_FILE
from alknet_firewall.errors import InvalidInputError
from alknet_firewall.firewall import Firewall
from alknet_firewall.selftest import load_selftest


def parity_texts(firewall: Firewall) -> list[str]:
    """Real sentences of every awkward length: 1 token, around one window, and several windows.

    Parameters
    ----------
    firewall : Firewall
        Its tokenizer and window decide the lengths; its self-test gives the sentences.

    Returns
    -------
    list of str
    """
    sentences = [case.text for case in load_selftest(firewall.artifact.path(SELFTEST_FILE)).cases]
    size = firewall.artifact.config.window.size
    running = " ".join(sentences)
    while len(firewall.reader.tokenizer.encode(running).ids) < 4 * size:
        running = f"{running}\n{running}"
    lengths = [1, 2, firewall.artifact.config.segment + 1, size - 1, size, size + 1, 2 * size + size // 3]
    return [*sentences, *(_cut_to(firewall, running, length) for length in lengths)]


def _cut_to(firewall: Firewall, text: str, n_tokens: int) -> str:
    """A beginning of `text` that has exactly `n_tokens` tokens; words are added where a character of several tokens stands in the way."""

    def count(piece: str) -> int:
        return len(firewall.reader.tokenizer.encode(piece).ids)

    ends = firewall.reader.tokenizer.encode(text).offsets[max(0, n_tokens - 4) :, 1]
    for end in ends:
        if count(text[:end]) == n_tokens:
            return text[:end]
    for end in ends:
        filled = text[:end] + " and" * (n_tokens - count(text[:end]))
        if count(filled) == n_tokens:
            return filled
    raise InvalidInputError(f"No beginning of the parity text has {n_tokens} tokens. Use other sentences in the self-test.")
