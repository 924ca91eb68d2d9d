"""Status of a frame in the account of its run."""

from __future__ import annotations

from enum import IntEnum


class FrameStatus(IntEnum):
    """Status of a frame. The numbers are stored in `/entry/ledger/status` and `/entry/frames/status`."""

    PENDING = 0
    STORED = 1
    BACKFILLED = 2
    LOST = 3
    INCOMPLETE = 4
    """It came, but its group never filled."""
    NOT_EXPOSED = 5
    """It was planned, but the detector never got there."""
