"""An exposure: one frame with the readbacks that were true while it was taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag

from stream_service.core.frame import Frame, FrameId

POSITION_CHANNELS = ("x", "y")


class Flag(IntFlag):
    """Reasons not to trust a value paired with a frame. Stored per row in `/entry/frames/flags`."""

    NONE = 0
    DISCONNECTED = 1
    """The channel was not connected during the exposure."""
    INVALID = 2
    """The channel was in alarm severity INVALID, or its value no finite number; or the frame holds no measurement."""
    UNBRACKETED = 4
    """The channel was moving, or its history began later, and no update on one side of the exposure is known."""
    MISSING = 8
    """The frame did not carry the NDAttribute, or the hardware-captured array has no entry for it."""
    UNCERTAIN = 16
    """The channel moved, and its updates do not tell within the limit where it was at mid-exposure; or which entry of a
    hardware-captured array is that of the frame is not known."""
    NO_TIME = 32
    """The frame's stamp, or a readback's, is not a time: it repeats, steps back or contradicts what was confirmed."""
    CLOCKS_DISAGREE = 64
    """The clocks of frames and readbacks differ by more than the limit."""
    STALE = 128
    """The NDAttribute does not follow the PV that it stands for."""
    SPREAD = 256
    """The exposures of the row were taken at places too far apart to be one position."""
    MOVING = 512
    """The stage moved during the exposure, and rows are grouped by position: it belongs to none."""
    UNMATCHED = 1024
    """Which entry of the hardware-captured array is that of the frame cannot be told: a trigger was missed, or one too
    many."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One frame with its readbacks; `values` holds every channel of the profile, in SI units (energy in eV)."""

    frame: Frame
    id: FrameId
    ordinal: int
    """Frames since the start of the run, 0 for the first one expected, across epochs."""
    exposure_s: float
    values: Mapping[str, float]
    flags: Flag = Flag.NONE
    """Of all channels."""
    position_flags: Flag = Flag.NONE
    """Those of them that concern its position: a row with any is not to be used."""
    uncertainty_m: float = math.nan
    """How far the stage may have been from its position on either axis; NaN = not known (`Reading.uncertainty`)."""
    bracket_s: float = math.nan
    """From the readback before to the one after, of the axis for which it is longest; NaN where none moved."""
    travel_m: float = math.nan
    """How far the stage went during the exposure, on the axis on which it went furthest; NaN where nobody asks, or its
    readbacks do not tell."""
