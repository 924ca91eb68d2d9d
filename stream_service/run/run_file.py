"""The file of a run and what fills it, made when the first frame shows its shape and type.

The shape is taken from the frame and not from PVs: a readout ROI that was changed since the last frame would otherwise
be noticed too late. What can be checked earlier (folder, references) is checked when the run is armed.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.core.conditions import Conditions
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.readback import Readback
from stream_service.core.partition import ByIndex, ByPosition
from stream_service.core.run import RunOutcome, RunState
from stream_service.kernels import FrameReducer
from stream_service.qc import Evaluator
from stream_service.run.journal import FileBegin
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.pipeline import RowPipeline
from stream_service.run.rows.planned_positions import PlannedPositions
from stream_service.run.rows.planned_rows import PlannedRows
from stream_service.run.rows.row_quality import RowQuality, stored_verdicts
from stream_service.run.rows.side_sinks import SideSinks
from stream_service.run.rows.sink import Sink
from stream_service.run.rows.visited_positions import VisitedPositions
from stream_service.run.settings import RunSettings
from stream_service.standard_file import LEDGER_COUNTS, FileHeader, LedgerColumns, StandardFile

SUFFIX = "_std.h5"
COUNTS_S = 0.25
"""Between two accounts in the file while the run goes on; one costs 0.1 ms."""
MOST_UPDATES = 1 << 16
"""Readbacks that wait to be written."""
RECORDED_VERSIONS = ("ptychostream", "numpy", "numba", "h5py", "p4p", "pyepics", "caproto")


@dataclass(slots=True)
class RunFile:
    """An open file, and the pipeline that fills it."""

    file: FileThread
    pipeline: RowPipeline
    quality: RowQuality
    ledger: Ledger
    axis_signs: tuple[int, int]
    """Of a stored frame, see `FileHeader`."""
    begin: FileBegin
    _counted_s: float = -math.inf
    _updates: list[Readback] = field(default_factory=list)
    """Not on their way into the file yet."""
    _has_room_for_verdicts: bool = True
    """Of the thread of the file."""

    @property
    def side_sinks(self) -> SideSinks:
        """Sinks beside the file."""
        return self.pipeline.side_sinks

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of what stands beside the rows, in sentences."""
        if self._has_room_for_verdicts:
            return self.side_sinks.notes
        about_verdicts = (
            "the disk had no room for verdicts, and those in the file are not the last ones: free space, and let "
            "`ptychostream evaluate` judge the rows of the file"
        )
        return (*self.side_sinks.notes, about_verdicts)

    def accepts(self, pixels: np.ndarray[Any, Any]) -> bool:
        """True for a frame of the shape and type with which the run began."""
        return pixels.shape == self.begin.raw_shape and pixels.dtype == self.begin.dtype

    def record(self, updates: Collection[Readback]) -> None:
        """Enter readbacks as they came."""
        self._updates += updates
        self.pipeline.conditions.add(updates)
        if len(self._updates) >= MOST_UPDATES:  # a long log beside few frames
            self._flush_rows()

    def enter_state(self, state: RunState) -> None:
        """Let readers know where the run is, after the next flush."""
        self.file.post(lambda file: file.set_state(state.value))

    def flush(self) -> None:
        """Let the rows so far become visible to readers; and some times a second, the account as it stands."""
        self._flush_rows()
        now_s = time.monotonic()
        if now_s - self._counted_s >= COUNTS_S:
            self._counted_s = now_s
            counts = ledger_counts(self.ledger)
            self.file.post(lambda file: file.write_counts(counts))

    def set_clock_offsets(self, offsets_s: Mapping[str, float]) -> None:
        """Enter by how much the clocks of channels were ahead of that of the frames."""
        self.file.call(lambda file: file.set_clock_offsets(offsets_s))

    def _flush_rows(self) -> None:
        self._post_updates()
        self._post_verdicts()
        self.pipeline.flush()
        self._leave_out_replaced()

    def _post_verdicts(self) -> None:
        for verdicts in self.quality.take():
            first, table = verdicts.first, stored_verdicts(verdicts)
            self.file.post(partial(self._write_verdicts, first=first, table=table))

    def _write_verdicts(self, file: StandardFile, *, first: int, table: np.ndarray[Any, Any]) -> None:
        """In the thread of the file."""
        if self._has_room_for_verdicts:
            self._has_room_for_verdicts = file.write_verdicts(first, table)

    def _leave_out_replaced(self) -> None:
        """Rows that others replace are not used any more, once readers have those."""
        if replaced := self.pipeline.planned.take_replaced():
            self.file.post(partial(StandardFile.leave_out, rows=replaced))

    def _post_updates(self) -> None:
        updates, self._updates = self._updates, []
        if updates:
            self.file.post(lambda file: _add_readbacks(file, updates))

    def close(self, outcome: RunOutcome) -> None:
        """Write the last rows, the account and how the run ended, and close the file; then the sinks beside it.

        A run whose file cannot be closed is closed once more, as one that has FAILED.
        """
        try:
            self._close_file(outcome)
        except BaseException:
            if outcome.state is RunState.FAILED:  # there is no second attempt
                try:
                    self.file.call(lambda file: file.close())
                finally:
                    self.file.end()
                    self.side_sinks.finish(outcome)
            raise
        self.file.end()
        self.side_sinks.finish(outcome)

    def _close_file(self, outcome: RunOutcome) -> None:
        if self.file.failure is None:
            self._post_updates()
            self.pipeline.drain()
            self._leave_out_replaced()
            self.side_sinks.attempt(self.quality, self.quality.end)
            self._post_verdicts()
        elif outcome.state is RunState.FAILED:
            self.file.forget()
            if self.file.can_revise:
                self._leave_out_replaced()
        ledger = ledger_columns(self.ledger)
        energy_eV, exposure_s = self.pipeline.energies.energy_eV, self.pipeline.exposure_s

        def end(file: StandardFile) -> None:
            file.write_ledger(ledger)
            file.set_scalars(
                energy_eV=energy_eV if math.isfinite(energy_eV) else None,
                exposure_s=exposure_s if math.isfinite(exposure_s) else None,
            )
            file.finish(outcome)

        self.file.call(end)


