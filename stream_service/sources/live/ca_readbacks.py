"""Readbacks over Channel Access: every monitor update, and the proof that none is still on its way.

The proof is a CA get that is sent *after* a frame has arrived (`settling`, ADR 0004): with it a channel that stays
silent is known to have stood still until then.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import (
    CA_FAILURES,
    CONNECTION_TIMEOUT_S,
    INVALID_ALARM,
    PV,
    attach_thread,
    ca,
)
from stream_service.core.frame import NS_PER_S
from stream_service.core.readback import Readback
from stream_service.core.readback_events import Gone, ReadbackEvent, Watermark
from stream_service.errors import OverrunError, SourceError
from stream_service.sources.live.settling import Settling

log = logging.getLogger(__name__)

GET_TIMEOUT_S = 1.0
INSTEAD_S = 1.0
"""A PV of the same record as one that answers has answered by then."""
MAX_QUEUED = 200_000
"""Updates not yet taken: 10 minutes of ten axes at 30 Hz."""


@dataclass(frozen=True, slots=True)
class Follow:
    """A PV to follow, and the value that stands for 'moving' if it tells an axis's motion."""

    pv: str
    moving_when: int | None = None
    instead_of: Follow | None = None
    """What is followed where there is no such PV, while this one is there."""


class _Channel:
    """One followed PV. Its callbacks run in CA's threads; what concerns gets belongs to the thread that asks."""

    def __init__(self, name: str, follow: Follow, emit: Callable[[ReadbackEvent], None]) -> None:
        self.name = name
        self._is_first = True
        """The update that a new connection begins with: it tells an old state, and not how long updates take."""
        self.follow = follow
        self.has_value = threading.Event()
        self.last_stamp_ns = -1
        self.last_raw = math.nan
        self._settling = Settling()
        self._n_disconnections = self._n_asked_disconnections = 0
        self._emit = emit
        self._was_disconnected = False
        self.pv = PV(
            follow.pv, form="time", auto_monitor=True, callback=self._on_update, connection_callback=self._on_connection
        )

    def _on_connection(self, conn: bool = False, **_: Any) -> None:
        self._is_first = True
        if not conn and self.has_value.is_set():
            self._n_disconnections += 1
            self._was_disconnected = True
            self._emit(Gone(self.name))

    def _on_update(
        self, value: Any = None, posixseconds: float = 0, nanoseconds: int = 0, severity: int = 0, **_: Any
    ) -> None:
        raw = _as_number(value)
        stamp_ns = int(posixseconds) * NS_PER_S + int(nanoseconds)
        reading = raw if self.follow.moving_when is None else float(raw == self.follow.moving_when)
        is_valid = severity < INVALID_ALARM and math.isfinite(raw)
        received_ns = None if self._is_first else time.monotonic_ns()
        self._emit(Readback(self.name, reading, stamp_ns, is_valid, self._was_disconnected, received_ns))
        self._was_disconnected = self._is_first = False
        self.last_stamp_ns, self.last_raw = stamp_ns, raw
        self.has_value.set()

    def ask(self, asked_at: float, until_ns: int) -> bool:
        """Send a get, at `asked_at` (monotonic); False if the PV is gone, or has not posted since it came back."""
        if self._n_asked_disconnections != self._n_disconnections:
            self._settling.restart()
            self._n_asked_disconnections = self._n_disconnections
        if not self.pv.connected or self._was_disconnected:
            return False
        try:
            ca.get_with_metadata(self.pv.chid, ftype=self.pv.ftype, wait=False)
        except CA_FAILURES:
            return False
        self._settling.ask(asked_at, until_ns)
        return True

    def confirmed_until_ns(self) -> int | None:
        """Wait for the answer to the get; the time until which every update has come, if that follows from it."""
        try:
            reply = ca.get_complete_with_metadata(self.pv.chid, ftype=self.pv.ftype, timeout=GET_TIMEOUT_S)
        except CA_FAILURES:
            return None
        if reply is None or self._n_asked_disconnections != self._n_disconnections:
            return None
        stamp_ns = int(reply["posixseconds"]) * NS_PER_S + int(reply["nanoseconds"])
        return self._settling.answer(time.monotonic(), stamp_ns, self.last_stamp_ns)

    def close(self) -> None:
        """End the monitor."""
        self.pv.clear_callbacks()
        let_go(self.pv)


