"""New frames of a run in, rows of its file out: they meet their readbacks, and the first one makes the file."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.lost_frames import misordered_frames, shifted_frames
from stream_service.core.pairing.hardware_arrays import WITHOUT_ENTRY
from stream_service.core.pairing.readback import Readback
from stream_service.core.receipt import Receipt
from stream_service.core.run import RunOutcome, RunState
from stream_service.errors import PtychostreamError
from stream_service.qc.scan_values import ScanTable, ScanValues, scan_values
from stream_service.run.pairing import Pairing
from stream_service.run.past import Past
from stream_service.run.rows.interrupted_rows import InterruptedBlock, InterruptedRows
from stream_service.run.rows.judged_rows import JudgedRows, NewsListener
from stream_service.run.rows.latest_row import LatestRow, ShownRow
from stream_service.run.rows.sink import Sink
from stream_service.run.run_file import RunFile
from stream_service.run.setup import RunSetup
from stream_service.run.sources import Sources
from stream_service.settings.service_status import LatestRowStatus

log = logging.getLogger(__name__)

FLUSH_S = 0.05
"""Rows become visible to readers at least this often; a flush takes half a millisecond of the file's thread."""
MOST_PAIRED = 64
"""Exposures that are handed over at once, from one turn of the run."""
MAX_EARLY_READBACKS = 100_000
"""Updates kept between arming and the first frame, when the file is made."""
UNCHECKED = (
    "no row can be flagged in the file any more: the positions in it could not be checked as a whole, and some may be "
    "those of neighbours (`ptychostream ingest` of the raw file tells)"
)


