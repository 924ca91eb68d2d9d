"""Segments of a run, whose verdicts become final together, and the windows of rows by which they are judged."""

from __future__ import annotations

from dataclasses import dataclass

from stream_service.qc.row_table import WARM_UP_ROWS


@dataclass(frozen=True, slots=True)
class Windows:
    """How many rows a segment has, and how many before and after it are its neighbours."""

    segment: int = 1 << 14
    """A window has a quarter more rows than a segment, which is what is judged twice; it is judged in 0.2 s."""
    before: int = 2048
    after: int = 2048
    """Of a raster of 400 columns five lines, of a spiral of a million rows a ring that is three rows wide."""
    warm_up: int = WARM_UP_ROWS
    """Rows of which the basis of the embedding is made: no more than a first window has."""

    def is_complete(self, k: int, n_rows: int) -> bool:
        """All rows by which segment `k` is judged are there, and it is not the last one."""
        return n_rows > (k + 1) * self.segment + self.after

    def of(self, k: int) -> tuple[int, int]:
        """First row and the one after the last, by which segment `k` is judged."""
        return self.begin(k), (k + 1) * self.segment + self.after

    def begin(self, k: int) -> int:
        """The first row that is needed for segment `k`, or a later one."""
        return max(0, k * self.segment - self.before)
