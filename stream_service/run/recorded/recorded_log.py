"""A log of readbacks as a source of a run: its histories, given out as far as frames are paired.

Everything of a log is known up to its end, so no frame ever waits for it; what was after its end nobody wrote down, so
the last value is not held there. A long log is never held as single updates in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.pairing.readback import Entries, Readback
from stream_service.core.stream import Ends, ReadbackEvent, Watermark
from stream_service.sources.tables.recorded_readbacks import RecordedHistory, RecordedReadbacks

END_OF_TIME = 2**63 - 1
MOST_EVENTS = 1 << 14
"""Given out at once."""


class RecordedLog:
    """See `ReadbackSource`. Without readbacks it has no events."""

    def __init__(self, readbacks: RecordedReadbacks | None, arrays: Sequence[Entries] = ()) -> None:
        """`arrays` that hardware captured are there as a whole before the first frame."""
        histories = readbacks.histories if readbacks else {}
        self._channels = {name: _Channel(name, history) for name, history in histories.items()}
        self._ends_ns = readbacks.known_until_ns if readbacks else BEFORE_ALL_TIME
        self._until_ns = BEFORE_ALL_TIME
        self._events: list[ReadbackEvent] = [Ends(name, self._ends_ns) for name in self._channels]
        self._events += [event for array in arrays for event in (array, Ends(array.channel, BEFORE_ALL_TIME))]

    def take(self) -> list[ReadbackEvent]:
        """The updates up to and with the first one of each channel after the last frame that asked."""
        events, self._events = self._events, []
        for channel in self._channels.values():
            for update in channel.until(self._until_ns):
                events.append(update)
                if len(events) >= MOST_EVENTS:
                    return events
            if channel.is_at_end and not channel.has_told_end:
                channel.has_told_end = True
                events.append(Watermark(channel.name, self._ends_ns))
        return events

    def go_on(self) -> bool:
        """See `ReadbackSource`."""
        more = [channel for channel in self._channels.values() if not channel.is_at_end]
        self._events += [channel.next_one() for channel in more]
        return bool(more)

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """A frame is to be paired. One that is stamped beyond the end says nothing of how far time is."""
        if frame_end_ns <= self._ends_ns:
            self._until_ns = max(self._until_ns, frame_end_ns)

    def finish(self) -> None:
        """See `ReadbackSource`."""
        self._until_ns = END_OF_TIME

    def notes(self) -> list[str]:
        """Nothing is to be said of them here."""
        return []


class _Channel:
    """The updates of one channel in the order of time, given out once."""

    def __init__(self, name: str, history: RecordedHistory) -> None:
        self.name = name
        self.has_told_end = False
        self._history = history
        self._next = 0

    @property
    def is_at_end(self) -> bool:
        """True once every update was given."""
        return self._next == len(self._history.values)

    def until(self, time_ns: int) -> Iterator[Readback]:
        """The updates not given yet, up to and with the first one after `time_ns`."""
        timestamps_ns = self._history.timestamps_ns
        while not self.is_at_end and (self._next == 0 or timestamps_ns[self._next - 1] <= time_ns):
            yield self.next_one()

    def next_one(self) -> Readback:
        """The next update; there must be one."""
        value, stamp_ns = float(self._history.values[self._next]), int(self._history.timestamps_ns[self._next])
        self._next += 1
        return Readback(self.name, value, stamp_ns, is_valid=value - value == 0)
