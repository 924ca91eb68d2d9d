"""Which readbacks belong to a frame: declared per channel, decided by data time, never by order of arrival.

A frame waits here until what its channels were during its exposure is *known*, not guessed: a later update has come,
or the source has confirmed that nothing more is on its way (`History.known_until_ns`). So any interleaving of the
same frames and readbacks gives the same exposures. Frames leave in the order in which they came in. Only the loss of a
PV (`disconnect`) or the caller's patience (`give_up`) can end the wait, and then the row says so in its flags. See
ADR 0004.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stream_service.core.exposure import POSITION_CHANNELS, Exposure, Flag
from stream_service.core.frame import NS_PER_S, Frame, FrameId, Window
from stream_service.core.interpolation import Reading, best_guess, reading_by_gap, reading_with_motion
from stream_service.core.readback import History, Readback

INTERPOLATION_GAP_S = 0.25
"""Updates of a moving axis come closer than this (motor records post at 10 Hz or faster while moving)."""
REORDER_NS = 10 * NS_PER_S
"""Frames overtake each other by less than this; readbacks are remembered so long."""


class How(StrEnum):
    """Where the value of a channel for a frame comes from."""

    ATTRIBUTE = "attribute"
    """The NDAttribute on the frame: right for step scans and for values latched by hardware."""
    TIMESTAMP = "timestamp"
    """The channel's own history at mid-exposure: linear between updates while moving, held while at rest."""


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """How one channel of the profile is paired with frames."""

    name: str
    how: How
    attribute: str = ""
    """For `attribute`: name of the NDAttribute."""
    scale: float = 1.0
    """Multiplies the channel's own unit into SI (1e-6 for micrometres); energies into eV."""
    moving: str = ""
    """For `timestamp`: the channel that is non-zero while this one moves; with it, rest and motion are facts. The last
    update of a move must be stamped no later than the end of the motion, as motor records do."""
    is_continuous: bool = True
    """For `timestamp` without `moving`: True interpolates between close updates, False holds the last value."""
    gap_s: float = INTERPOLATION_GAP_S
    """For `timestamp` without `moving`: updates further apart than this mean the channel stood still between."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    frame: Frame
    id: FrameId
    ordinal: int
    exposure_s: float
    window: Window


class Pairer:
    """Frames and readbacks in, exposures out."""

    def __init__(self, rules: Sequence[ChannelRule]) -> None:
        self._rules = tuple(rules)
        self._histories = {name: History() for name in channels_followed(rules)}
        self._waiting: deque[_Waiting] = deque()
        self.waiting_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add_frame(self, frame: Frame, id: FrameId, ordinal: int, exposure_s: float, window: Window) -> None:
        """Take a frame that the ledger calls new."""
        self._waiting.append(_Waiting(frame, id, ordinal, exposure_s, window))
        self.waiting_bytes += frame.pixels.nbytes

    def add_readback(self, readback: Readback) -> None:
        """Take an update of a channel; those of channels nobody pairs are ignored."""
        if history := self._histories.get(readback.channel):
            history.add(readback)

    def confirm(self, channel: str, until_ns: int) -> None:
        """The source guarantees: every update of `channel` stamped at or before `until_ns` has been added."""
        if history := self._histories.get(channel):
            history.confirm(until_ns)

    def disconnect(self, channel: str) -> None:
        """The channel's PV is gone: what it is from now on is not known until it posts again."""
        if history := self._histories.get(channel):
            history.is_connected = False

    def take(self) -> list[Exposure]:
        """The exposures that are known by now, in the order their frames came in."""
        ready = []
        while self._waiting and (exposure := self._resolve(self._waiting[0], force=False)):
            self._leave()
            ready.append(exposure)
        return ready

    def give_up(self, at_most: int | None = None) -> list[Exposure]:
        """The frames that wait, or the first ones of them, with what is known; what is not known is flagged."""
        ready = []
        while self._waiting and len(ready) != at_most:
            exposure = self._resolve(self._waiting[0], force=True)
            assert exposure is not None
            self._leave()
            ready.append(exposure)
        return ready

    def _leave(self) -> None:
        left = self._waiting.popleft()
        self.waiting_bytes -= left.frame.pixels.nbytes
        for history in self._histories.values():
            # a frame whose stamp lies in the future must not take the history from those after it
            history.forget_before(min(left.window.start_ns, history.newest_ns) - REORDER_NS)

    def _resolve(self, waiting: _Waiting, *, force: bool) -> Exposure | None:
        values: dict[str, float] = {}
        flags = position_flags = Flag.NONE
        for rule in self._rules:
            if rule.how is How.ATTRIBUTE:
                value, flag = _from_attribute(waiting.frame, rule)
            else:
                found = self._from_history(waiting.window, rule)
                if found is None:
                    if not force:
                        return None
                    found = best_guess(waiting.window.mid_ns, self._histories[rule.name])
                value, flag = found
            values[rule.name] = value * rule.scale
            if flag:
                flags |= flag
                if rule.name in POSITION_CHANNELS:
                    position_flags |= flag
        return Exposure(waiting.frame, waiting.id, waiting.ordinal, waiting.exposure_s, values, flags, position_flags)

    def _from_history(self, window: Window, rule: ChannelRule) -> Reading | None:
        """Value at mid-exposure with its flags; None if it is not known yet."""
        channel = self._histories[rule.name]
        if rule.moving:
            return reading_with_motion(window.mid_ns, channel, self._histories[rule.moving])
        return reading_by_gap(window.mid_ns, channel, round(rule.gap_s * NS_PER_S) if rule.is_continuous else 0)


def channels_followed(rules: Sequence[ChannelRule]) -> tuple[str, ...]:
    """The channels whose history pairing needs: those paired by timestamp, and those that tell their motion."""
    names = [rule.name for rule in rules if rule.how is How.TIMESTAMP]
    names += [rule.moving for rule in rules if rule.how is How.TIMESTAMP and rule.moving]
    return tuple(dict.fromkeys(names))


def _from_attribute(frame: Frame, rule: ChannelRule) -> Reading:
    if rule.attribute not in frame.attributes:
        return math.nan, Flag.MISSING
    value = frame.attributes[rule.attribute]
    if value is None:
        return math.nan, Flag.DISCONNECTED
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan, Flag.INVALID
    return number, Flag.NONE if math.isfinite(number) else Flag.INVALID
