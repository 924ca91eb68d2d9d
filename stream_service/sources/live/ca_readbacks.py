"""Readbacks over Channel Access: monitors that live as long as the service, and a stream of them for each run.

A run hears of every channel from its arming on, the present value first; what it asks is answered to it alone. The
question "has everything come?" goes out once per PV, whoever asks (`watermark`, ADR 0004, ADR 0015).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from stream_service.cancellation import Cancellation
from stream_service.channel_access.library import CONNECTION_TIMEOUT_S, ca
from stream_service.core.frame import NS_PER_S
from stream_service.core.pairing.readback import Entries, Readback
from stream_service.core.stream import Gone, ReadbackEvent, Watermark
from stream_service.errors import OverrunError, SourceError
from stream_service.sources.live.ca_monitor import CaMonitor, Update
from stream_service.sources.live.pva_array_monitor import PVA, PvaArrayMonitor

log = logging.getLogger(__name__)

INSTEAD_S = 1.0
"""A PV of the same record as one that answers has answered by then."""
MAX_QUEUED = 200_000
"""Updates not yet taken: 10 minutes of ten axes at 30 Hz."""


@dataclass(frozen=True, slots=True)
class Follow:
    """A PV to follow, and the value that stands for 'moving' if it tells an axis's motion."""

    pv: str
    moving_when: int | None = None
    is_array: bool = False
    """It holds an array that hardware captures in the course of a run."""
    tolerance: float = math.inf
    """What makes no difference to a row, in the PV's unit: an update that changes it by more is waited for."""
    instead_of: Follow | None = None
    """What is followed where there is no such PV, while this one is there."""


