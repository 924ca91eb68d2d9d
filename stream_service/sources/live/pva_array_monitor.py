"""An array over PV Access (NTScalarArray), monitored as long as the service lives: what hardware captures in a run.

It does what a `CaMonitor` does for a PV of which no time matters: an array is not paired by time, so nothing is asked
of when its updates are complete.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NS_PER_S
from stream_service.pv_access import Context, Disconnected
from stream_service.sources.live.ca_monitor import Update

PVA = "pva://"
"""Begins the name of a PV that is served over PV Access."""
INVALID_SEVERITY = 3


class PvaArrayMonitor:
    """The monitor of one PV. Its callbacks run in a thread of p4p; `lock` is shared with those who are told."""

    def __init__(
        self,
        name: str,
        lock: threading.Lock,
        *,
        on_update: Callable[[PvaArrayMonitor, Update], None],
        on_gone: Callable[[PvaArrayMonitor], None],
    ) -> None:
        """`name` begins with `PVA`. All that are told hold the lock."""
        self.name = name
        self.last: Update | None = None
        self.spoke_since_s = math.inf
        """See `CaMonitor`."""
        self.answered_s = -math.inf
        self.severity = INVALID_SEVERITY
        self.unit = ""
        """The engineering unit that came with the last value."""
        self.holds_array = False
        """True once its value was an array of numbers, of whatever length."""
        self._lock = lock
        self._on_update, self._on_gone = on_update, on_gone
        self._open()

    def _open(self) -> None:
        self._context = Context("pva", nt=False, useenv=True)
        self._subscription: Any = self._context.monitor(self.name.removeprefix(PVA), self._take, notify_disconnect=True)

    @property
    def is_connected(self) -> bool:
        return self.speaks

    @property
    def speaks(self) -> bool:
        """True while it is connected and has delivered a value since it was."""
        return self.spoke_since_s < math.inf

    def reopen(self) -> None:
        """Search for the PV at once, by a new client: pvxs asks a name server that was away every 10 s only."""
        self.close()
        self._open()

    def ask(self) -> None:
        """A connection that stands has brought every update."""
        with self._lock:
            if self.speaks:
                self.answered_s = time.monotonic()

    def close(self) -> None:
        """End the monitor."""
        self._subscription.close()
        self._context.close()

    def _take(self, value: Any) -> None:
        with self._lock:
            if isinstance(value, Exception):
                if isinstance(value, Disconnected) and self.speaks:
                    self.spoke_since_s = math.inf
                    self._on_gone(self)
                return
            is_first = not self.speaks
            self.holds_array |= np.ndim(value.get("value")) == 1
            self.unit = str(value.get("display.units") or "")
            self.severity = value.get("alarm.severity") or 0
            seconds, ns = value.get("timeStamp.secondsPastEpoch") or 0, value.get("timeStamp.nanoseconds") or 0
            self.last = Update(
                math.nan,
                int(seconds) * NS_PER_S + int(ns),
                is_valid=self.severity < INVALID_SEVERITY,
                is_after_gap=is_first and self.last is not None,
                received_ns=None if is_first else time.monotonic_ns(),
                elements=_as_array(value.get("value")),
            )
            self.spoke_since_s = min(self.spoke_since_s, time.monotonic())
            self._on_update(self, self.last)


def _as_array(value: Any) -> npt.NDArray[np.float64]:
    """A copy; none for what is no array of numbers."""
    try:
        found = np.array([] if value is None else value, np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
    return found if found.ndim == 1 else np.empty(0)
