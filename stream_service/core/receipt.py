"""The ledger's answer to a frame that came in."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from stream_service.core.frame import FrameId


class Arrival(Enum):
    """Answer of the ledger to a frame that came in."""

    NEW = "new"
    DUPLICATE = "duplicate"
    UNDECIDED = "with id and stamp of one before, by a clock that stands"
    BEFORE_RUN = "before the run"
    UNEXPECTED = "beyond the frames expected, or with an implausible uniqueId"
    AFTER_RUN = "exposed after the run was told to end"
    OTHER_SHARE = "of the share of another service"


class Receipt(NamedTuple):
    """The ledger's answer to a frame: what it is, its identity, its place in the run (-1 if it has none)."""

    arrival: Arrival
    id: FrameId
    ordinal: int
