"""Offsets between the clock of the frames and those of the channels, as far as receipts tell (ADR 0010)."""

from __future__ import annotations

from collections.abc import Mapping

from stream_service.core.frame import NS_PER_S
from stream_service.core.pairing.frame_times import FrameTimes
from stream_service.core.pairing.history import History
from stream_service.core.pairing.rule import ChannelRule


class ClockOffsets:
    """Lag of the promptest messages of a channel against that of the promptest frames."""

    def __init__(
        self, times: FrameTimes, histories: Mapping[str, History], limit_ns: int, frame_delay_ns: int = 0
    ) -> None:
        """Clocks may differ by `limit_ns`; a frame is known to take `frame_delay_ns` from the end of its exposure to
        us."""
        self._times = times
        self._histories = histories
        self._limit_ns = limit_ns
        self._frame_delay_ns = frame_delay_ns
        self._apart: set[str] = set()
        """Rules whose channels were found to be stamped by clocks too far from that of the frames."""

    def known_s(self) -> dict[str, float]:
        """By how much the clock of each channel is ahead of that of the frames."""
        frame_lag_ns = self._times.lag_ns
        if frame_lag_ns is None:
            return {}
        lags_ns = {name: history.clock.lag_ns for name, history in self._histories.items()}
        return {
            name: (frame_lag_ns - self._frame_delay_ns - lag_ns) / NS_PER_S
            for name, lag_ns in lags_ns.items()
            if lag_ns is not None
        }

    def disagree(self, rule: ChannelRule, *, was_late: bool) -> bool:
        """True if the receipts tell that frames and the channel of a rule are stamped by clocks too far apart.

        For a frame that `was_late`, if they told so at any time: they cannot tell when it was taken.
        """
        if (frame_lag_ns := self._times.lag_ns) is not None:
            frame_lag_ns -= self._frame_delay_ns
            for name in (rule.name, rule.moving) if rule.moving else (rule.name,):
                lag_ns = self._histories[name].clock.lag_ns
                if lag_ns is not None and abs(frame_lag_ns - lag_ns) > self._limit_ns:
                    self._apart.add(rule.name)
                    return True
        return was_late and rule.name in self._apart
