"""Updates of a channel from long ago, in a few bytes each: for frames that come when everything has been let go.

A frame that was lost and is fetched from elsewhere may be hours old. What it is paired by must be what it would have
been paired by in time, so nothing that its pairing could ask for is thrown away, only put aside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_service.core.growing import grown
from stream_service.core.pairing.readback import Readback

MOST_ARCHIVED = 1 << 22
"""Updates of one channel, 17 bytes each: a day and a half at 30 Hz. The older half goes first."""
VALID, AFTER_GAP = 1, 2
"""Bits of `_kinds`."""
SEARCHED = 1024
"""Updates looked at at once."""


class Archive:
    """Updates in the order of their stamps, and the stretches of which nothing is known."""

    def __init__(self) -> None:
        self.gaps_ns: list[tuple[int, int]] = []
        """See `History.gaps_ns`."""
        self.untimed_ns: list[tuple[int, int]] = []
        """See `History.untimed_ns`."""
        self._n = 0
        self._channel = ""
        self._stamps_ns = np.zeros(0, np.int64)
        self._values = np.zeros(0, np.float64)
        self._kinds = np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return self._n

    def place_after(self, time_ns: int) -> int:
        """Updates up to and with `time_ns`."""
        return int(np.searchsorted(self._stamps_ns[: self._n], time_ns, "right"))

    def first_zero(self, first: int) -> int | None:
        """Place of the first update of value 0, from this place on; None if there is none."""
        for start in range(first, self._n, SEARCHED):
            places = np.flatnonzero(self._values[start : min(start + SEARCHED, self._n)] == 0)
            if len(places):
                return start + int(places[0])
        return None

    def add(self, readbacks: Sequence[Readback]) -> None:
        """Put aside what is not older than what is there."""
        if not readbacks:
            return
        if self._n + len(readbacks) > MOST_ARCHIVED:
            self._halve()
        end = self._n + len(readbacks)
        self._stamps_ns, self._values = grown(self._stamps_ns, end), grown(self._values, end)
        self._kinds = grown(self._kinds, end)
        self._stamps_ns[self._n : end] = [update.timestamp_ns for update in readbacks]
        self._values[self._n : end] = [update.value for update in readbacks]
        self._kinds[self._n : end] = [VALID * update.is_valid + AFTER_GAP * update.is_after_gap for update in readbacks]
        self._channel, self._n = readbacks[0].channel, end

    def updates(self, first: int, end: int) -> list[Readback]:
        """Those in these places."""
        return [
            Readback(self._channel, value, stamp_ns, bool(kind & VALID), bool(kind & AFTER_GAP))
            for stamp_ns, value, kind in zip(
                self._stamps_ns[: self._n][first:end].tolist(),
                self._values[: self._n][first:end].tolist(),
                self._kinds[: self._n][first:end].tolist(),
                strict=True,
            )
        ]

    def _halve(self) -> None:
        keep = slice(self._n // 2, self._n)
        columns = self._stamps_ns[keep].copy(), self._values[keep].copy(), self._kinds[keep].copy()
        self._stamps_ns, self._values, self._kinds = columns
        self._n = len(self._stamps_ns)
