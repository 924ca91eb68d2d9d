"""A PV monitored over Channel Access as long as the service lives: its updates, and until when they are complete."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import INVALID_ALARM, PV
from stream_service.channel_access.stamp_request import StampRequest
from stream_service.core.frame import NS_PER_S
from stream_service.sources.live.watermark import ChannelWatermark, longest_delivery_s

UNIT_TIMEOUT_S = 1


@dataclass(frozen=True, slots=True)
class Update:
    """Value of a PV with its time, as its IOC sent it."""

    raw: float
    """NaN if it is not a number."""
    stamp_ns: int
    is_valid: bool
    """False for alarm severity INVALID or a value that is not a finite number."""
    is_after_gap: bool
    """True for the first one after a disconnection."""
    received_ns: int | None
    """Monotonic; None for the first one of a connection, which tells an old state and not how long updates take."""
    elements: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)
    """(n,) of an array, or the one number; none where it holds no numbers."""


class CaMonitor:
    """The monitor of one PV. Its callbacks run in CA's threads; `lock` is shared with those who are told."""

    def __init__(
        self,
        name: str,
        lock: threading.Lock,
        tolerance: float = math.inf,
        *,
        on_update: Callable[[CaMonitor, Update], None],
        on_gone: Callable[[CaMonitor], None],
        on_certain: Callable[[CaMonitor, float], None],
    ) -> None:
        """`tolerance` is what makes no difference, in the PV's unit. `on_certain` is told the moment (monotonic) before
        which every update posted has come. All hold the lock."""
        self.name = name
        self.last: Update | None = None
        self.spoke_since_s = math.inf
        """When it first had a value in this connection, monotonic; infinite while it has none."""
        self.answered_s = -math.inf
        """When it last answered a get."""
        self.severity = INVALID_ALARM
        """Its alarm with the last value, as EPICS numbers it."""
        self._lock = lock
        self._tolerance = tolerance
        self._on_update, self._on_gone, self._on_certain = on_update, on_gone, on_certain
        self._watermark = ChannelWatermark()
        self._unit: str | None = None
        self._asking_unit = threading.Lock()
        """Of the answer that the library keeps for one who asks."""
        self._open()

    def _open(self) -> None:
        self._pv = PV(
            self.name,
            form="time",
            auto_monitor=True,
            callback=self._take_update,
            connection_callback=self._take_connection,
        )
        self._request = StampRequest(self._pv, self._take_answer)

    def reopen(self) -> None:
        """Search for the PV at once: CA looks for one that is away ever more seldom, up to minutes apart."""
        self.close()
        with self._lock:
            self._lose_connection()
        self._open()

    @property
    def is_connected(self) -> bool:
        return bool(self._pv.connected)

    @property
    def speaks(self) -> bool:
        """True while it is connected and has delivered a value since it was."""
        return self.is_connected and self.spoke_since_s < math.inf

    @property
    def holds_array(self) -> bool:
        """True of a waveform with room for more than one element."""
        return (self._pv.nelm or 0) > 1

    @property
    def unit(self) -> str:
        """The engineering unit the IOC gives the PV, asked for once a connection; empty if it has none."""
        with self._asking_unit:
            if (unit := self._unit) is None:
                details = self._pv.get_ctrlvars(timeout=UNIT_TIMEOUT_S, warn=False)
                if details is None:
                    return ""
                self._unit = unit = str(details.get("units") or "")
            return unit

    def ask(self) -> None:
        """Ask until when updates are complete, unless that is being asked already; `ca.flush_io` sends the question."""
        with self._lock:
            if not self.speaks or not self._watermark.ask(time.monotonic()):
                return
        if not self._request.send():  # outside of the lock: CA has locks of its own
            with self._lock:
                self._watermark.restart()

    def close(self) -> None:
        """End the monitor."""
        self._request.close()
        self._pv.clear_callbacks()
        let_go(self._pv)

    def _take_connection(self, conn: bool = False, **_: Any) -> None:
        with self._lock:
            if not conn and self.spoke_since_s < math.inf:
                self._on_gone(self)
            self._lose_connection()

    def _lose_connection(self) -> None:
        """Nothing that was asked proves anything any more, and the next update is the first of its connection."""
        self.spoke_since_s = math.inf
        self._watermark.restart()
        self._unit = None

    def _take_update(
        self, value: Any = None, posixseconds: float = 0, nanoseconds: int = 0, severity: int = 0, **_: Any
    ) -> None:
        raw, now_s = _as_number(value), time.monotonic()
        with self._lock:
            is_first = self.spoke_since_s == math.inf
            update = Update(
                raw,
                int(posixseconds) * NS_PER_S + int(nanoseconds),
                is_valid=severity < INVALID_ALARM and math.isfinite(raw),
                is_after_gap=is_first and self.last is not None,
                received_ns=None if is_first else time.monotonic_ns(),
                elements=_as_array(value),
            )
            self.severity = severity
            self.last, self.spoke_since_s = update, min(self.spoke_since_s, now_s)
            self._on_update(self, update)

    def _take_answer(self, stamp_ns: int | None, value: float) -> None:
        with self._lock:
            if stamp_ns is None or self.last is None:
                self._watermark.restart()
                return
            self.answered_s = now_s = time.monotonic()
            late_s = longest_delivery_s(_difference(value, self.last.raw), self._tolerance)
            certain_s = self._watermark.answer(now_s, stamp_ns, self.last.stamp_ns, late_s)
            if certain_s is not None and self.spoke_since_s < math.inf:
                self._on_certain(self, certain_s)


def _difference(one: float, other: float) -> float:
    """Infinite between a number and none."""
    difference = abs(one - other)
    return difference if math.isfinite(difference) else 0.0 if math.isnan(one) and math.isnan(other) else math.inf


def _as_array(value: Any) -> npt.NDArray[np.float64]:
    """A copy: the library's own memory may change."""
    try:
        return np.array([] if value is None else value, np.float64, ndmin=1)
    except (TypeError, ValueError):
        return np.empty(0)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
