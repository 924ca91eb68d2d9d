"""Events of streams: the begin, frames and end of a series; and those of the channels. Each source makes them of its
own messages.

A recording has a real begin and end. The frames of a live detector have none that are those of a run: their source
makes the begin from the detector's state when a run is armed, and the run finds the end by other signs. Where a
detector announces its series (SIMPLON, Stream2), a run may be of many: a software step scan arms it at each position.

A channel has updates (`Readback`, or the `Entries` of an array), watermarks ("complete until t"), the end of a record,
and is gone; its own events come in order. They know nothing of where they come from: Channel Access or a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_service.core.frame import Frame
from stream_service.core.pairing.readback import Entries, Readback
from stream_service.core.run import EndReason


@dataclass(frozen=True, slots=True)
class Begin:
    """Facts of a series, known before its first frame; None where nobody knows."""

    first_unique_id: int | None = None
    """Where a source of frames does not know it, the detector's counter or the profile tells it."""
    is_certain: bool = True
    """False if that is only the first frame that was found: another one may have begun the series."""
    restart_unique_id: int = 1
    """With which the detector begins to count anew."""
    epoch: int = 0
    """What the source calls the epoch of the first frame, where it says `Frame.epoch`."""
    last_before: tuple[int, int] | None = None
    """Id and stamp of the last frame of the series before, which may be sent again."""
    is_counted: bool = False
    """True if the detector can be asked for the uniqueId of its latest frame."""
    counter_before: int | None = None
    """What the detector's counter showed, where ids do not follow from it, but the number of frames it makes does."""
    has_stamps: bool = True
    """False if no frame has a time; then they are in the order in which they were taken."""
    shape: tuple[int, int] | None = None
    """(y, x) of its frames."""
    dtype: np.dtype[Any] | None = None
    """Of their pixels."""
    exposure_s: float | None = None
    """Exposure time of each frame."""


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more comes."""

    reason: EndReason
    n_expected: int | None = None
    """Frames that the series should have had; None if only the run knows, or nobody."""
    n_exposed: int | None = None
    """Frames that were made for certain, though they may not have come; None if nothing tells."""
    failure: Exception | None = None
    """What ended it early."""


@dataclass(frozen=True, slots=True)
class Series:
    """The source has announced a series of the detector, one of those that make up the run: an epoch of its frames."""

    epoch: int
    """What `Frame.epoch` of its frames will be: greater than that of every series before."""
    n_frames: int | None = None
    """How many it is to have; None if the source does not say."""
    first_unique_id: int = 1


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """The source says that it sends no more of a series, which need not be whole: other ones of the run may follow."""

    epoch: int


StreamEvent = Frame | Series | SeriesEnd | End
"""After the begin."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every update of `channel` stamped at or before `until_ns` has been delivered."""

    channel: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class Ends:
    """The record of `channel` ends at `at_ns`: nothing is known after it. Told before its first update; of an
    array after all its entries."""

    channel: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The PV behind `channel` is disconnected; the first update after it is marked `is_after_gap`."""

    channel: str


ReadbackEvent = Readback | Entries | Watermark | Ends | Gone
