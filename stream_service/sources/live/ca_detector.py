"""State of a detector besides its frames: whether it acquires, its counter, its exposure time."""

from __future__ import annotations

import math
import threading
from typing import Any

from stream_service.cancellation import Cancellation
from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import CA_FAILURES, CONNECTION_TIMEOUT_S, PV, ca
from stream_service.core.frame import NS_PER_S
from stream_service.errors import SourceError

GET_TIMEOUT_S = 2.0


class CaCounter:
    """The detector's counter, followed while no run is: at full rate its updates would cost a run too much."""

    def __init__(self, counter_pv: str) -> None:
        self.is_gone = False
        """True once its connection was lost: to be closed, so that who searches for the PV next finds it at once."""
        self._pv = PV(counter_pv, auto_monitor=True, connection_callback=self._take_connection)

    def _take_connection(self, conn: bool = False, **_: Any) -> None:
        self.is_gone = self.is_gone or not conn

    @property
    def latest(self) -> int | None:
        """The last value heard; None if there is none."""
        value = self._pv.value if self._pv.connected else None
        return int(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def close(self) -> None:
        """End the monitor."""
        let_go(self._pv)


class CaDetector:
    """The control PVs of one areaDetector, read only: the service never commands the detector."""

    def __init__(self, acquire_pv: str, counter_pv: str, exposure_pv: str) -> None:
        self._names = acquire_pv, counter_pv, exposure_pv
        self._asking = threading.Lock()
        """Runs ask the same PVs, and pyepics keeps one answer."""
        self._acquire, self._counter, self._exposure = self._open()

    def _open(self) -> tuple[PV, PV, PV]:
        acquire, counter, exposure = self._names
        return (
            PV(acquire, auto_monitor=True),
            PV(counter, form="time", auto_monitor=False),
            PV(exposure, auto_monitor=True),
        )

    def connect(self, cancellation: Cancellation | None = None) -> None:
        """See that all PVs answer; raises `SourceError` naming those that do not, and `CancelledError`."""
        with self._asking:
            if self.silent():  # CA searches ever more seldom for what is away: search at once
                self.close()
                self._acquire, self._counter, self._exposure = self._open()
                ca.flush_io()
        (cancellation or Cancellation()).wait_until(lambda: not self.silent(), CONNECTION_TIMEOUT_S)
        if missing := self.silent():
            raise SourceError(
                f"no answer from {', '.join(missing)} within {CONNECTION_TIMEOUT_S:g} s: is its IOC running, and are "
                "the PV names under 'detector' in the profile right?"
            )
        self.counter()  # a connection alone is not an answer

    def connections(self) -> dict[str, bool]:
        """Each of the PVs by name, and whether it is connected now."""
        return {pv.pvname: bool(pv.connected) for pv in (self._acquire, self._counter, self._exposure)}

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return [name for name, is_connected in self.connections().items() if not is_connected]

    @property
    def answers(self) -> bool:
        """False while the PV that tells whether the detector acquires is disconnected."""
        return bool(self._acquire.connected)

    @property
    def is_acquiring(self) -> bool:
        """The last value of the acquire PV; False while it is disconnected."""
        return bool(self._acquire.connected and self._acquire.value)

    @property
    def exposure_s(self) -> float:
        """The exposure time that is set now."""
        return max(0.0, self._fresh(self._exposure))

    def counter(self) -> int:
        """The uniqueId of the latest frame the detector made, asked for now; raises `SourceError` if it is gone."""
        return int(self._fresh(self._counter, use_monitor=False))

    def counter_with_stamp(self) -> tuple[int, int]:
        """The uniqueId of the latest frame, and when its IOC posted it, nanoseconds of the Unix epoch."""
        value = self.counter()
        seconds, fraction = self._counter.posixseconds, self._counter.nanoseconds
        return value, 0 if seconds is None else int(seconds) * NS_PER_S + int(fraction or 0)

    def close(self) -> None:
        """End the monitors."""
        for pv in (self._acquire, self._counter, self._exposure):
            let_go(pv)

    def _fresh(self, pv: Any, *, use_monitor: bool = True) -> float:
        try:
            with self._asking:
                value = pv.get(timeout=GET_TIMEOUT_S, use_monitor=use_monitor) if pv.connected else None
        except CA_FAILURES:
            value = None
        if value is None:
            raise SourceError(f"{pv.pvname} does not answer: is the detector's IOC still running?")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise SourceError(f"{pv.pvname} is {value!r}, not a number: is it the right PV?")
        return float(value)
