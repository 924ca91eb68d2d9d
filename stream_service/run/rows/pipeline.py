"""From exposures to rows: grouping, reduction, what else stands in a row, and the marks of frames that make none.

Live and offline use this same code; they differ only in where exposures come from. The reduction writes straight into
the block that the sinks get, so a frame's pixels are read once and written once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.conditions import Conditions
from stream_service.core.energies import RowEnergies
from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.grouping import Group, Grouper
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.hardware_arrays import WITHOUT_ENTRY
from stream_service.core.partition import NO_FRAME, ByIndex, ByPosition, Ordinals, Partition
from stream_service.core.position_grouping import PositionGrouper
from stream_service.core.row import RowBlock
from stream_service.core.spread import SpreadJudge
from stream_service.core.stage_map import StageMap
from stream_service.kernels import FrameReducer, GapSetting, Grouping
from stream_service.run.rows.exposure_columns import ExposureColumns
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.flag_counts import FlagCounts
from stream_service.run.rows.pixel_reduction import PixelReduction
from stream_service.run.rows.planned_positions import PlannedPositions
from stream_service.run.rows.planned_rows import PlannedRows
from stream_service.run.rows.restored_exposures import OF_THE_ROW, exposures_kept
from stream_service.run.rows.row_blocks import RowBlocks
from stream_service.run.rows.row_corrections import RowCorrections
from stream_service.run.rows.side_sinks import SideSinks
from stream_service.run.rows.sink import Sink
from stream_service.run.rows.spread_check import SpreadCheck
from stream_service.run.rows.unsure_rows import UnsureRow, UnsureRows
from stream_service.run.rows.visited_positions import VisitedPositions
from stream_service.text.counted import agrees, counted

MOST_READ = 32
"""Rows that are read back at once."""


class RowPipeline:
    """Exposures in, rows in `file`; what cannot become a row is entered in `ledger`."""

    def __init__(
        self,
        file: FileThread,
        reducer: FrameReducer,
        ledger: Ledger,
        stage_map: StageMap,
        partition: Partition,
        sat_fraction: float = 0.0,
        rejected: Collection[int] = frozenset(),
        *,
        allow_spread: bool = False,
        gaps: GapSetting = "auto",
        about_references: tuple[str, ...] = (),
        planned: PlannedPositions | None = None,
        conditions: Conditions | None = None,
        sinks: Iterable[Sink] = (),
    ) -> None:
        """`partition` says which frames are a row. `rejected` are positions, counted from 0, whose rows are not to be
        used (`/entry/keep` = 0).

        With `allow_spread` the exposures of a row may have been taken at more than one position. `gaps`
        says how pixels that do not measure are found; `about_references` is told with what is to be said of the rows.
        `planned` tells rows by their planned positions; `conditions` are entered in rows as they are known by then.
        `sinks` are those beside the file; they get what is in it.
        """
        self._file = file
        self.side_sinks = SideSinks(sinks)
        first_block = RowBlock(reducer.out_shape, partition.frames_per_row)
        self.row_bytes = first_block.row_bytes
        """Of a row in the file."""
        self._blocks = RowBlocks(first_block, file, ledger, self.side_sinks)
        self.pixels = PixelReduction(file, reducer, gaps, sat_fraction)
        self._ledger = ledger
        self._stage_map = stage_map
        self._about_references = about_references
        self.conditions = conditions or Conditions()
        self._rejected = np.fromiter(rejected, np.int64)
        self.partition = partition
        self.planned: PlannedPositions = planned or (
            VisitedPositions() if isinstance(partition, ByPosition) else PlannedRows(partition)
        )
        """What becomes of the positions of the plan."""
        self.corrections = RowCorrections(file, ledger, self.planned, stage_map, reducer.grouping)
        self._n_rows = 0
        """Filled so far."""
        self._unsure = UnsureRows()
        self._n_put_right = 0
        self.is_unsure: Callable[[int], bool] = lambda ordinal: False
        """Whether more may become known of what the channels were during this frame: its row is put right then."""
        self._grouper = PositionGrouper(partition) if isinstance(partition, ByPosition) else Grouper(partition)
        self.is_waiting: Callable[[int], bool] = lambda ordinal: False
        """Whether the frame of this ordinal has come and will be added later: its group stays open."""
        self._before: tuple[Ordinals, npt.NDArray[np.uint8]] = (np.zeros(0, np.int64), np.zeros(0, np.uint8))
        """Frames whose rows are found once more, and what had become of them."""
        self._about_lost: tuple[str, ...] = ()
        self._question = (
            "is same_position_m (--same-position-m) the size of a position?"
            if isinstance(partition, ByPosition)
            else f"is {partition.frames_per_row} the number of frames at a position?"
        )
        self._combines = partition.frames_per_row > 1 and reducer.grouping in (Grouping.SUM, Grouping.MEAN)
        self._spread_check = SpreadCheck(stage_map, allow_spread=allow_spread)
        self.flags = FlagCounts()
        self.exposure_s = math.nan
        """Exposure time of the latest row."""
        self.energies = RowEnergies()
        """Of every row."""

    @property
    def spread(self) -> SpreadJudge:
        """Of rows that are made of several exposures."""
        return self._spread_check.judge

    def on_judged(self, call: Callable[[SpreadJudge], None]) -> None:
        """See `SpreadCheck.on_judged`."""
        self._spread_check.on_judged = call

    @property
    def held_bytes(self) -> int:
        """Pixels of exposures whose groups are open."""
        return self._grouper.held_bytes

    def add(self, exposures: Sequence[Exposure]) -> None:
        """Take exposures; a row is written when its group is full, and the gaps are known."""
        self._take(self.pixels.known(exposures))

    @property
    def n_rows(self) -> int:
        """Rows that were made so far, in the file or on their way into it."""
        return self._n_rows

    @property
    def n_unheard(self) -> int:
        """Rows of whose position too little was heard, and that were not put right."""
        return max(0, self.flags.n_unheard - self._n_put_right)

    def _take(self, exposures: Sequence[Exposure]) -> None:
        """Find the rows that are complete, and write them."""
        if self.partition.frames_per_row == 1:
            self._write([Group((exposure,)) for exposure in exposures])
            return
        groups: list[Group] = []
        for exposure in exposures:
            groups += self._grouper.add(exposure, self.is_waiting)
            if given_up := self._grouper.take_given_up(self.is_waiting):
                self._ledger.mark((lost.ordinal for lost in given_up), FrameStatus.INCOMPLETE)
        self._write(self._judged(groups))

    def _judged(self, groups: Iterable[Group]) -> list[Group]:
        """Groups whose flags are known now, in order but for the first."""
        if not self._combines:
            return list(groups)
        judged: list[Group] = []
        for group in groups:
            judged += [group] if group.flags else self._spread_check.see(group)
        return judged

    def add_rows(
        self, rows: np.ndarray[Any, Any], pixels: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
    ) -> None:
        """Take rows (n,) of `row_dtype` that are finished, with their pixels (n, ny, nx), as they are.

        `ordinals` (n, k) are the places of their frames. `replaces` names rows of this file, which are not used then.
        """
        while len(rows):
            n = min(len(rows), self._blocks.n_free)
            into, images = self._blocks.next_rows(n)
            into[:], images[:] = rows[:n], pixels[:n]
            self.planned.restore(into, ordinals[:n, 0], self._n_rows)
            if isinstance(self._grouper, PositionGrouper):
                self._grouper.note(ordinals[:n], self._n_rows)
            self._n_rows += n
            self.flags.add(into["flags"], np.where(into["keep"] == 0, into["flags"], np.uint32(0)))
            self.energies.add(into["energy_eV"], np.zeros(n))
            self.exposure_s = float(into["exposure_s"][-1])
            self._blocks.append(n, ordinals[:n].ravel().tolist())
            rows, pixels, ordinals = rows[n:], pixels[n:], ordinals[n:]

    def add_salvaged(
        self, rows: np.ndarray[Any, Any], pixels: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
    ) -> None:
        """Take rows that an interrupted file has, as `add_rows`."""
        self.pixels.add_salvaged(rows["features"]["n_saturated"])
        self.corrections.salvaged(self._n_rows, len(rows))
        self.add_rows(rows, pixels, ordinals)

    def lacking(self, rows: np.ndarray[Any, Any], ordinals: npt.NDArray[np.int64]) -> list[Exposure]:
        """The exposures without pixels of those of the last rows (n,), just added, that lack entries of an array.

        Their rows are put right when they are known; they are left out where nobody knows which exposures were kept.
        """
        found: list[Exposure] = []
        for n in np.flatnonzero(rows["flags"] & WITHOUT_ENTRY).tolist():
            if kept := exposures_kept(rows[n], ordinals[n], self.pixels.grouping):
                own = int(rows["flags"][n]) & int(OF_THE_ROW)
                self._unsure.restore(self._n_rows - len(rows) + n, tuple(ordinals[n].tolist()), kept, own)
                found += kept
        return found

    def put_right(self, exposures: Sequence[Exposure]) -> None:
        """Follow rows whose positions are known only now, by these exposures without pixels, with rows that are right.

        All rows are in the file; a new one has the pixels and features of the one that it replaces.
        """
        unsure = self._unsure.known(exposures)
        for _, alike in groupby(unsure, key=lambda row: (len(row.ordinals), len(row.kept))):
            left = list(alike)
            while left:
                self._put_right(left[:MOST_READ])
                left = left[MOST_READ:]
        if unsure:
            self.drain()

    def _put_right(self, portion: Sequence[UnsureRow]) -> None:
        """Follow rows of as many frames each with those that are right."""
        places = [row.row for row in portion]
        rows, pixels = self._file.call(lambda file: file.read_rows(places))
        ordinals = self._padded(np.array([row.ordinals for row in portion], np.int64))
        more = np.zeros(len(portion), np.uint32)
        if isinstance(self.partition, ByPosition):
            is_between = [any(map(self.partition.is_between_positions, row.kept)) for row in portion]
            more = np.where(is_between, np.uint32(Flag.MOVING), np.uint32(0))
        self._enter_readbacks(rows, ordinals, ExposureColumns([row.kept for row in portion]), more)
        rows["replaces"] = places
        self._n_put_right += len(portion)
        self.add_rows(rows, pixels, ordinals)

    def portions(self, missing: Ordinals, most_frames: int) -> list[Ordinals]:
        """What is to be gathered once more for frames that are missing, in order: whole rows, some at a time."""
        if not isinstance(self._grouper, PositionGrouper):
            return self._grouper.partition.portions(missing, most_frames)
        self.release()
        self.drain()
        n_held = len(self._ledger.held())  # half of them must not be asked for: they tell whose the raw file is
        return self._grouper.portions(missing, min(most_frames, max(1, n_held // 2)))

    def reopen(self, portion: Ordinals) -> Ordinals:
        """Gather the rows of these frames, one of the `portions`, once more; the frames that may come late for it."""
        ordinals = self._grouper.reopen(portion)
        if isinstance(self._grouper, PositionGrouper):
            self.drain()
            self._before = ordinals, self._ledger.statuses(ordinals)
        self._ledger.reopen(ordinals)
        return ordinals

    def give_up(self, ordinals: Ordinals) -> None:
        """No more of these frames come: let go what has come of those of their rows that are not whole."""
        if isinstance(self._grouper, PositionGrouper):
            self._find_again(self._grouper)
            return
        given_up = self._grouper.give_up(ordinals)
        self._ledger.mark((lost.ordinal for lost in given_up), FrameStatus.INCOMPLETE)

    def _find_again(self, grouper: PositionGrouper) -> None:
        groups, as_before = grouper.found_again()
        ordinals, statuses = self._before
        is_so = np.isin(ordinals, as_before)
        self._ledger.put_back(ordinals[is_so], statuses[is_so])
        self._write(
            [group if group.flags or not self._combines else self._spread_check.judged(group) for group in groups]
        )

    def release(self) -> None:
        """There may be no more exposures: take those that wait for others, for the gaps or the usual step to be
        known."""
        self._take(self.pixels.release())
        if isinstance(self._grouper, PositionGrouper):
            self._write(self._judged(self._grouper.close()))
        self._write(list(self._spread_check.release()))

    def take_stored(self) -> None:
        """See `RowBlocks.take_stored`."""
        self._blocks.take_stored()

    def flush(self) -> None:
        """See `RowBlocks.flush`."""
        self._blocks.flush()

    def drain(self) -> None:
        """See `RowBlocks.drain`."""
        self._blocks.drain()

    def finish(self) -> None:
        """No more exposures: enter the groups that never filled, and settle the saturation mask."""
        self.release()
        self.drain()
        leftover = self._grouper.leftover()
        self._ledger.mark((exposure.ordinal for exposure in leftover), FrameStatus.INCOMPLETE)
        if isinstance(self._grouper, PositionGrouper):
            self._about_lost = tuple(_sentences_on_lost(self._grouper.are_amid(self._ledger.missing())))
        self.pixels.settle()

    def notes(self) -> Iterator[str]:
        """Remarks on the references, the pixels and the rows so far, in sentences."""
        yield from self._about_references
        yield from self.pixels.notes()
        yield from self.energies.notes()
        yield from self.conditions.notes()
        yield from self._spread_check.notes(self._question)
        yield from self._about_lost
        yield from self.planned.notes()
        yield from self.corrections.notes()
        if self._n_put_right:
            yield f"{counted(self._n_put_right, 'row')} put right by later rows, since readbacks came late"

    def _write(self, groups: Sequence[Group]) -> None:
        """Put complete groups into blocks."""
        if isinstance(self.partition, ByIndex):
            self._write_alike(groups)
            return
        for _, alike in groupby(groups, key=lambda group: len(group.exposures)):
            self._write_alike(list(alike))

    def _write_alike(self, groups: Sequence[Group]) -> None:
        """Put groups of as many exposures each into blocks."""
        while groups:
            n = self._blocks.n_free
            self._fill(groups[:n])
            groups = groups[n:]

    def _fill(self, groups: Sequence[Group]) -> None:
        """Reduce groups of as many exposures each into rows of the block, which has room for them."""
        exposures = ExposureColumns([group.exposures for group in groups])
        n, ordinals = len(groups), exposures.ordinals
        rows, pixels = self._blocks.next_rows(n)
        reduced, kept, is_measured = self.pixels.reduce(exposures, pixels, rows["features"])
        more = np.where(is_measured, np.uint32(0), np.uint32(Flag.INVALID))
        if any(flags := [group.flags for group in groups]):
            more |= np.array(flags, np.uint32)
        exposures.fill(rows)
        rows["exposure_s"] = reduced.exposure_s
        self.conditions.fill(rows)
        self._unsure.note(self._n_rows, exposures, kept, more.tolist(), self.is_unsure)
        position_flags, spreads_eV = self._enter_readbacks(rows, ordinals, kept, more)
        self.flags.add(rows["flags"], position_flags)
        self.energies.add(rows["energy_eV"], spreads_eV)
        self.planned.enter(rows, ordinals[:, 0], self._n_rows)
        if isinstance(self._grouper, PositionGrouper):
            ordinals = self._note_rows(self._grouper, groups, rows, ordinals)
        self._n_rows += n
        self.exposure_s = float(reduced.exposure_s[-1])
        self._blocks.append(n, ordinals.ravel().tolist(), exposures.received_s)

    def _note_rows(
        self, grouper: PositionGrouper, groups: Sequence[Group], rows: np.ndarray[Any, Any], ordinals: Ordinals
    ) -> Ordinals:
        """Enter what rows by position replace, and remember which frames they have; (n, k) places of these."""
        replaces = [group.replaces for group in groups]
        rows["replaces"] = replaces
        self.planned.replace([row for row in replaces if row >= 0])
        self._unsure.forget(replaces)
        grouper.note(ordinals, self._n_rows)
        return self._padded(ordinals)

    def _padded(self, ordinals: Ordinals) -> Ordinals:
        """Places (n, k) of the frames of rows that may have more."""
        n, k = ordinals.shape
        return np.concatenate([ordinals, np.full((n, self.partition.frames_per_row - k), NO_FRAME)], axis=1)

    def _enter_readbacks(
        self,
        rows: np.ndarray[Any, Any],
        ordinals: npt.NDArray[np.int64],
        kept: ExposureColumns,
        more: npt.NDArray[np.uint32],
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
        """Enter what the channels were, and what that is worth; `more` are flags beside those of the exposures.

        Gives the flags of the position, and how far the energies of a row lie apart, (n,) each.
        """
        flags, position_flags = (of_exposures | more for of_exposures in kept.flags())
        with np.errstate(over="ignore", invalid="ignore"):  # what a channel says may be no number
            (x_m, y_m), (energies_eV, spreads_eV) = kept.position_m(self._stage_map), kept.energy_eV()
        rows["x_m"], rows["y_m"], rows["energy_eV"] = x_m, y_m, energies_eV
        rows["position_uncertainty_m"], rows["bracket_s"] = kept.uncertainty_m(self._stage_map), kept.bracket_s()
        rows["flags"] = flags
        rows["keep"] = np.isfinite(x_m) & np.isfinite(y_m) & (position_flags == 0)
        if len(self._rejected) and isinstance(self.partition, ByIndex):
            rows["keep"] &= ~np.isin(self.partition.rows_of(ordinals[:, 0]), self._rejected)
        return position_flags, spreads_eV


def _sentences_on_lost(is_amid: npt.NDArray[np.bool_]) -> Iterator[str]:
    """Of frames that are in no row, in order, whether each lies amid those of one."""
    if n_amid := int(np.count_nonzero(is_amid)):
        yield f"{counted(n_amid, 'missing frame')} {agrees(n_amid, 'was')} taken amid the frames of one row"
    if n_between := len(is_amid) - n_amid:
        yield (
            f"{counted(n_between, 'missing frame')} {agrees(n_between, 'was')} taken between two rows: of which "
            "position, or of none, is not known"
        )