class RunRows:
    """The rows of one run; used in its thread only, but for `out` and `shown_row`."""

    def __init__(
        self,
        setup: RunSetup,
        sources: Sources,
        clock: Callable[[], float],
        sinks: Sequence[Sink],
        listeners: Sequence[NewsListener] = (),
    ) -> None:
        """`sinks` get the rows that are in the file, beside the map of the scan; `listeners` the verdicts on them."""
        self.out: RunFile | None = None
        """The file, from the first frame on."""
        self._scan = ScanTable()
        self.pairing = Pairing(setup.rules, sources.readbacks, sources.budget_bytes)
        self._setup = setup
        self._readbacks = sources.readbacks
        self._clock = clock
        self._latest = LatestRow(clock)
        self._sinks = (self._scan, self._latest, *sinks)
        self._listeners = listeners
        self.judged: JudgedRows | None = None
        """Rows with their verdicts, from the first frame on; None where nobody follows the file."""
        self._past = Past()
        self._interrupted = InterruptedRows()
        self._paired: list[Exposure] = []
        """Those that are not handed over yet."""
        self._early_readbacks: deque[Readback] = deque(maxlen=MAX_EARLY_READBACKS)
        self._last_flush_at = 0.0
        self._n_unheard_told = 0
        self._are_corrected = False

    @property
    def shown_row(self) -> ShownRow | None:
        """See `LatestRow.shown`."""
        return self._latest.shown

    @property
    def latest(self) -> LatestRowStatus:
        """See `LatestRow.status`."""
        return self._latest.status

    @property
    def row_bytes(self) -> int:
        """What a row takes in the file; 0 before there is one."""
        return 0 if self.out is None else self.out.pipeline.row_bytes

    @property
    def n_scanned(self) -> int:
        """Rows that `scan_values` are of."""
        return len(self._scan.rows())

    def scan_values(self) -> ScanValues | None:
        """What maps show of the rows so far, as an evaluation of the file has it; None without a file."""
        return None if self.out is None else scan_values(self._scan.rows(), self.out.axis_signs)

    def problem_with(self, frame: Frame) -> str:
        """Reason why a frame cannot be one of this run, in a sentence; empty if there is none."""
        if self.out is None or self.out.accepts(frame.pixels):
            return ""
        return (
            f"frame {frame.unique_id} is {frame.pixels.shape} {frame.pixels.dtype}, but the run began with "
            f"{self.out.begin.raw_shape} {self.out.begin.dtype}: the readout must not change during a run"
        )

    def add(self, frame: Frame, receipt: Receipt, ledger: Ledger) -> None:
        """Take a frame that the ledger calls new."""
        if self.out is None:
            log.info("writing %s", self._setup.path)
            self._begin_file(self._setup.open(frame, ledger, self._sinks))
        is_in_order = not frame.is_backfilled or ledger.is_in_order(receipt.ordinal)
        self.pairing.add(frame, receipt, self._setup.exposure_of(frame), self._clock(), is_in_order=is_in_order)

    def go_on(self, past: Past, interrupted: InterruptedRows, ledger: Ledger) -> None:
        """Take the past of the run, once, before its first frame; `interrupted` are its rows.

        Raises `PtychostreamError`.
        """
        self._past, self._interrupted = past, interrupted
        self.pairing.arrays.go_on(past.arrays_before)
        for ordinal, stamp_ns in interrupted.stamps():
            self.pairing.arrays.add_frame(ordinal, stamp_ns)
        self.pairing.restore(past.readbacks, past.unheard)
        self._n_unheard_told = len(past.unheard)
        if not self._setup.rules.is_in_order:
            self._record_readbacks()
        if past.reopen is not None:
            log.info("writing %s, in which the run goes on", self._setup.path)
            self._begin_file(past.reopen(ledger, self._sinks))

    @property
    def is_salvaging(self) -> bool:
        """True while rows of the past are to follow that can be had."""
        return self.out is not None and not self._interrupted.is_done

    def salvage(self, ledger: Ledger) -> None:
        """Let some more rows of the past follow, if they have been read. Never waits for them."""
        if self.out is None or self._interrupted.is_done:
            return
        if (block := self._interrupted.take(self.out.pipeline.n_rows)) is not None:
            self.out.pipeline.add_salvaged(*block)
            self._restore(block)
        if self._interrupted.failure:
            log.warning("%s", self._interrupted.failure)
            ledger.reopen(self._interrupted.left())

    def _restore(self, block: InterruptedBlock) -> None:
        """Tell the arrays which frames have rows already; those that lack entries may be put right."""
        if self.out is None or not list(self.pairing.arrays):
            return
        lacks = (block.rows["flags"] & WITHOUT_ENTRY) != 0
        for lack_entries in (True, False):
            of_them = block.ordinals[lacks == lack_entries]
            self.pairing.arrays.restore(of_them.ravel().tolist(), lack_entries=lack_entries)
        self.pairing.arrays.put_right_later(self.out.pipeline.lacking(block.rows, block.ordinals))

    def superseded(self) -> tuple[Path, ...]:
        """Interrupted files of which every row is in the file, once that is closed; none where no file was made."""
        has_all = self.out is not None and self._interrupted.has_all
        return tuple(file.path for file in self._interrupted.files) if has_all else ()

    def pair(self) -> None:
        """Enter what the channels did, and store the frames that are known by that, or can wait no longer.

        A record goes on for a frame that waits only: the histories do not hold all of it.
        """
        if self._setup.rules.is_in_order and not len(self.pairing):
            return
        self._record_readbacks()
        self._store(self.pairing.ready(self._clock()))
        while len(self.pairing) and self._readbacks.go_on():
            self._record_readbacks()
            self._store(self.pairing.ready(self._clock()))
        are_told = self._setup.rules.is_in_order and not self.pairing.arrays.wait_for_frames
        assert not (are_told and len(self.pairing)), "a record has told all, and a frame waits"

    def publish(self, now_s: float) -> None:
        """Make rows of what is paired, and make them visible, if it is time to; those that are go on to the sinks."""
        self._hand_over()
        if self.out is None:
            return
        self.out.pipeline.take_stored()
        if now_s - self._last_flush_at < FLUSH_S:
            return
        self._last_flush_at = now_s
        self.out.flush()

    def finish(self, n_exposed: int, *, is_certain: bool = True, is_aborted: bool = False) -> None:
        """No more frames, of `n_exposed` that were made: the last rows, and what is known of all of them.

        Rows whose readbacks came late are put right, unless the run is aborted. Not `is_certain`: nobody has told how
        many were made, and the last ones may be lost.
        """
        self._readbacks.finish()
        self._record_readbacks()
        self._hand_over()
        if self.out is not None:
            self.out.pipeline.finish()
            self._correct(self.out, n_exposed, is_cut_off=is_aborted, is_certain=is_certain)

    def release(self) -> None:
        """The run has failed: the last rows that can still be had."""
        if self.out is not None:
            for step in (self._hand_over, self.out.pipeline.release, self.out.pipeline.drain):
                with suppress(PtychostreamError):  # the file may be what failed
                    step()

    def check(self, n_exposed: int) -> Iterator[str]:
        """The run has failed: flag the rows that are in the file, as far as it can be; what was, in sentences.

        Raises `PtychostreamError`.
        """
        out = self.out
        if out is None or self._are_corrected:
            return
        out.file.forget()
        if out.file.call(lambda file: file.can_revise):
            self._correct(out, n_exposed, is_cut_off=True)
            yield from out.pipeline.corrections.notes()
        elif list(self.pairing.arrays):
            yield UNCHECKED

    def enter_state(self, state: RunState) -> None:
        """Let readers of the file know where the run is."""
        if self.out is not None and not state.has_ended:
            self.out.enter_state(state)

    def close(self, outcome: RunOutcome) -> None:
        """Close the file with the end of the run in it, and then the sinks."""
        self._interrupted.close()
        if self.out is not None:
            self.out.close(outcome)

    def notes(self) -> Iterator[str]:
        """Remarks on the rows so far, in sentences."""
        yield from self._past.notes
        if self._interrupted.n_left and not self._interrupted.failure:
            names = ", ".join(file.path.name for file in self._interrupted.files)
            yield f"{self._interrupted.n_left} of these rows are only in {names} still"
        if self._interrupted.failure:
            yield self._interrupted.failure
        if self.out is not None:
            yield from self.pairing.notes()
            yield from self.out.pipeline.notes()
            yield from self.out.notes

    @property
    def n_missed(self) -> int:
        """Rows whose position nobody heard, because the service was away."""
        return self.out.pipeline.n_unheard if self.out is not None and self._past.is_any else 0

    @property
    def side_notes(self) -> tuple[str, ...]:
        """See `RunFile.notes`."""
        return () if self.out is None else self.out.notes

    def _correct(self, out: RunFile, n_exposed: int, *, is_cut_off: bool, is_certain: bool = True) -> None:
        """Correct the rows in the file by what is known at the end; none follows one that ends before its time."""
        self.pairing.arrays.conclude(n_exposed, is_cut_off=is_cut_off or not is_certain)
        if not is_cut_off:
            out.pipeline.put_right(self.pairing.known_late())
        corrections = out.pipeline.corrections
        if self._setup.rules.are_positions_by_time:
            corrections.stepped, corrections.n_unproven = self.pairing.refuted, self.pairing.n_unproven
        if self.pairing.arrays.are_positions_counted:
            corrections.misordered = misordered_frames(out.ledger)
            corrections.shifted = shifted_frames(out.ledger, n_exposed, self.pairing.arrays.n_counted)
        corrections.write(self.pairing.arrays)
        self._are_corrected = True
        out.set_clock_offsets(self.pairing.clock_offsets_s())

    def _begin_file(self, out: RunFile) -> None:
        past, self.out = self._past, out
        self._setup.journal.began(out.begin)
        self._setup.journal.arrays_before(self.pairing.arrays.held_before)
        out.pipeline.is_waiting = self.pairing.is_waiting
        if past.pixels is not None:
            out.pipeline.pixels.go_on_with(past.pixels)
        out.pipeline.pixels.on_gaps = self._setup.journal.found_gaps
        out.pipeline.pixels.on_saturated = self._setup.journal.saturated
        if past.repeats:
            out.pipeline.planned.announce(past.repeats)
        self._interrupted.foresee(out.pipeline.planned.foresee)
        out.pipeline.is_unsure = self.pairing.is_unsure
        if out.quality.is_followed:
            self.judged = JudgedRows(
                self._listeners, out.pipeline.planned.rows_per_position, n_shares=self._setup.n_shares
            )
            out.quality.let_follow(self.judged)
        out.record(past.readbacks)
        out.record(self._early_readbacks)
        self._early_readbacks.clear()

    def _record_readbacks(self) -> None:
        for updates in self.pairing.take_readbacks():
            self._tell_unheard()
            if self.out is None:
                self._early_readbacks.extend(updates)
            else:
                self.out.record(updates)

    def _tell_unheard(self) -> None:
        """Enter into the journal what the record of the channels will not tell, before that is written."""
        if len(stretches := self.pairing.unheard) > self._n_unheard_told:
            self._setup.journal.unheard(stretches[self._n_unheard_told :])
            self._n_unheard_told = len(stretches)

    def _store(self, exposures: list[Exposure]) -> None:
        self._paired += exposures
        if len(self._paired) >= MOST_PAIRED:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let what is paired become rows: many at once cost less."""
        paired, self._paired = self._paired, []
        if paired:
            assert self.out is not None, "a frame was paired before there was a file"
            for exposure in paired:
                self._setup.see(exposure)
            self.out.pipeline.conditions.gone = frozenset(self.pairing.gone)
            self.out.pipeline.add(paired)
            self.pairing.beside_bytes = self.out.pipeline.held_bytes
