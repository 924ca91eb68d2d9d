"""A frame after lost ones, kept back until the next one tells whether its stamp is its own.

A clock that stands gives a frame the stamp of the one before it. Where that one was lost, nobody sees so, until the
next frame has the same stamp, too, or the lost one is found (ADR 0038). No other frame is kept back.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.receipt import Receipt

KEPT_S = 1.0
"""At most: of a scan with fewer frames the row after a loss comes so much later, and is not checked."""


class Came(NamedTuple):
    """A frame that the ledger calls new."""

    frame: Frame
    receipt: Receipt
    exposure_s: float
    at_s: float
    """When it came."""
    is_in_order: bool = True
    """False for one that was fetched, and is not stamped between those taken before and after it."""
    is_repeated: bool = False
    """The next frame has its stamp, and the one before did not come: which of them it belongs to is not known."""


class AfterGap:
    """The frames of one run on their way to pairing."""

    def __init__(self) -> None:
        self.kept: Came | None = None
        """The one that is kept back."""
        self._furthest_ordinal = self._before_gap = -1
        """The furthest frame; the one before the gap that is left before the one which is kept back."""

    def take(self, came: Came) -> list[Came]:
        """A frame has come: those that may go on, in order."""
        if came.frame.is_backfilled:
            return [came]
        kept, ordinal = self.kept, came.receipt.ordinal
        is_after_gap = ordinal > self._furthest_ordinal + 1 and came.frame.timestamp_ns != NO_STAMP
        is_same = kept is not None and came.frame.timestamp_ns == kept.frame.timestamp_ns
        if kept is not None and ordinal < kept.receipt.ordinal:  # it was overtaken
            late = came._replace(is_repeated=is_same and ordinal > self._before_gap + 1)
            if ordinal < kept.receipt.ordinal - 1:
                self._before_gap = max(self._before_gap, ordinal)
                return [late]
            self.kept = None
            return [late, kept]
        if is_after_gap:
            self._before_gap = self._furthest_ordinal
        self._furthest_ordinal = max(self._furthest_ordinal, ordinal)
        self.kept = came if is_after_gap else None
        ready = [] if is_after_gap else [came]
        return ready if kept is None else [kept._replace(is_repeated=is_same), *ready]

    def release(self, came_before_s: float = float("inf")) -> list[Came]:
        """The frame that is kept back, if it came before this moment."""
        kept = self.kept
        if kept is None or kept.at_s >= came_before_s:
            return []
        self.kept = None
        return [kept]