class CaReadbacks:
    """The followed PVs of a profile, each monitored once, whatever number of channels and runs want it."""

    def __init__(self, channels: Mapping[str, Follow]) -> None:
        """Nothing is waited for: what does not answer is named by `connect`."""
        self._channels = dict(channels)
        self._streams: tuple[ReadbackStream, ...] = ()
        self._lock = threading.Lock()
        """Of the streams and of all monitors, held for moments only and never while CA is called."""
        self._connecting = threading.Lock()
        self._monitors: dict[str, CaMonitor | PvaArrayMonitor] = {}
        for follow in channels.values():
            for pv in filter(None, (follow, follow.instead_of)):
                if pv.pv not in self._monitors:
                    self._monitors[pv.pv] = self._monitor_of(pv)

    def _monitor_of(self, follow: Follow) -> CaMonitor | PvaArrayMonitor:
        if follow.is_array and follow.pv.startswith(PVA):
            return PvaArrayMonitor(follow.pv, self._lock, on_update=self._tell, on_gone=self._tell_gone)
        return CaMonitor(
            follow.pv,
            self._lock,
            follow.tolerance,
            on_update=self._tell,
            on_gone=self._tell_gone,
            on_certain=self._tell_certain,
        )

    def connect(self, cancellation: Cancellation | None = None) -> None:
        """See that every channel answers now; raises `SourceError` naming those that do not, and `CancelledError`."""
        cancellation = cancellation or Cancellation()
        began_s = time.monotonic()
        with self._connecting:
            for monitor in self._monitors.values():
                if not monitor.is_connected:
                    monitor.reopen()
        cancellation.wait_until(lambda: not self._without_value(), CONNECTION_TIMEOUT_S)
        left_s = began_s + CONNECTION_TIMEOUT_S - time.monotonic()
        cancellation.wait_until(lambda: self._all_answer(began_s), left_s)
        if missing := self._without_value() or self._without_answer(began_s):
            named = ", ".join(f"{name} ({self._channels[name].pv})" for name in missing)
            raise SourceError(
                f"no value from {named} within {CONNECTION_TIMEOUT_S:g} s: is the IOC running, the PV "
                "name in the profile right, and EPICS_CA_ADDR_LIST set?"
            )

    def stream(self, wake: Callable[[], None] = lambda: None) -> ReadbackStream:
        """The channels as one run hears them; `wake` is called when there is something to take."""
        return ReadbackStream(self, wake)

    def latest(self, channel: str) -> float:
        """The last value received, in the channel's own unit; NaN before the first."""
        last = self._monitor(channel).last
        return math.nan if last is None else last.raw

    def n_entries(self, channel: str) -> int:
        """Elements of the array received last."""
        last = self._monitor(channel).last
        return 0 if last is None else len(last.elements)

    def holds_array(self, channel: str) -> bool:
        """False for a PV that holds one number; it has answered."""
        return self._monitor(channel).holds_array

    def latest_stamp_ns(self, channel: str) -> int:
        """Stamp of that value by its IOC, nanoseconds of the Unix epoch."""
        last = self._monitor(channel).last
        return -1 if last is None else last.stamp_ns

    def pv_of(self, channel: str) -> str:
        """The PV that is followed."""
        return self._channels[channel].pv

    def unit(self, channel: str) -> str:
        """The engineering unit the IOC gives the PV; empty if it has none."""
        return self._monitor(channel).unit

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        followed = dict.fromkeys(follow.pv for follow in self._channels.values())
        return [pv for pv in followed if not self._monitors[pv].is_connected]

    def followed(self) -> Iterator[tuple[str, CaMonitor | PvaArrayMonitor]]:
        """Each channel with the monitor of its PV; not those of which it is not decided yet what is followed."""
        self._choose()
        for name, follow in self._channels.copy().items():
            monitor = self._monitors.get(follow.pv)
            if monitor is not None and follow.instead_of is None:
                yield name, monitor

    def close(self) -> None:
        """End all monitors."""
        for monitor in self._monitors.values():
            monitor.close()

    def _monitor(self, channel: str) -> CaMonitor | PvaArrayMonitor:
        return self._monitors[self._channels[channel].pv]

    def _without_value(self) -> list[str]:
        """The channels whose PV has delivered no value since it was connected."""
        self._choose()
        return [
            name
            for name, follow in self._channels.items()
            if follow.instead_of is not None or not self._monitors[follow.pv].speaks
        ]

    def _choose(self) -> None:
        """Decide, where a PV may not exist, whether it or the other is followed: as soon as that can be said."""
        now_s = time.monotonic()
        with self._connecting:
            for name, follow in self._channels.items():
                other = follow.instead_of
                if other is None:
                    continue
                if self._monitors[follow.pv].speaks:
                    self._channels[name] = replace(follow, instead_of=None)
                elif now_s - self._monitors[other.pv].spoke_since_s > INSTEAD_S:
                    self._channels[name] = other
                    log.warning(
                        "%s does not answer: %s is followed, whose starts of motion have no time", follow.pv, other.pv
                    )
            wanted = {pv.pv for follow in self._channels.values() for pv in (follow, follow.instead_of) if pv}
            for pv in self._monitors.keys() - wanted:
                self._monitors.pop(pv).close()

    def _all_answer(self, since_s: float) -> bool:
        self.ask(since_s)
        return not self._without_answer(since_s)

    def _without_answer(self, since_s: float) -> list[str]:
        return [name for name in self._channels if self._monitor(name).answered_s < since_s]

    def ask(self, since_s: float = math.inf) -> None:
        """Ask all PVs until when their updates are complete, but for those that answered after `since_s`."""
        for monitor in tuple(self._monitors.values()):
            if monitor.answered_s < since_s:
                monitor.ask()
        ca.flush_io()

    def _enter(self, stream: ReadbackStream) -> None:
        """Let a stream hear of everything from now on, the present values first."""
        with self._lock:
            for name, follow in self._channels.items():
                monitor = self._monitors[follow.pv]
                if monitor.last is None:
                    continue
                last = replace(monitor.last, is_after_gap=False, received_ns=None)
                stream.events.append(_event(name, follow, last, is_from_before=True))
                if not monitor.speaks:
                    stream.events.append(Gone(name))
            self._streams = (*self._streams, stream)

    def _leave(self, stream: ReadbackStream) -> None:
        with self._lock:
            self._streams = tuple(other for other in self._streams if other is not stream)

    # Of the monitors, which hold the lock

    def _tell(self, monitor: CaMonitor | PvaArrayMonitor, update: Update) -> None:
        self._post(_event(name, follow, update) for name, follow in self._followed_by(monitor))

    def _tell_gone(self, monitor: CaMonitor | PvaArrayMonitor) -> None:
        self._post(Gone(name) for name, _ in self._followed_by(monitor))

    def _tell_certain(self, monitor: CaMonitor, certain_s: float) -> None:
        for stream in self._streams:
            if (until_ns := stream.data_time(certain_s)) is not None:
                stream.events.extend(Watermark(name, until_ns) for name, _ in self._followed_by(monitor))
                stream.wake()

    def _followed_by(self, monitor: CaMonitor | PvaArrayMonitor) -> list[tuple[str, Follow]]:
        return [(name, follow) for name, follow in self._channels.items() if follow.pv == monitor.name]

    def _post(self, events: Iterable[ReadbackEvent]) -> None:
        if not self._streams:
            return
        posted = tuple(events)
        for stream in self._streams:
            stream.events.extend(posted)
            stream.wake()


