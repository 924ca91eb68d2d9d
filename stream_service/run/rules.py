"""Rules of a run, resolved: how its frames find their readbacks, and how long it waits for what."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_service.core.clock import DEFAULT_LIMIT_S
from stream_service.core.exposure import POSITION_CHANNELS
from stream_service.core.frame import FrameTime
from stream_service.core.pairing.rule import ChannelRule, How


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """The defaults are those of a recording, in which nothing comes late."""

    channels: tuple[ChannelRule, ...]
    """For x, y and energy, and whatever else is paired."""
    frame_time: FrameTime
    clock_limit_s: float = DEFAULT_LIMIT_S
    """How far the clocks of frames and readbacks may differ."""
    frame_delay_s: float = 0.0
    """How long a frame is known to take from the end of its exposure to us."""
    pairing_timeout_s: float = math.inf
    """A frame whose readbacks are not known after so long leaves flagged."""
    entries_timeout_s: float = math.inf
    """How long the end of a run waits for entries of hardware-captured arrays after one came last."""
    confirmation_s: float = math.inf
    """A frame whose id does not follow waits so long for the next one; then the detector's counter is asked."""
    grace_s: float = math.inf
    """Of quiet, until a detector that does not acquire is done."""
    drain_s: float = math.inf
    """Of quiet, until no frame is on its way any more."""
    gone_s: float = math.inf
    """How long a detector may not answer before its run ends."""
    armed_timeout_s: float = math.inf
    """How long an armed run waits for its first frame."""
    raw_file_s: float = 0.0
    """How long a raw file that is not closed is waited for after it last grew."""
    wrong_stamps: frozenset[tuple[int, int]] = frozenset()
    """uniqueIds and stamps of frames whose stamps are known beforehand to be no times."""
    is_in_order: bool = False
    """Each frame is paired before the next one is looked at, so that equal recordings have their rows in one order."""

    @property
    def are_positions_by_time(self) -> bool:
        """True if positions depend on the stamps of frames."""
        return any(rule.how is How.TIMESTAMP and rule.name in POSITION_CHANNELS for rule in self.channels)
