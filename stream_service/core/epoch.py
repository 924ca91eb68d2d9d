"""One epoch of a run, and what its account says in terms of epochs: places, ends, and how far frames have come."""

from __future__ import annotations

from typing import NamedTuple


class Epoch(NamedTuple):
    """One counter generation of the detector."""

    first_unique_id: int
    first_ordinal: int
    after_ns: int
    """Its frames are stamped later than this; the last stamp of the epoch before."""
    given: int
    """What its source calls it; where none does, one more than the epoch before."""

    def ordinal_of(self, unique_id: int) -> int:
        return self.first_ordinal + unique_id - self.first_unique_id


class Reached(NamedTuple):
    """How far the frames of a run have come, whatever became of them."""

    epoch: int
    """Counted from 0."""
    n_seen: int
    """Ordinals up to the last frame seen."""
    last_unique_id: int
    last_timestamp_ns: int


class EpochEnd(NamedTuple):
    """Where the detector has reset its counter; frames may have been lost there that no id tells of."""

    epoch: int
    """That has ended."""
    last_id: int
    """Of the last frame of it that is known."""
    last_ns: int
    """Its stamp."""
    next_ns: int
    """Stamp of the first frame that came after the reset; `AFTER_ALL_TIME` if none did."""


class Place(NamedTuple):
    """The place of a frame, whether it is taken or not."""

    epoch: int
    """Counted from 0."""
    ordinal: int
    is_within: bool
    """False if the epoch does not hold it: it is before the run, or the next epoch has begun."""
    begins: Epoch | None = None
    """The epoch that begins with this frame."""
