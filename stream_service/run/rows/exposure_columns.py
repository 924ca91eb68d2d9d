"""The exposures that rows are made of, by column: what stands beside the pixels is read once for a block of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.stage_map import StageMap

Floats = npt.NDArray[np.float64]


class ExposureColumns:
    """Of n rows of k exposures each, in the order they were taken."""

    def __init__(self, groups: Sequence[Sequence[Exposure]]) -> None:
        self.groups = groups
        self._shape = len(groups), len(groups[0])
        self._all = [exposure for group in groups for exposure in group]

    def kept(self, chosen: npt.NDArray[np.int64]) -> ExposureColumns:
        """What the rows tell of: the exposure of each that was kept (n,), or all of them where it is negative."""
        if chosen[0] < 0:
            return self
        return ExposureColumns([(group[k],) for group, k in zip(self.groups, chosen.tolist(), strict=True)])

    @property
    def frames(self) -> list[list[npt.NDArray[Any]]]:
        """Raw pixels (y, x) by row."""
        return [[exposure.frame.pixels for exposure in group] for group in self.groups]

    @property
    def ordinals(self) -> npt.NDArray[np.int64]:
        """(n, k)"""
        return self._column([exposure.ordinal for exposure in self._all], np.int64)

    @property
    def exposure_s(self) -> Floats:
        """(n, k)"""
        return self._column([exposure.exposure_s for exposure in self._all], np.float64)

    @property
    def received_s(self) -> Floats:
        """(n,) when the last frame of each row came, see `Frame.received_s`; NaN where one was not received."""
        return self._column([exposure.frame.received_s for exposure in self._all], np.float64).max(axis=1)

    def fill(self, rows: np.ndarray[Any, Any]) -> None:
        """Enter the identity of each frame, and how it came, into rows (n,)."""
        ids = [exposure.id for exposure in self._all]
        k = self._shape[1]  # a row may have room for more
        rows["unique_id"][:, :k] = self._column([frame_id.unique_id for frame_id in ids], np.int64)
        rows["epoch"][:, :k] = self._column([frame_id.epoch for frame_id in ids], np.int32)
        rows["timestamp_ns"][:, :k] = self._column([exposure.frame.timestamp_ns for exposure in self._all], np.int64)
        rows["n_frames"] = k
        is_backfilled = self._column([exposure.frame.is_backfilled for exposure in self._all], np.bool_)
        rows["status"][:, :k] = np.where(is_backfilled, FrameStatus.BACKFILLED, FrameStatus.STORED)

    def position_m(self, stage_map: StageMap) -> tuple[Floats, Floats]:
        """x and y of the beam on the sample, (n,) each: the mean."""
        return stage_map.beam_on_sample(_mean(self._values("x")), _mean(self._values("y")))

    def uncertainty_m(self, stage_map: StageMap) -> Floats:
        """(n,) how far the beam may have been from the position: the largest, NaN if one is not known."""
        of_stage_m = self._column([exposure.uncertainty_m for exposure in self._all], np.float64)
        return stage_map.largest_factor * of_stage_m.max(axis=1)

    def bracket_s(self) -> Floats:
        """(n,) between the readbacks around the position: the longest; NaN where no exposure has any."""
        return np.fmax.reduce(self._column([exposure.bracket_s for exposure in self._all], np.float64), axis=1)

    def energy_eV(self) -> tuple[Floats, Floats]:
        """(n,) mean, and how far the energies of a row lie apart."""
        values = self._values("energy")
        return _mean(values), values.max(axis=1) - values.min(axis=1)

    def flags(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """(n,) `Flag` of all channels, and of the position."""
        return (
            self._any([exposure.flags for exposure in self._all]),
            self._any([exposure.position_flags for exposure in self._all]),
        )

    def _any(self, flags: list[Flag]) -> npt.NDArray[np.uint32]:
        if flags.count(Flag.NONE) == len(flags):  # as nearly always
            return np.zeros(self._shape[0], np.uint32)
        return np.bitwise_or.reduce(self._column(flags, np.uint32), axis=1)

    def _values(self, name: str) -> Floats:
        return self._column([exposure.values[name] for exposure in self._all], np.float64)

    def _column(self, values: list[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.array(values, dtype).reshape(self._shape)


def _mean(values: Floats) -> Floats:
    """(n,) of (n, k): added one after the other, since the last bit of numpy's own sum depends on n."""
    return sum(values.T) / values.shape[1]
