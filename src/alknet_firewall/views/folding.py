"""Characters that a reader sees as others, or not at all (floor 1, stdlib only)."""

from __future__ import annotations

from alknet_firewall.views.accents import accent_edits
from alknet_firewall.views.case import capital_edits
from alknet_firewall.views.edits import Stage
from alknet_firewall.views.invisible import invisible_edits, mark_edits
from alknet_firewall.views.lookalikes import lookalike_edits
from alknet_firewall.views.markup import comment_edits, entity_edits, tag_edits
from alknet_firewall.views.styled import indicator_edits, styled_edits, wide_edits
from alknet_firewall.views.terminal import break_edits, command_edits

FOLDERS: tuple[Stage, ...] = (
    comment_edits,
    tag_edits,
    entity_edits,
    command_edits,
    break_edits,
    invisible_edits,
    mark_edits,
    accent_edits,
    styled_edits,
    wide_edits,
    indicator_edits,
    lookalike_edits,
    capital_edits,
)
"""Markup goes first, for it may spell any of the others; look-alikes late, for they are told by the words around
them; capitals last, for they may have been styled."""