def _add_readbacks(file: StandardFile, updates: Iterable[Readback]) -> None:
    for update in updates:
        file.add_readback(update.channel, update.value, update.timestamp_ns)


def ledger_columns(ledger: Ledger) -> LedgerColumns:
    """The account as the file holds it."""
    epochs, unique_ids, statuses, n_received = ledger.columns()
    return LedgerColumns(epochs, unique_ids, statuses, n_received, ledger_counts(ledger))


def ledger_counts(ledger: Ledger) -> dict[str, int]:
    """The numbers of the account that the file holds."""
    counts = asdict(ledger.account())
    return {name: counts[name] for name in LEDGER_COUNTS}


def open_run_file(
    path: Path,
    settings: RunSettings,
    reducer: FrameReducer,
    ledger: Ledger,
    begin: FileBegin,
    *,
    sinks: Iterable[Sink] = (),
    swmr: bool = True,
) -> RunFile:
    """Create the standard file of a run; with `swmr` it is readable from this moment on.

    The rows that are in the file go on to the `sinks`.
    """
    preprocessing, partition = settings.preprocessing, settings.partition
    is_sum = preprocessing.grouping == "sum" and isinstance(partition, ByIndex)  # else it differs from row to row
    header = FileHeader(
        scan_id=settings.scan_id,
        frame_shape=reducer.out_shape,
        energy_eV=begin.energy_eV,
        det_dist_m=settings.det_dist_m,
        pixel_m=settings.pixel_m * preprocessing.bin,
        exposure_s=begin.exposure_s * (partition.frames_per_row if is_sum else 1),
        start_timestamp_ns=begin.start_timestamp_ns,
        frames_per_row=partition.frames_per_row,
        n_rows_expected=settings.n_rows_expected,
        mask=reducer.mask,
        dark=reducer.dark_applied,
        flat=reducer.flat_applied,
        planned_m=settings.planned_m,
        channels=settings.channels,
        settings=settings.record,
        versions=versions(),
        optics=settings.optics,
        sample=settings.sample,
        saturation_value=preprocessing.sat,
        center=reducer.geometry.center,
        axis_signs=settings.axis_signs,
    )
    evaluator = Evaluator(settings.quality, reducer.out_shape, settings.energy_eV)
    quality = RowQuality(evaluator, is_followed=swmr)
    file = FileThread(StandardFile.create(path, header, swmr=swmr))
    pipeline = RowPipeline(
        file,
        reducer,
        ledger,
        settings.stage_map,
        partition,
        preprocessing.sat_fraction,
        settings.rejected,
        allow_spread=preprocessing.allow_spread,
        gaps=preprocessing.gaps,
        about_references=settings.about_references,
        planned=planned_rows_of(settings),
        conditions=Conditions(
            {channel.name: channel.unit for channel in settings.channels},
            settings.frame_time,
            min_ring_current_mA=settings.quality.min_ring_current_mA,
            open_when=settings.quality.shutter_open_when,
        ),
        sinks=(quality, *sinks),
    )
    return RunFile(file, pipeline, quality, ledger, settings.axis_signs, begin)


def planned_rows_of(settings: RunSettings) -> PlannedPositions:
    """Those of a run, by what tells its rows."""
    if isinstance(settings.partition, ByPosition):
        return VisitedPositions(settings.planned_m)
    return PlannedRows(
        settings.partition,
        settings.rows_per_position,
        settings.n_positions,
        settings.n_extra_frames,
        settings.planned_m,
    )


@cache
def versions() -> dict[str, str]:
    """The software that made a file."""
    return {name: version(name) for name in RECORDED_VERSIONS} | {"python": platform.python_version()}
