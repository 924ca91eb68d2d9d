"""Sinks for the rows of a run: the standard file first, then all that must never slow it."""

from __future__ import annotations

from typing import Protocol

from stream_service.core.row import RowBlock


class Sink(Protocol):
    """Takes rows in blocks, in their order. A block is the caller's: what is kept of it is copied."""

    def append(self, block: RowBlock) -> None:
        """Take the rows of a block and their pixels."""
