"""Ring current and shutter during the exposures of rows, as their channels told: the last value is held.

Channels `ring_current` and `shutter` of a profile, or of a log that is ingested. A row is not held up for them: what is
known of them when it is made stands in it, and is what it is judged by, live as afterwards. Where a channel has said
nothing before an exposure, nothing is known, and no row is rejected for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NO_STAMP, NS_PER_S, FrameTime, Marks
from stream_service.core.pairing.readback import Readback
from stream_service.text.counted import counted
from stream_service.text.units import MILLIAMPERES

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]
RING_CURRENT, SHUTTER = "ring_current", "shutter"
"""Names of the channels."""
LONGEST_S = 1e6
"""No exposure takes longer."""
OPEN, CLOSED, NOT_KNOWN = 1, 0, -1
"""Of the shutter, in a row."""


class HeldValues:
    """Updates of a channel in the order of their stamps; of two with one stamp the one added later counts."""

    def __init__(self) -> None:
        self._stamps_ns, self._values = np.empty(64, np.int64), np.empty(64)
        self._n = 0

    def add(self, value: float, timestamp_ns: int) -> None:
        """Enter an update; NaN: from then on the value is not known."""
        n = self._n
        if n == len(self._values):
            self._stamps_ns, self._values = (np.concatenate([old, old]) for old in (self._stamps_ns, self._values))
        at = int(np.searchsorted(self._stamps_ns[:n], timestamp_ns, side="right"))
        for column, entry in ((self._stamps_ns, timestamp_ns), (self._values, value)):
            column[at + 1 : n + 1] = column[at:n]
            column[at] = entry
        self._n = n + 1

    def at(self, times_ns: Stamps) -> Floats:
        """The values at these times, in their shape; NaN before the first update."""
        index = np.searchsorted(self._stamps_ns[: self._n], times_ns, side="right") - 1
        return np.where(index >= 0, self._values[np.maximum(index, 0)], np.nan)


class Conditions:
    """Of one run; fed with the updates that are recorded."""

    def __init__(
        self,
        units: Mapping[str, str] = MappingProxyType({}),
        frame_time: FrameTime = FrameTime(),  # noqa: B008  (it is frozen)
        *,
        min_ring_current_mA: float = 0.0,
        open_when: float = 1.0,
    ) -> None:
        """`units` of the channels that are recorded, by name; `open_when` is the shutter's value when it is open.

        Less current than `min_ring_current_mA` rejects a row: what keeps it from that is told of.
        """
        self._held = {name: HeldValues() for name in units if name in (RING_CURRENT, SHUTTER)}
        self._mA = MILLIAMPERES.factor(units.get(RING_CURRENT, "")) or np.nan
        self._frame_time, self._min_mA, self._open_when = frame_time, min_ring_current_mA, open_when
        self.gone: frozenset[str] = frozenset()
        """Channels whose PV is disconnected now: their last value is held all the same."""
        self._n_held = {RING_CURRENT: 0, SHUTTER: 0}
        """Rows in which it stands."""
        self._n_rows = 0
        self._n_known = {RING_CURRENT: 0, SHUTTER: 0}

    def add(self, updates: Iterable[Readback]) -> None:
        """Enter what channels said."""
        if self._held:
            for update in updates:
                if (held := self._held.get(update.channel)) is not None:
                    held.add(update.value if update.is_valid else np.nan, update.timestamp_ns)

    def fill(self, rows: np.ndarray[Any, Any]) -> None:
        """Enter them in rows (n,) of `row_dtype`, of which stamps and exposure times are known: of several exposures
        the least current, and whether the shutter was open in all."""
        if not self._held:
            self.see(rows)
            return
        for name in self.gone & self._held.keys():
            self._n_held[name] += len(rows)
        times_ns, is_timed = self._middles_ns(rows)
        if RING_CURRENT in self._held:
            current_mA = self._mA * self._of_row(RING_CURRENT, times_ns, is_timed)
            rows["ring_current_mA"] = np.fmin.reduce(current_mA, axis=1)
        if SHUTTER in self._held:
            value = self._of_row(SHUTTER, times_ns, is_timed)
            is_known = np.isfinite(value)
            is_open = (~is_known | (value == self._open_when)).all(axis=1)
            rows["shutter_open"] = np.where(is_known.any(axis=1), np.where(is_open, OPEN, CLOSED), NOT_KNOWN)
        self.see(rows)

    def see(self, rows: np.ndarray[Any, Any]) -> None:
        """Count rows in which they stand."""
        self._n_rows += len(rows)
        self._n_known[RING_CURRENT] += int(np.count_nonzero(np.isfinite(rows["ring_current_mA"])))
        self._n_known[SHUTTER] += int(np.count_nonzero(rows["shutter_open"] != NOT_KNOWN))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Channels of which nothing was known in any row."""
        return tuple(name for name, n_known in self._n_known.items() if not n_known)

    def notes(self) -> Iterator[str]:
        """What keeps rows from being rejected by them, in sentences."""
        if not self._n_rows:
            return
        if self._min_mA > 0 and not self._n_known[RING_CURRENT]:
            if RING_CURRENT not in self._held:
                why = f"no channel '{RING_CURRENT}' is recorded"
            elif np.isnan(self._mA):
                why = f"the unit of channel '{RING_CURRENT}' must be {MILLIAMPERES.choice}"
            else:
                why = f"channel '{RING_CURRENT}' told none before the exposures"
            yield f"no row is rejected for a ring current below {self._min_mA:g} mA: {why}"
        if SHUTTER in self._held and not self._n_known[SHUTTER]:
            yield f"no row is rejected for a closed shutter: channel '{SHUTTER}' told no state before the exposures"
        for name, n_held in self._n_held.items():
            if n_held and self._n_known[name]:
                rows = counted(n_held, "row")
                yield f"channel '{name}' was disconnected during {rows}, judged by the last value before"

    def _of_row(self, name: str, times_ns: Stamps, is_timed: npt.NDArray[np.bool_]) -> Floats:
        return np.where(is_timed, self._held[name].at(times_ns), np.nan)

    def _middles_ns(self, rows: np.ndarray[Any, Any]) -> tuple[Stamps, npt.NDArray[np.bool_]]:
        """Middle of each exposure by the clock of the channels, and which of them are known; (n, k) each."""
        lengths_s = np.clip(np.nan_to_num(rows["exposure_s"]), 0, LONGEST_S) / np.maximum(rows["n_frames"], 1)
        half_ns = np.rint(0.5 * NS_PER_S * lengths_s).astype(np.int64)[:, None]
        stamps_ns = rows["timestamp_ns"] + round(self._frame_time.offset_s * NS_PER_S)
        middles_ns = stamps_ns + half_ns if self._frame_time.marks is Marks.START else stamps_ns - half_ns
        return middles_ns, (rows["unique_id"] >= 0) & (rows["timestamp_ns"] != NO_STAMP)
