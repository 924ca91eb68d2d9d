"""The row that was stored last, its numbers and its pixels: a sink of the run that copies what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.row import RowBlock, has_trusted_energy, has_trusted_position
from stream_service.core.run import RunOutcome
from stream_service.settings.service_status import LatestRowStatus

IMAGE_S = 0.5
"""How often another row is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownRow:
    """A copy of a stored row for screens: its place in the file, and its pixels (y, x)."""

    row: int
    pixels: npt.NDArray[np.float32]


class LatestRow:
    """See `Sink`; `shown` and `status` may be read from any thread."""

    name = "the picture of the latest row"

    def __init__(self, clock: Callable[[], float]) -> None:
        self.shown: ShownRow | None = None
        """A recent row, renewed a few times a second, and the last one when the run has ended."""
        self.status = LatestRowStatus()
        """The latest row that readers can see, in numbers."""
        self._last: np.void | None = None
        """That row, until the next flush."""
        self._latency_s = math.nan
        self._clock = clock
        self._shown_s = -math.inf
        self._next: ShownRow | None = None
        """The latest one, while it is not shown; its memory is used again."""
        self._n_rows = 0

    def append(self, block: RowBlock) -> None:
        """Copy the last row of a block."""
        self._n_rows += block.n_rows
        self._last, self._latency_s = block.rows[-1].copy(), block.visible_s - float(block.received_s[-1])
        pixels = np.empty_like(block.pixels[-1]) if self._next is None else self._next.pixels
        pixels[...] = block.pixels[-1]
        self._next = ShownRow(self._n_rows - 1, pixels)

    def flush(self) -> None:
        """Tell its numbers, and show it, if it is time to."""
        self._tell()
        now_s = self._clock()
        if self._next is not None and now_s - self._shown_s >= IMAGE_S:
            self._shown_s = now_s
            self._show()

    def finish(self, outcome: RunOutcome) -> None:
        """Show the last one."""
        self._tell()
        self._show()

    def _tell(self) -> None:
        if self._last is None:
            return
        row, self._last = self._last, None
        is_trusted = bool(has_trusted_position(row))
        self.status = LatestRowStatus(
            x_m=float(row["x_m"]) if is_trusted else math.nan,
            y_m=float(row["y_m"]) if is_trusted else math.nan,
            energy_eV=float(row["energy_eV"]) if has_trusted_energy(row) else math.nan,
            time_ns=int(row["timestamp_ns"][0]),
            intensity=float(row["features"]["intensity"]),
            n_saturated=int(row["features"]["n_saturated"]),
            latency_s=self._latency_s,
        )

    def _show(self) -> None:
        if self._next is not None:
            self.shown, self._next = self._next, None
