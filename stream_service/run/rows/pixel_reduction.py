"""Frames to the pixels of rows, and all that is known of the pixels of a run: gaps, what does not measure, saturation.

What is known becomes the mask of the file, which is written again whenever more is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Exposure
from stream_service.errors import ConfigError
from stream_service.kernels import CorrectionError, FrameReducer, Gaps, GapSetting, Grouping, ReducedRows
from stream_service.run.rows.exposure_columns import ExposureColumns
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.first_frames import FirstFrames
from stream_service.run.rows.gap_watch import GapWatch
from stream_service.run.rows.saturation import SaturationShare
from stream_service.run.rows.unmeasured import UnmeasuredPixels
from stream_service.standard_file import PixelFlag


@dataclass(frozen=True, slots=True, eq=False)
class KnownPixels:
    """What rows before have told of the pixels."""

    is_gap: npt.NDArray[np.bool_] | None
    """(y, x) raw pixels that do not measure; None: all do."""
    flags: npt.NDArray[np.uint32] | None = None
    """(ny, nx) of stored pixels, as they were written last; 0 = good. None: no row tells more than the gaps."""
    is_saturated: npt.NDArray[np.bool_] | None = None
    """(ny, nx) stored pixels that have saturated; None: none has."""


class PixelReduction:
    """Of the frames of one run, into rows of `file`."""

    def __init__(self, file: FileThread, reducer: FrameReducer, gaps: GapSetting, sat_fraction: float) -> None:
        """`gaps` says how pixels that do not measure are found; see `SaturationShare` for `sat_fraction`."""
        self._file = file
        self._reducer = reducer
        self._gap_setting: GapSetting = gaps
        self._first_frames: FirstFrames | None = FirstFrames(gaps)
        self._gap_watch: GapWatch | None = None
        self._unmeasured: UnmeasuredPixels | None = None
        self._known_flags: npt.NDArray[np.uint32] | None = None
        """Of pixels, by rows that were written into another file."""
        self.on_gaps: Callable[[npt.NDArray[np.bool_] | None], None] = lambda is_gap: None
        """Called once it is known which raw pixels do not measure, before the first row."""
        self.on_saturated: Callable[[npt.NDArray[np.bool_]], None] | None = None
        """Called with the stored pixels that saturate for the first time, before their row."""
        self._saturation = SaturationShare(sat_fraction)
        self._about_gaps: tuple[str, ...] = ()

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx) of a stored frame."""
        return self._reducer.out_shape

    @property
    def grouping(self) -> Grouping:
        """How the exposures of a row become one."""
        return self._reducer.grouping

    def known(self, exposures: Sequence[Exposure]) -> Sequence[Exposure]:
        """Take exposures; those that can be reduced, since the gaps are known."""
        if self._first_frames is None:
            return exposures
        known = self._first_frames.add(exposures)
        if known:
            self._begin(self._first_frames.gaps)
        return known

    def release(self) -> Sequence[Exposure]:
        """There may be no more exposures: those that wait for the gaps to be known."""
        if self._first_frames is None:
            return ()
        kept = self._first_frames.end()
        self._begin(self._first_frames.gaps)
        return kept

    def go_on_with(self, pixels: KnownPixels) -> None:
        """Take what rows before have told of the pixels, before the first exposure."""
        self._known_flags = pixels.flags
        if pixels.is_saturated is not None:
            self._saturation.restore(pixels.is_saturated)
        self._begin(None if pixels.is_gap is None else Gaps(pixels.is_gap))
        if pixels.flags is not None:
            self._write_mask()

    def _begin(self, gaps: Gaps | None) -> None:
        """The gaps are known: correct for them."""
        self._first_frames = None
        self.on_gaps(None if gaps is None else gaps.is_gap)
        if gaps is not None:
            is_settled = self._gap_setting == "auto" and self._reducer.corrections.saturation_level is not None
            doubt = "" if is_settled else gaps.doubt
            self._about_gaps = tuple(filter(None, (gaps.sentence, doubt)))
        if gaps is not None and gaps.is_gap.any():
            try:
                self._reducer = self._reducer.with_gaps(gaps.is_gap)
            except CorrectionError as error:
                raise ConfigError(str(error)) from error
            applied = self._reducer.dark_applied, self._reducer.flat_applied
            self._file.post(lambda file: file.write_applied(*applied))
            self._write_mask()
            if gaps.told_by:
                self._gap_watch = GapWatch(gaps.is_gap, gaps.told_by[0])

    def reduce(
        self, exposures: ExposureColumns, pixels: npt.NDArray[np.float32], features: npt.NDArray[np.void]
    ) -> tuple[ReducedRows, ExposureColumns, npt.NDArray[np.bool_]]:
        """Reduce groups into the pixels (n, ny, nx) and features (n,) of rows.

        Gives what came of it, the exposures of which the rows tell, and (n,) whether each is a measurement.
        """
        frames = exposures.frames
        if self._gap_watch is not None:
            self._gap_watch.look([group[0] for group in frames])
        reduced = self._reducer.reduce_rows(frames, exposures.exposure_s, pixels, features)
        kept = exposures.kept(reduced.chosen)
        return reduced, kept, self._look_at(kept.frames, pixels, features)

    def add_salvaged(self, n_saturated: npt.NDArray[np.integer[Any]]) -> None:
        """Rows of an interrupted file were added; (n,) saturated pixels of each."""
        self._saturation.add_salvaged(n_saturated)

    def settle(self) -> None:
        """There are no more rows: what has saturated goes into the mask."""
        saturated = self._saturation.settle(self._reducer)
        if saturated.any() and not self._saturation.masks_all:
            self._write_mask(saturated)

    def notes(self) -> Iterator[str]:
        """Remarks on the pixels so far, in sentences."""
        yield from self._about_gaps
        if self._gap_watch is not None:
            yield from self._gap_watch.notes()
        if self._unmeasured is not None:
            yield from self._unmeasured.notes()
        yield from self._saturation.notes()

    def _write_mask(self, saturated: np.ndarray | None = None) -> None:
        """All that is known of the pixels by now, into the file."""
        mask = self._reducer.mask != 0
        flags = np.where(mask, np.uint32(PixelFlag.INVALID), np.uint32(0))
        gaps = self._reducer.corrections.gaps
        if gaps is not None:
            flags[self._reducer.stored_where(gaps) & mask] |= np.uint32(PixelFlag.MISSING)
        if self._known_flags is not None:
            mask |= self._known_flags != 0
            flags |= self._known_flags
        lost = self._unmeasured and self._unmeasured.mask
        for more, flag in ((lost, PixelFlag.INVALID), (saturated, PixelFlag.SATURATED)):
            if more is not None:
                mask |= more
                flags[more] |= np.uint32(flag)
        self._file.post(lambda file: file.write_mask(mask.astype(np.uint8), flags))

    def _look_at(
        self, frames: list[list[np.ndarray]], pixels: npt.NDArray[np.float32], features: npt.NDArray[np.void]
    ) -> npt.NDArray[np.bool_]:
        """Take out of rows what is not a measurement; (n,) whether each is to be used."""
        if self._unmeasured is None:
            self._unmeasured = UnmeasuredPixels(self._reducer, frames[0][0].dtype, self._gap_setting)
        before = self._unmeasured.mask
        is_measured = self._unmeasured.look(frames, pixels, features)
        if self._unmeasured.mask is not before:
            self._write_mask()
        self._saturation.add(features["n_saturated"], self._reducer)
        if self.on_saturated is not None and (are_new := self._saturation.take_new(self._reducer)) is not None:
            self.on_saturated(are_new)
        return is_measured