class ReadbackStream:
    """The channels as one run hears them, from `start` to `close`: one stream, each channel's own order kept."""

    def __init__(self, source: CaReadbacks, wake: Callable[[], None]) -> None:
        self.events: deque[ReadbackEvent] = deque()
        self.wake = wake
        self._source = source
        self._question: tuple[int, float, float] | None = None
        """End of an exposure, when its frame arrived, and when it was asked about."""

    def start(self) -> None:
        """Hear of everything from now on; the present value of each channel comes first."""
        self._source._enter(self)

    def take(self) -> list[ReadbackEvent]:
        """All events since the last call, in order. Raises `OverrunError` when too many wait."""
        if len(self.events) > MAX_QUEUED:
            raise OverrunError(
                f"more than {MAX_QUEUED} readback updates wait; the run cannot keep up with its channels"
            )
        return [self.events.popleft() for _ in range(len(self.events))]

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Ask for watermarks of all channels up to the end of a frame that arrived at `arrived_at` (monotonic).

        They come as events; a question asked before the last is answered replaces it.
        """
        self._question = (frame_end_ns, arrived_at, time.monotonic())
        self._source.ask()

    def go_on(self) -> bool:
        """Updates come by themselves."""
        return False

    def finish(self) -> None:
        """No record, so nothing is left of it."""

    def notes(self) -> list[str]:
        """Nothing is to be said of them here."""
        return []

    def latest(self, channel: str) -> float:
        """The last value received, in the channel's own unit."""
        return self._source.latest(channel)

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return self._source.silent()

    def close(self) -> None:
        """Hear no more."""
        self._source._leave(self)

    def data_time(self, moment_s: float) -> int | None:
        """Time that the frames' clock had reached at least by a moment (monotonic); None if nothing was asked.

        The frame asked about had ended when it arrived, so as much data time has passed since its end as time since
        its arrival. Not beyond the moment of the question: clocks drift.
        """
        if self._question is None:
            return None
        frame_end_ns, arrived_s, asked_s = self._question
        return frame_end_ns + int((min(moment_s, asked_s) - arrived_s) * NS_PER_S)


def _event(channel: str, follow: Follow, update: Update, *, is_from_before: bool = False) -> Readback | Entries:
    """The update as a channel gives it: its value, or whether it stands for 'moving'; or the elements of an array."""
    if follow.is_array:
        return Entries(channel, update.elements, is_from_before=is_from_before)
    reading = update.raw if follow.moving_when is None else float(update.raw == follow.moving_when)
    return Readback(channel, reading, update.stamp_ns, update.is_valid, update.is_after_gap, update.received_ns)
