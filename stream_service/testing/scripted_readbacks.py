"""Readbacks at rest that answer every question at once, but for the channels that a script lets die."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_service.cancellation import Cancellation
from stream_service.core.pairing.readback import Readback
from stream_service.core.stream import ReadbackEvent, Watermark
from stream_service.testing.manual_clock import ManualClock


class ScriptedReadbacks:
    """A `ReadbackSource`, and the monitors behind it. What a script puts into `events` comes with the next `take`."""

    def __init__(self, clock: ManualClock, values: Mapping[str, float], since_ns: int) -> None:
        """The channels have been at these values, in their own units, since that time."""
        self.events: list[ReadbackEvent] = [Readback(name, value, since_ns) for name, value in values.items()]
        self.dead: set[str] = set()
        """Channels that say nothing more."""
        self.gone: set[str] = set()
        """Of the dead ones, those whose PV is disconnected."""
        self.is_closed = False
        self._clock = clock
        self._values = dict(values)
        self._since_ns = since_ns

    # Of the monitors, which all runs share

    def connect(self, cancellation: Cancellation | None = None) -> None:
        """The script answers at once."""

    def stream(self, wake: Callable[[], None] = lambda: None) -> ScriptedReadbacks:
        """There is one run."""
        return self

    def latest(self, channel: str) -> float:
        """The last value, in the channel's own unit; NaN for a channel of which the script knows nothing."""
        return self._values.get(channel, float("nan"))

    def latest_stamp_ns(self, channel: str) -> int:
        """Stamp of that value."""
        return self._since_ns

    def unit(self, channel: str) -> str:
        """The IOC says none."""
        return ""

    # Of the run

    def start(self) -> None:
        """The present values are the first events."""

    def take(self) -> list[ReadbackEvent]:
        """See `ReadbackSource`."""
        taken, self.events = self.events, []
        return taken

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Answered at once: every channel is complete until now, in data time."""
        until_ns = frame_end_ns + round((self._clock() - arrived_at) * 1e9)
        self.events += [Watermark(channel, until_ns) for channel in self._values if channel not in self.dead]

    def go_on(self) -> bool:
        """Updates come by themselves."""
        return False

    def finish(self) -> None:
        """No record, so nothing is left of it."""

    def notes(self) -> list[str]:
        """Nothing is to be said of them here."""
        return []

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return [f"SIM:{channel}" for channel in sorted(self.dead & self.gone)]

    def close(self) -> None:
        """Hear no more."""
        self.is_closed = True