class CaReadbacks:
    """Monitors of named channels, as one stream of events in which every channel's own order is kept."""

    def __init__(self, channels: Mapping[str, Follow], wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._events: deque[ReadbackEvent] = deque()
        self._channels = {name: _Channel(name, follow, self._emit) for name, follow in channels.items()}
        self._asked: tuple[int, float] | None = None
        self._asked_changed = threading.Condition()
        self._is_closed = False
        self._asker = threading.Thread(target=self._answer, name="readback-confirmation", daemon=True)

    def start(self) -> None:
        """Wait until every channel has delivered a value; raises `SourceError` naming those that have not."""
        deadline = time.monotonic() + CONNECTION_TIMEOUT_S
        for name, channel in self._channels.items():
            if channel.follow.instead_of is not None:
                self._channels[name] = self._first_to_answer(channel, channel.follow.instead_of, deadline)
        for channel in self._channels.values():
            channel.has_value.wait(max(0.0, deadline - time.monotonic()))
        missing = [f"{c.name} ({c.follow.pv})" for c in self._channels.values() if not c.has_value.is_set()]
        if missing:
            self.close()
            raise SourceError(
                f"no value from {', '.join(missing)} within {CONNECTION_TIMEOUT_S:g} s: is the IOC running, the PV "
                "name in the profile right, and EPICS_CA_ADDR_LIST set?"
            )
        self._asker.start()

    def _first_to_answer(self, channel: _Channel, other: Follow, deadline: float) -> _Channel:
        """The channel as it is; or on the other PV, if that one is there and this one is not."""
        if channel.has_value.wait(INSTEAD_S):
            return channel
        stand_in = _Channel(channel.name, other, self._emit)
        is_there = stand_in.has_value.wait(max(0.0, deadline - time.monotonic()))
        if channel.has_value.wait(INSTEAD_S if is_there else 0.0) or not is_there:
            stand_in.close()
            return channel
        log.warning(
            "%s does not answer: %s is followed, whose starts of motion have no time", channel.follow.pv, other.pv
        )
        channel.close()
        return stand_in

    def take(self) -> list[ReadbackEvent]:
        """All events since the last call, in order.

        Raises `OverrunError` when too many wait, and `SourceError` when nothing can be confirmed any more.
        """
        if self._asker.ident is not None and not self._asker.is_alive() and not self._is_closed:
            raise SourceError("the thread that confirms readbacks has died; its error is in the log")
        if len(self._events) > MAX_QUEUED:
            raise OverrunError(
                f"more than {MAX_QUEUED} readback updates wait; the run cannot keep up with its channels"
            )
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Ask for confirmation of all channels up to the end of a frame that arrived at `arrived_at` (monotonic).

        Answers come as `Watermark` events; a question asked before the last is answered replaces the next one.
        """
        with self._asked_changed:
            self._asked = (frame_end_ns, arrived_at)
            self._asked_changed.notify_all()

    def latest(self, channel: str) -> float:
        """The last value received, in the channel's own unit."""
        return self._channels[channel].last_raw

    def pv_of(self, channel: str) -> str:
        """The PV that is followed."""
        return self._channels[channel].follow.pv

    def latest_stamp_ns(self, channel: str) -> int:
        """When the IOC stamped that value, nanoseconds of the Unix epoch."""
        return self._channels[channel].last_stamp_ns

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return [channel.follow.pv for channel in self._channels.values() if not channel.pv.connected]

    def unit(self, channel: str) -> str:
        """The engineering unit the IOC gives the PV; empty if it has none."""
        details = self._channels[channel].pv.get_ctrlvars() or {}
        return str(details.get("units") or "")

    def close(self) -> None:
        """End all monitors."""
        with self._asked_changed:
            self._is_closed = True
            self._asked_changed.notify_all()
        if self._asker.ident is not None:
            self._asker.join(2 * GET_TIMEOUT_S)
        for channel in self._channels.values():
            channel.close()

    def _emit(self, event: ReadbackEvent) -> None:
        self._events.append(event)
        self._wake()

    def _answer(self) -> None:
        attach_thread()
        while True:
            with self._asked_changed:
                while self._asked is None and not self._is_closed:
                    self._asked_changed.wait()
                if self._is_closed:
                    return
                assert self._asked is not None
                frame_end_ns, arrived_at = self._asked
                self._asked = None
            asked_at = time.monotonic()
            # the frame had ended when it arrived, so by now at least this much time has passed since its end
            until_ns = frame_end_ns + int((asked_at - arrived_at) * NS_PER_S)
            asked = [channel for channel in self._channels.values() if channel.ask(asked_at, until_ns)]
            for channel in asked:
                if (confirmed_ns := channel.confirmed_until_ns()) is not None:
                    self._emit(Watermark(channel.name, confirmed_ns))


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
