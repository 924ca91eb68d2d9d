"""From exposures to rows of the file: grouping, reduction, appending, and the ledger's marks.

Live and offline use this same code; they differ only in where exposures come from. The reduction writes straight into
the block that the sinks get, so a frame's pixels are read once and written once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import reduce
from operator import or_

import numpy as np

from stream_service.core.energies import RowEnergies
from stream_service.core.exposure import Exposure, Flag
from stream_service.core.grouping import Group, Grouper
from stream_service.core.ledger import FrameStatus, Ledger
from stream_service.core.row import RowBlock
from stream_service.core.spread import SpreadJudge
from stream_service.core.stage_map import StageMap
from stream_service.errors import ConfigError
from stream_service.kernels import CorrectionError, FrameReducer, Gaps, GapSetting, Grouping
from stream_service.run.rows.first_frames import FirstFrames
from stream_service.run.rows.flag_counts import FlagCounts
from stream_service.run.rows.gap_watch import GapWatch
from stream_service.run.rows.saturation import SaturationShare
from stream_service.run.rows.side_sinks import SideSinks
from stream_service.run.rows.sink import Sink
from stream_service.run.rows.spread_check import SpreadCheck
from stream_service.run.rows.unmeasured import UnmeasuredPixels
from stream_service.standard_file import PixelFlag, StandardFile


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
        gaps: GapSetting = "auto",
        about_references: tuple[str, ...] = (),
        sinks: Iterable[Sink] = (),
    ) -> None:
        """`rejected` are positions, counted from 0, whose rows are not to be used (`/entry/keep` = 0).

        With `allow_spread` the exposures of a row may have been taken at more than one position. `gaps`
        says how pixels that do not measure are found; `about_references` is told with what is to be said of the rows.
        `sinks` are those beside the file; they get what is in it.
        """
        self._file = file
        self.side_sinks = SideSinks(sinks)
        self._block = RowBlock(reducer.out_shape, frames_per_row)
        self._reducer = reducer
        self._ledger = ledger
        self._stage_map = stage_map
        self._about_references = about_references
        self._gap_setting: GapSetting = gaps
        self._first_frames: FirstFrames | None = FirstFrames(gaps)
        self._gap_watch: GapWatch | None = None
        self._unmeasured: UnmeasuredPixels | None = None
        self._saturation = SaturationShare(sat_fraction)
        self._about_gaps: tuple[str, ...] = ()
        self._rejected = rejected
        self.frames_per_row = frames_per_row
        self._grouper = Grouper(frames_per_row)
        self.is_waiting: Callable[[int], bool] = lambda ordinal: False
        """Whether the frame of this ordinal has come and will be added later: its group stays open."""
        self._combines = frames_per_row > 1 and reducer.grouping in (Grouping.SUM, Grouping.MEAN)
        self._spread_check = SpreadCheck(stage_map, allow_spread=allow_spread)
        self.flags = FlagCounts()
        self.exposure_s = math.nan
        """Exposure time of the latest row."""
        self.energies = RowEnergies()
        """Of every row."""
        self._unflushed: list[int] = []
        self.latest_slot: np.ndarray | None = None
        """Pixels of the row appended last, (y, x) float32; overwritten by later rows, so copy it at once."""

    @property
    def spread(self) -> SpreadJudge:
        """Of rows that are made of several exposures."""
        return self._spread_check.judge

    @property
    def held_bytes(self) -> int:
        """Pixels of exposures whose groups are open."""
        return self._grouper.held_bytes

    def add(self, exposure: Exposure) -> None:
        """Take one exposure; a row is appended when its group is full, and the gaps are known."""
        if self._first_frames is None:
            self._add(exposure)
        elif kept := self._first_frames.add(exposure):
            self._begin(self._first_frames.gaps, kept)

    def _begin(self, gaps: Gaps | None, kept: list[Exposure]) -> None:
        """The gaps are known: correct for them, and take the exposures that had to wait."""
        self._first_frames = None
        if gaps is not None:
            is_settled = self._gap_setting == "auto" and self._reducer.corrections.saturation_level is not None
            doubt = "" if is_settled else gaps.doubt
            self._about_gaps = tuple(filter(None, (gaps.sentence, doubt)))
        if gaps is not None and gaps.is_gap.any():
            try:
                self._reducer = self._reducer.with_gaps(gaps.is_gap)
            except CorrectionError as error:
                raise ConfigError(str(error)) from error
            self._file.write_applied(self._reducer.dark_applied, self._reducer.flat_applied)
            self._write_mask()
            self._gap_watch = GapWatch(gaps.is_gap, gaps.told_by[0])
        for exposure in kept:
            self._add(exposure)

    def _add(self, exposure: Exposure) -> None:
        if (group := self._grouper.add(exposure)) is not None:
            self._take(group)
        if given_up := self._grouper.take_given_up(self.is_waiting):
            self._ledger.mark((lost.ordinal for lost in given_up), FrameStatus.INCOMPLETE)

    def release(self) -> None:
        """There may be no more exposures: take those that wait for the gaps, or for the usual step, to be known."""
        if self._first_frames is not None:
            kept = self._first_frames.end()
            self._begin(self._first_frames.gaps, kept)
        for group in self._spread_check.release():
            self._append(group)

    def flush(self) -> None:
        """Make the rows so far visible to readers; only now are their frames stored, in the ledger's sense."""
        block = self._block
        if block.n_rows:
            self._file.append(block)
        self._file.flush()
        self._ledger.mark(self._unflushed, FrameStatus.STORED)
        self._unflushed.clear()
        if block.n_rows:
            self.side_sinks.append(block)
            block.clear()
        self.side_sinks.flush()

    def finish(self) -> None:
        """No more exposures: enter the groups that never filled, and settle the saturation mask."""
        self.release()
        self.flush()
        leftover = self._grouper.leftover()
        self._ledger.mark((exposure.ordinal for exposure in leftover), FrameStatus.INCOMPLETE)
        saturated = self._saturation.settle(self._reducer)
        if saturated.any() and not self._saturation.masks_all:
            self._write_mask(saturated)

    def _write_mask(self, saturated: np.ndarray | None = None) -> None:
        """All that is known of the pixels by now, into the file."""
        mask = self._reducer.mask != 0
        flags = np.where(mask, np.uint32(PixelFlag.INVALID), np.uint32(0))
        gaps = self._reducer.corrections.gaps
        if gaps is not None:
            flags[self._reducer.stored_where(gaps) & mask] |= np.uint32(PixelFlag.MISSING)
        lost = self._unmeasured and self._unmeasured.mask
        for more, flag in ((lost, PixelFlag.INVALID), (saturated, PixelFlag.SATURATED)):
            if more is not None:
                mask |= more
                flags[more] |= np.uint32(flag)
        self._file.write_mask(mask.astype(np.uint8), flags)

    def notes(self) -> Iterator[str]:
        """Remarks on the references, the pixels and the rows so far, in sentences."""
        yield from self._about_references
        yield from self._about_gaps
        if self._gap_watch is not None:
            yield from self._gap_watch.notes()
        if self._unmeasured is not None:
            yield from self._unmeasured.notes()
        yield from self._saturation.notes()
        yield from self.energies.notes()
        yield from self._spread_check.notes(self._grouper.frames_per_position)
        yield from self.side_sinks.notes

    def _take(self, group: Group) -> None:
        """Append a complete group; the first one only when its spread can be judged."""
        for judged in self._spread_check.see(group) if self._combines else (group,):
            self._append(judged)

    def _append(self, group: Group) -> None:
        exposures = group.exposures
        if self._block.is_full:
            self.flush()
        slot = self._block.next_pixels()
        if len(exposures) == 1:
            pixels = exposures[0].frame.pixels[np.newaxis]
        else:
            pixels = np.stack([exposure.frame.pixels for exposure in exposures])
        if self._gap_watch is not None:
            self._gap_watch.look(pixels[0])
        times_s = np.array([exposure.exposure_s for exposure in exposures])
        features, best_index, exposure_s = self._reducer.reduce(pixels, times_s, slot)
        chosen = slice(None) if best_index < 0 else slice(best_index, best_index + 1)
        used = exposures[chosen]
        is_measured = self._look_at(pixels[chosen], slot, features)
        x_m, y_m, energy_eV = self._values(used)
        more_flags = Flag.NONE if is_measured else Flag.INVALID
        if self._combines:
            more_flags |= self._spread_check.flags(group)
        flags = reduce(or_, (exposure.flags for exposure in used), more_flags)
        position_flags = reduce(or_, (exposure.position_flags for exposure in used), more_flags)
        self.flags.add(flags, position_flags)
        is_known = x_m - x_m == 0 and y_m - y_m == 0
        row = self._block.append()
        row["unique_id"] = [exposure.id.unique_id for exposure in exposures]
        row["epoch"] = [exposure.id.epoch for exposure in exposures]
        row["timestamp_ns"] = [exposure.frame.timestamp_ns for exposure in exposures]
        row["status"] = FrameStatus.STORED
        row["n_frames"] = len(exposures)
        row["x_m"], row["y_m"], row["energy_eV"] = x_m, y_m, energy_eV
        row["exposure_s"] = exposure_s
        row["flags"] = flags
        row["keep"] = is_known and not position_flags and group.position not in self._rejected
        row["features"] = features
        self.latest_slot = slot
        self.exposure_s = exposure_s
        energies_eV = [exposure.values["energy"] for exposure in used]
        self.energies.add(energy_eV, max(energies_eV) - min(energies_eV))
        self._unflushed += [exposure.ordinal for exposure in exposures]

    def _look_at(self, pixels: np.ndarray, slot: np.ndarray, features: np.void) -> bool:
        """Take out of a row what is not a measurement; whether it is to be used."""
        if self._unmeasured is None:
            self._unmeasured = UnmeasuredPixels(self._reducer, pixels.dtype, self._gap_setting)
        before = self._unmeasured.mask
        is_measured = self._unmeasured.look(pixels, slot, features)
        if self._unmeasured.mask is not before:
            self._write_mask()
        self._saturation.add(int(features["n_saturated"]), self._reducer)
        return is_measured

    def _values(self, exposures: tuple[Exposure, ...]) -> tuple[float, float, float]:
        """Mean position of the beam on the sample, and mean energy, of the exposures that the row is made of."""
        n = len(exposures)
        mean = {name: sum(exposure.values[name] for exposure in exposures) / n for name in ("x", "y", "energy")}
        return *self._stage_map.beam_on_sample(mean["x"], mean["y"]), mean["energy"]
