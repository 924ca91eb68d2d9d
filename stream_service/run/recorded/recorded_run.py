"""A run over a recording, worked on to its end: what ingest and replay do alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import stream_service.run
from stream_service.core.plausibility import ScanGeometry, scan_doubts
from stream_service.errors import SourceError
from stream_service.interruption import at_steps_only, raise_if_interrupted
from stream_service.qc.used_positions import UsedPositions
from stream_service.run.recorded.recorded_scan import RecordedScan
from stream_service.run.recorded.recorded_setup import RecordedSetup
from stream_service.run.recorded.recorded_sources import Pauses, RecordedSources, no_pause
from stream_service.run.rows.sink import Sink
from stream_service.run.run import Run

TELL_S = 0.1
"""How often progress is told."""


def time_stands_still() -> float:
    """The clock of a run over a recording that is whole: nothing is ever late, and no reader waits for rows."""
    return 0.0


@contextmanager
def _without_log() -> Iterator[None]:
    """The log is the service's; what it says of a run over a recording is raised here, or a note."""
    log = logging.getLogger(stream_service.run.__name__)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


class RecordedRun:
    """One recording on its way into one file."""

    def __init__(
        self,
        scan: RecordedScan,
        setup: RecordedSetup,
        pauses: Pauses = no_pause,
        clock: Callable[[], float] = time.monotonic,
        sinks: tuple[Sink, ...] = (),
    ) -> None:
        self.sources = RecordedSources(scan, pauses)
        self._used = UsedPositions()
        self.run = Run(setup, self.sources, clock, sinks=(self._used, *sinks))
        self._scan = scan

    def work(self, on_tick: Callable[[], None]) -> None:
        """From arming to the closed file; `on_tick` is called some times a second.

        Raises what ended it early: then its file holds the rows so far. An interruption aborts it.
        """
        with at_steps_only(), _without_log():
            self.run.arm()
            self.run.start()
            try:
                while not self.run.join(TELL_S):
                    raise_if_interrupted()
                    on_tick()
            finally:
                self.run.abort()  # does nothing to a run that has ended
                self.run.join()
        if self.run.failure is not None:
            raise self.run.failure
        if self.run.out is None and self.run.verdict is not None:
            raise SourceError(
                f"{self._scan.recording.path}: no frame can be stored, so there is no file: {self.run.verdict.sentence}"
            )

    def closing_notes(self) -> Iterator[str]:
        """Notes on frames, rows and the scan as a whole; to be read when it has ended."""
        if self.run.verdict is not None:
            yield from self.run.verdict.dropped
        yield from self._scan.closing_notes()
        if self.run.out is not None:
            yield from self.run.out.pipeline.notes()
            yield from self.run.out.notes
            yield from self._scan_doubts()

    def _scan_doubts(self) -> Iterator[str]:
        """Doubts about the scan as a whole, by the rows that are used."""
        assert self.run.out is not None, "a run without a file says nothing"
        pipeline, settings, facts = self.run.out.pipeline, self._scan.settings, self._scan.facts
        optics = settings.profile.optics if settings.profile else None
        if not self.run.out.file.n_rows:
            return
        geometry = ScanGeometry(
            energy_eV=pipeline.energies.energy_eV,
            det_dist_m=facts.det_dist_m,
            pixel_m=facts.pixel_m * settings.preprocessing.bin,
            frame_shape=pipeline.pixels.frame_shape,
            is_near_field=None if optics is None else optics.propagation == "near_field",
            defocus_m=None if optics is None else optics.defocus_m,
        )
        for doubt in scan_doubts(geometry, self._used.positions_m):
            yield f"the scan {doubt.message} ({doubt.correction})"
