"""Latency of the rows of a service: from the receipt of the last frame of a row until readers of the file see it."""

from __future__ import annotations

import threading

import numpy as np

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome
from stream_service.settings.service_status import Latencies

BOUNDS_S = np.array(Latencies.BOUNDS_S)


class RowLatencies:
    """See `Sink`: one for all runs of a service, each of which brings its rows in its own thread."""

    name = "the latency of rows"

    def __init__(self) -> None:
        self.latest = Latencies()
        """Of all rows so far whose receipt is known."""
        self._lock = threading.Lock()

    def append(self, block: RowBlock) -> None:
        """Count the rows of a block."""
        latency_s = block.visible_s - block.received_s
        known_s = latency_s[np.isfinite(latency_s)]
        if not len(known_s):
            return
        counts = np.bincount(np.searchsorted(BOUNDS_S, known_s), minlength=len(BOUNDS_S) + 1)
        with self._lock:
            self.latest = Latencies(
                tuple((counts + self.latest.counts).tolist()), self.latest.sum_s + float(known_s.sum())
            )

    def flush(self) -> None:
        """It is told at once."""

    def finish(self, outcome: RunOutcome) -> None:
        """Rows of other runs follow."""
