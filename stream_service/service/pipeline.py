"""From exposures to rows of the file: grouping, reduction, appending, and the ledger's marks.

Live and offline use this same code; they differ only in where exposures come from. The reduction writes straight into
the file's next slot, so a frame's pixels are read once and written once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import reduce
from operator import or_

import numpy as np

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.grouping import Group, Grouper
from stream_service.core.ledger import Fate, Ledger
from stream_service.core.spread import SpreadJudge
from stream_service.core.stage_map import StageMap
from stream_service.kernels import FrameReducer, Grouping
from stream_service.qc.maps import RowValues
from stream_service.service.flag_counts import FlagCounts
from stream_service.writer import Row, StandardFile

SATURATED = 0x2
"""CXI pixel flag."""


class RowPipeline:
    """Exposures in, rows in `file`; what cannot become a row is entered in `ledger`."""

    def __init__(
        self,
        file: StandardFile,
        reducer: FrameReducer,
        ledger: Ledger,
        stage_map: StageMap,
        frames_per_row: int,
        sat_fraction: float = 0.0,
        rejected: Collection[int] = frozenset(),
        *,
        allow_spread: bool = False,
    ) -> None:
        """`rejected` are positions, counted from 0, whose rows are not to be used (`/entry/keep` = 0).

        With `allow_spread` the exposures of a row may have been taken at places that are no single position.
        """
        self.intensities = RowValues()
        """Position and intensity of every row: the STXM map."""
        self._file = file
        self._reducer = reducer
        self._ledger = ledger
        self._stage_map = stage_map
        self._sat_fraction = sat_fraction
        self._rejected = rejected
        self._grouper = Grouper(frames_per_row)
        self._combines = frames_per_row > 1 and reducer.grouping in (Grouping.SUM, Grouping.MEAN)
        self._allow_spread = allow_spread
        self.spread = SpreadJudge()
        """Of rows that are made of several exposures."""
        self._first_group: Group | None = None
        """Waits for the second one, which says how far a step is."""
        self.flags = FlagCounts()
        self.exposure_s = math.nan
        """Exposure time of the latest row."""
        self._energy_sum_eV, self._n_energies = 0.0, 0
        self._fates = np.full(frames_per_row, Fate.STORED, np.uint8)
        self._unflushed: list[int] = []
        self.latest_slot: np.ndarray | None = None
        """Pixels of the row appended last, (y, x) float32; overwritten by later rows, so copy it at once."""

    @property
    def mean_energy_eV(self) -> float:
        """Mean over the rows so far whose energy is known; NaN if there are none."""
        return self._energy_sum_eV / self._n_energies if self._n_energies else math.nan

    def add(self, exposure: Exposure) -> None:
        """Take one exposure; a row is appended when its group is full."""
        if (group := self._grouper.add(exposure)) is not None:
            self._take(group)
        if given_up := self._grouper.take_given_up():
            self._ledger.mark((lost.ordinal for lost in given_up), Fate.INCOMPLETE)

    def flush(self) -> None:
        """Make the rows so far visible to readers; only now are their frames stored, in the ledger's sense."""
        self._file.flush()
        self._ledger.mark(self._unflushed, Fate.STORED)
        self._unflushed.clear()

    def finish(self) -> None:
        """No more exposures: enter the groups that never filled, and settle the saturation mask."""
        if self._first_group is not None:
            self._append(self._first_group)
            self._first_group = None
        self.flush()
        leftover = self._grouper.leftover()
        self._ledger.mark((exposure.ordinal for exposure in leftover), Fate.INCOMPLETE)
        saturated = self._reducer.saturated_mask(self._sat_fraction)
        if saturated.any():
            mask = self._reducer.mask | saturated
            flags = np.where(self._reducer.mask, np.uint32(1), np.uint32(0)) | (saturated * np.uint32(SATURATED))
            self._file.write_mask(mask.astype(np.uint8), flags.astype(np.uint32))

    def notes(self) -> Iterator[str]:
        """What is to be said of the rows so far, in sentences."""
        spread = self.spread
        if spread.n_apart:
            fate = "used, because that is allowed" if self._allow_spread else "flagged, and not used"
            yield (
                f"the exposures of {spread.n_apart} of {spread.n_judged} rows lie up to {spread.widest_m * 1e6:.3g} um "
                f"apart (limit {spread.limit_m * 1e6:.3g} um, a quarter of the usual step): these rows are {fate}; is "
                f"{self._grouper.frames_per_position} the number of frames at a position?"
            )

    def _take(self, group: Group) -> None:
        """Append a complete group; the first one only when its spread can be judged."""
        if not self._combines:
            self._append(group)
            return
        places = self._places(group)
        self.spread.see(places)
        if self._first_group is not None:
            first, self._first_group = self._first_group, None
            self._append(first)
        elif self.spread.must_wait(places):
            self._first_group = group
            return
        self._append(group)

    def _places(self, group: Group) -> list[tuple[float, float]]:
        """Where each exposure was taken on the sample."""
        return [
            self._stage_map.beam_on_sample(exposure.values["x"], exposure.values["y"]) for exposure in group.exposures
        ]

    def _append(self, group: Group) -> None:
        exposures = group.exposures
        if self._file.is_full:
            self.flush()
        slot = self._file.slot()
        if len(exposures) == 1:
            pixels = exposures[0].frame.pixels[np.newaxis]
        else:
            pixels = np.stack([exposure.frame.pixels for exposure in exposures])
        times_s = np.array([exposure.exposure_s for exposure in exposures])
        summary = self._reducer.reduce(pixels, times_s, slot)
        used = exposures if summary.best_index < 0 else exposures[summary.best_index : summary.best_index + 1]
        x_m, y_m, energy_eV = self._values(used)
        flags = reduce(or_, (exposure.flags for exposure in used))
        position_flags = reduce(or_, (exposure.position_flags for exposure in used))
        if self._combines and self.spread.is_apart(self._places(group)) and not self._allow_spread:
            flags, position_flags = flags | Flag.SPREAD, position_flags | Flag.SPREAD
        self.flags.add(flags, position_flags)
        self._file.append(
            Row(
                unique_ids=np.array([exposure.id.unique_id for exposure in exposures], np.int64),
                epochs=np.array([exposure.id.epoch for exposure in exposures], np.int32),
                timestamps_ns=np.array([exposure.frame.timestamp_ns for exposure in exposures], np.int64),
                statuses=self._fates,
                n_frames=len(exposures),
                x_m=x_m,
                y_m=y_m,
                energy_eV=energy_eV,
                exposure_s=summary.exposure_s,
                flags=int(flags),
                intensity=summary.intensity,
                com_y=summary.com_y,
                com_x=summary.com_x,
                n_saturated=summary.n_saturated,
                keep=(
                    x_m - x_m == 0 and y_m - y_m == 0 and not position_flags and group.position not in self._rejected
                ),
            )
        )
        self.latest_slot = slot
        self.exposure_s = summary.exposure_s
        if math.isfinite(energy_eV):
            self._energy_sum_eV += energy_eV
            self._n_energies += 1
        self.intensities.append(x_m, y_m, summary.intensity)
        self._unflushed += [exposure.ordinal for exposure in exposures]

    def _values(self, exposures: tuple[Exposure, ...]) -> tuple[float, float, float]:
        """Mean position of the beam on the sample, and mean energy, of the exposures that the row is made of."""
        n = len(exposures)
        mean = {name: sum(exposure.values[name] for exposure in exposures) / n for name in ("x", "y", "energy")}
        return *self._stage_map.beam_on_sample(mean["x"], mean["y"]), mean["energy"]
