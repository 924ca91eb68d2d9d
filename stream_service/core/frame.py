"""A frame as the detector sent it, and the window of time in which it was exposed.

Time here is data time: nanoseconds of the Unix epoch, from the detector's stamp. The wall clock never enters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NS_PER_S = 1_000_000_000
EPICS_EPOCH_S = 631_152_000
"""1990-01-01, from which EPICS counts, in seconds of the Unix epoch."""
MOST_NS = 1 << 62
"""Stamps beyond the year 2116 exceed the limit, so that sums of times stay within 64 bits."""
MOST_FRAME_BYTES = 256 << 20
"""Limit of a frame: the largest detectors have 16 million pixels of 4 bytes."""
NO_STAMP = 0
"""Of a frame for which nobody wrote down when it was taken."""
UNKNOWN_WAIT_S = 1e9
"""Longer than any that is seen: of a frame that was kept until we asked for it, and came then, whenever it was made."""
PROMPT_S = 0.1
"""A frame that may have come so long before its receipt has not waited, by the measure of clocks, which differ by three
times as much before it matters."""

AttributeValue = float | int | str | bool | None


class FrameId(NamedTuple):
    """Identity of a frame in a run: the uniqueId, and its epoch, one more each time the detector resets its counter."""

    epoch: int
    unique_id: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One image as the detector sent it."""

    unique_id: int
    """The NDArray's uniqueId; 0 is a valid one."""
    timestamp_ns: int
    """The detector's stamp, or `NO_STAMP`; what it marks is said by `FrameTime`."""
    pixels: npt.NDArray[np.generic]
    """(y, x), in detector axes. Owned by the frame: nobody writes into it."""
    attributes: Mapping[str, AttributeValue]
    """NDAttributes by name; None where the PV behind one was not connected."""
    received_s: float | None = None
    """When it came, on a clock of ours that never steps; None if nobody knows: it was recorded."""
    epoch: int | None = None
    """What its source calls the counter generation that its id belongs to, a number that grows with each reset;
    None: the source does not know of resets, and the ledger finds them."""
    waited_s: float = 0.0
    """How long before `received_s` it may have come, which does not tell then how long the frame took."""
    is_backfilled: bool = False
    """True if it was fetched from the raw file, since it did not come by itself."""


@dataclass(frozen=True, slots=True)
class UnreadableFrame(Frame):
    """A frame that was recorded and of which the pixels cannot be read: they are `no_pixels`, and not to be used."""

    reason: str = ""
    """Why, in a sentence that names the file and the frames."""


def no_pixels(shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """(y, x) of which every pixel is the same one; it takes no memory, and cannot be written."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def without_pixels(frame: Frame) -> Frame:
    """All of a frame but its pixels: of them one, which takes no memory."""
    return replace(frame, pixels=no_pixels(frame.pixels.shape, frame.pixels.dtype))


class Marks(StrEnum):
    """End of the exposure that the detector's timestamp marks."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Window:
    """The time from `start_ns` to `end_ns` in which a frame was exposed."""

    start_ns: int
    end_ns: int

    @property
    def mid_ns(self) -> int:
        return (self.start_ns + self.end_ns) // 2


@dataclass(frozen=True, slots=True)
class FrameTime:
    """Meaning of the timestamp of a frame on this detector (profile: `frame_time`)."""

    marks: Marks = Marks.END
    offset_s: float = 0.0
    """Added to the detector's stamp: the clock of the readbacks minus the clock of the detector."""

    def window(self, timestamp_ns: int, exposure_s: float) -> Window:
        """The exposure's window in the clock of the readbacks."""
        stamp = timestamp_ns + round(self.offset_s * NS_PER_S)
        length = round(exposure_s * NS_PER_S)
        return Window(stamp, stamp + length) if self.marks is Marks.START else Window(stamp - length, stamp)
