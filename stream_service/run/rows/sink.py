"""Sinks of the rows of a run: the standard file first, then all that must neither slow nor end it."""

from __future__ import annotations

from typing import Protocol

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome


class Sink(Protocol):
    """Takes rows in blocks, in their order.

    A sink beside the file gets the rows that are in the file, in the thread of the run: it never waits for anything. It
    gets nothing of a run that has no file. The file itself is called in a thread of its own, see `FileThread`.
    """

    @property
    def name(self) -> str:
        """For messages, at the begin of a sentence: `the map of the scan`."""
        ...

    def append(self, block: RowBlock) -> None:
        """Take the rows of a block and their pixels. The block is the caller's: what is kept of it is copied."""
        ...

    def flush(self) -> object:
        """All rows so far are to be visible to whoever looks; called some times a second."""
        ...

    def finish(self, outcome: RunOutcome) -> None:
        """No more rows come, and the run has ended like this; called once, for a run that has FAILED, too."""
        ...
