"""The rule of a channel: by what its value for a frame is found, declared once and never guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

INTERPOLATION_GAP_S = 0.25
"""Updates of a moving axis come closer than this (motor records post at 10 Hz or faster while moving)."""
POSITION_TOLERANCE_M = 3e-9
"""Half a pixel of a good soft X-ray reconstruction: what is more in doubt would be seen in it."""


class How(StrEnum):
    """Source of the value of a channel for a frame."""

    ATTRIBUTE = "attribute"
    """The NDAttribute on the frame: right for step scans and for values latched by hardware."""
    TIMESTAMP = "timestamp"
    """The channel's own history at mid-exposure: linear between updates while moving, the last value while at rest."""
    INDEX = "index"
    """The entry of an array that hardware captured, by the number of the frame in the run."""


class Comes(StrEnum):
    """When the entries of an array come."""

    GROWING = "growing"
    """In the course of the run: a frame waits for its own."""
    NEVER = "never"


class Over(StrEnum):
    """What a value paired by time is, of those that the channel had during the exposure."""

    MID = "mid"
    """The one in the middle."""
    WINDOW = "window"
    """Their mean."""


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Pairing rule of one channel of the profile."""

    name: str
    how: How
    attribute: str = ""
    """For `attribute`: name of the NDAttribute."""
    scale: float = 1.0
    """Multiplies the channel's own unit into SI (1e-6 for micrometres); energies into eV."""
    over: Over = Over.MID
    """For `timestamp`."""
    moving: str = ""
    """For `timestamp`: the channel that is non-zero while this one moves; with it, rest and motion are facts. The last
    update of a move must be stamped no later than the end of the motion, as motor records do."""
    is_continuous: bool = True
    """For `timestamp` without `moving`: True interpolates between close updates, False holds the last value."""
    gap_s: float = INTERPOLATION_GAP_S
    """For `timestamp` without `moving`: updates up to this far apart mean that the channel moved between them."""
    rests_in_silence: bool = True
    """For `timestamp` without `moving`: an axis that posts nothing for `gap_s` is known to stand still."""
    is_sampled: bool = False
    """For `timestamp` without `moving`: a recorded history whose entries were made by the clock and not on change."""
    tells_travel: bool = False
    """For `timestamp`: how far the axis went during each exposure is wanted, too."""
    tolerance: float = math.inf
    """In SI units (eV): a value that may be off by more is flagged `UNCERTAIN`."""
    has_pv: bool = False
    """For `attribute`: the PV behind the NDAttribute is followed, too, so that a stale one is found."""
    comes: Comes = Comes.GROWING
    """For `index`."""
    skip_first: int = 0
    """For `index`: entries at the start of the array that belong to no frame."""
    times: str = ""
    """For `index`: the channel of the times of its entries, by which they are matched with those of the frames."""
    times_scale_s: float = 1.0
    """Multiplies these times into seconds."""
    may_end_apart: bool = False
    """For `index`: entries that are too many, or too few, are those at the end; else a trigger may have been missed."""


def channels_followed(rules: Sequence[ChannelRule]) -> tuple[str, ...]:
    """The channels whose history pairing needs: by timestamp, with what tells their motion, and PVs of attributes."""
    names = [rule.name for rule in rules if rule.how is How.TIMESTAMP or rule.has_pv]
    names += [rule.moving for rule in rules if rule.how is How.TIMESTAMP and rule.moving]
    return tuple(dict.fromkeys(names))
