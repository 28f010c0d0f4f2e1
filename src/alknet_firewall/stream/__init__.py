"""Verdicts on a text while it arrives (floor 3)."""

from __future__ import annotations

from alknet_firewall.stream.guard import StreamGuard

__all__ = ["StreamGuard"]
