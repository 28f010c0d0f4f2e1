"""What steers a terminal or a printer and shows nothing (floor 1, stdlib only)."""

from __future__ import annotations

import re

from alknet_firewall.views.edits import Edit, chained

_COMMAND = re.compile(r"(?:\x1b\[|\x9b)(?:[0-9:;<=>?]{1,40}[ -/]{0,2}[@-~]|[A-Zm])")  # a small letter alone may be one of a word
_TITLE = re.compile(r"\x1b\][0-9]{1,4};[^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)")
_LETTER = r"[^\W\d_]"
_BREAKS = "\r\x0b\x0c\x85\u2028\u2029"
_BREAK = re.compile(rf"[{_BREAKS}](?<={_LETTER}.)(?={_LETTER})(?<![a-z].(?=[A-Z]))", re.DOTALL)
_FAR = 24  # characters: most words with the start of the next


def command_edits(text: str) -> list[Edit]:
    """Remove the commands to terminals that colour text, move the cursor or set a title.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        Deletions, in order.
    """
    if "\x1b" not in text and "\x9b" not in text:
        return []
    return sorted(Edit(*match.span(), "") for kind in (_COMMAND, _TITLE) for match in kind.finditer(text))


def break_edits(text: str) -> list[Edit]:
    """Remove line and page breaks that cut one word after the other, or every letter from the next.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Edit
        Deletions, in order. Line feeds, and breaks between lines, stay.
    """
    if not any(sign in text for sign in _BREAKS):  # cheaper than the search
        return []
    chains = chained(_BREAK.finditer(text), lambda last, match: _is_next(text[last.end() : match.start()]))
    return [Edit(*match.span(), "") for chain in chains if len(chain) >= 3 for match in chain]


def _is_next(between: str) -> bool:
    """Whether what stands between two breaks is too little for a line: the rest of a word and the start of another, or a letter or two."""
    return len(between) <= _FAR and (len(between) <= 2 or len(between.split()) > 1)
