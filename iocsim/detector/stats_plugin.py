"""Stats1: total, mean, extremes and centroid of frames, for screens and for bluesky's scalars.

Values are computed when they are shown: at most 20 times a second, and always for the last frame of an acquisition.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.pv import NO_YES, Choice, PvTable

VALUES = {
    "MinValue": "MinValue_RBV",
    "MaxValue": "MaxValue_RBV",
    "MeanValue": "MeanValue_RBV",
    "SigmaValue": "Sigma_RBV",
    "Total": "Total_RBV",
    "Net": "Net_RBV",
    "CentroidX": "CentroidX_RBV",
    "CentroidY": "CentroidY_RBV",
    "CentroidTotal": "CentroidTotal_RBV",
}
"""Since R3-3 each value has a setpoint beside its readback; ophyd V34 connects both."""


class StatsPlugin(Plugin):
    """NDPluginStats, the part of it that scans use."""

    def __init__(self, table: PvTable) -> None:
        super().__init__(table, "NDPluginStats", "STATS1", gives_arrays=True, n_threads=5)
        self._statistics = table.pair("ComputeStatistics", Choice(NO_YES.strings, 1))
        self._centroid = table.pair("ComputeCentroid", NO_YES)
        self._threshold = table.pair("CentroidThreshold", 1.0)
        self._readbacks = {}
        for name, readback in VALUES.items():
            table.setpoint(name, 0.0)
            self._readbacks[name] = table.readback(readback, 0.0)
        self._computed: NDArray | None = None

    def process(self, arrays: Arrays) -> None:
        """Take an array, in the driver's thread."""
        if (array := self.wanted(arrays)) is not None:
            self.saw(array)
            self.counter.value += 1

    async def refresh(self) -> None:
        """Compute and show the values of the last array, if it is new."""
        await super().refresh()
        array = self._last
        if array is None or array is self._computed:
            return
        self._computed = array
        for name, value in self._values(array).items():
            await self._readbacks[name].post(value, array.timestamp_ns)

    def _values(self, array: NDArray) -> dict[str, float]:
        started_s = time.perf_counter()
        pixels = array.pixels
        values: dict[str, float] = {}
        if self._statistics.is_on:
            total = float(pixels.sum(dtype=np.float64))
            values |= {
                "MinValue": float(pixels.min()),
                "MaxValue": float(pixels.max()),
                "MeanValue": total / pixels.size,
                "SigmaValue": float(pixels.std()),
                "Total": total,
                "Net": total,
            }
        if self._centroid.is_on:
            values |= _centroid(pixels, self._threshold.value)
        self.execution_s = time.perf_counter() - started_s
        return values


def _centroid(pixels: np.ndarray[Any, Any], threshold: float) -> dict[str, float]:
    """Centre of mass, in pixels, of what is not below the threshold; 0 if nothing is."""
    weights = np.where(pixels >= threshold, pixels, 0).astype(np.float64)
    total = float(weights.sum())
    if total == 0.0:
        return {"CentroidX": 0.0, "CentroidY": 0.0, "CentroidTotal": 0.0}
    rows, columns = weights.shape
    return {
        "CentroidX": float(weights.sum(axis=0) @ np.arange(columns)) / total,
        "CentroidY": float(weights.sum(axis=1) @ np.arange(rows)) / total,
        "CentroidTotal": total,
    }
