"""Offline: the frames of a recording through the same pipeline as live ones, into the same standard file.

The output gets its name only when it is whole; until then it has a temporary name beside it, which is removed if
anything goes wrong. A recording that is followed while it grows is the exception: its output is a file of a live run,
there from the first frame on for others to follow. Memory is bounded by a block of frames, whatever the size.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stream_service.core.ending import true_reason
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameTime
from stream_service.core.intake import Entered, Intake
from stream_service.core.ledger import Account, Arrival, FrameStatus, Ledger
from stream_service.core.pairing.pairer import channels_followed
from stream_service.core.plausibility import ScanGeometry, scan_doubts
from stream_service.core.run import EndReason, RunState
from stream_service.errors import ConfigError, PtychostreamError, SourceError, WriteError
from stream_service.interruption import at_steps_only
from stream_service.output_file import check_output, give_name, temporary_name
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.read_ahead import ReadAhead
from stream_service.run.recorded.recorded_channels import RecordedChannels, channels_of
from stream_service.run.recorded.recorded_clock import check_clocks
from stream_service.run.recorded.recorded_extent import check_names_of_frames
from stream_service.run.recorded.recorded_facts import notes_on_facts
from stream_service.run.recorded.recorded_file import open_recorded_file
from stream_service.run.recorded.recorded_pairing import RecordedPairing
from stream_service.run.recorded.recorded_rows import RowsOfFrames
from stream_service.run.recorded.scan_name import scan_name
from stream_service.run.rows.group_check import JUDGED_GROUPS, check_groups
from stream_service.run.run_file import RunFile
from stream_service.run.status import describe_account
from stream_service.sources.recording import Recording
from stream_service.standard_file.write.write_errors import write_error

TELL_S = 0.1
"""How often progress is told, and, for a followed recording, how often rows become visible."""

MOST_UPDATES = 1 << 16
"""Readbacks written at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of an ingest."""

    account: Account
    rows: int
    state: RunState
    """COMPLETE or INCOMPLETE, as in the file."""
    sentence: str
    """The account in words, with the ids that are missing."""
    frames_per_s: float
    """From the first frame to the last, without what a process needs to begin."""
    flagged: str
    """How many rows are flagged and why, in words; empty if none is."""


class Listener:
    """Receiver of what an ingest tells while it works; here nobody listens."""

    def progress(self, done: int, total: int | None) -> None:
        """Frames done, and frames there are as far as that is known; a few times a second."""

    def note(self, text: str) -> None:
        """A sentence the operator should read."""


def ingest(
    recording: Recording,
    output: Path,
    settings: IngestSettings,
    *,
    force: bool = False,
    live: bool = False,
    listener: Listener | None = None,
) -> Outcome:
    """Make a standard file of a recording; `live` for one that is followed, so that readers may follow the output.

    Raises `SourceError` (the input), `ConfigError` (the settings), `WriteError` (the output).
    """
    check_output(output, force=force, inputs=[recording.path])
    partial = temporary_name(output)
    name = _Name(output, replace=force)
    try:
        outcome = _Ingest(recording, settings, listener or Listener()).write(partial, name, live=live)
        if not live:
            name.give(partial)
        return outcome
    except WriteError as error:  # the hidden name says nothing to an operator
        raise WriteError(str(error).replace(str(partial), str(output))) from error
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Name:
    """Name of the output."""

    path: Path
    replace: bool

    def give(self, unfinished: Path) -> None:
        """Call it so. Raises `WriteError`."""
        try:
            give_name(unfinished, self.path, replace=self.replace)
        except OSError as error:
            raise write_error(self.path, "give the file its name", error) from error


class _Ingest:
    """One recording on its way into one file."""

    def __init__(self, recording: Recording, settings: IngestSettings, listener: Listener) -> None:
        self._recording = recording
        self._settings = settings
        self._listener = listener
        self._facts = settings.facts_of(recording.facts)
        first_id = settings.first_unique_id
        self._ledger = Ledger(recording.first_unique_id if first_id is None else first_id, None)
        self._rows: RowsOfFrames | None = None
        self._n_notes_told = 0
        self._frames_per_s = 0.0
        self._told_s = -math.inf

    def write(self, path: Path, name: _Name, *, live: bool) -> Outcome:
        """All frames into a new file at `path`; a live one is given its name as soon as it is made."""
        recording, settings = self._recording, self._settings
        frames = recording.frames()
        if settings.readbacks and settings.readbacks.rows:
            self._rows = RowsOfFrames(recording, settings.readbacks.rows, settings)
            frames = self._rows.attach(frames)
        first = next(frames, None)
        if first is None:
            raise SourceError(f"{recording.path} ({recording.layout}) holds no frames")
        channels = channels_of(recording, settings, first.attributes)
        in_log = settings.readbacks.notes if settings.readbacks else ()
        for note in (*channels.notes, *notes_on_facts(settings, recording, first.attributes), *in_log):
            self._listener.note(note)
        self._facts = replace(
            self._facts, exposure_s=self._exposure_of(first), energy_eV=self._energy_of(first, channels)
        )
        by_time = channels_followed(channels.rules)
        if settings.readbacks and by_time:
            exposure_s = 0.0 if math.isnan(self._facts.exposure_s) else self._facts.exposure_s
            for note in check_clocks(
                recording, settings.readbacks, by_time, self._frame_time(), exposure_s, first.timestamp_ns
            ):
                self._listener.note(note)
        with at_steps_only():
            out = open_recorded_file(
                path,
                scan_name(recording, settings),
                recording,
                settings,
                channels,
                self._facts,
                self._ledger,
                first,
                live=live,
            )
            return self._fill(out, itertools.chain((first,), frames), channels, name if live else None)

    def _fill(
        self, out: RunFile, frames: Iterator[Frame], channels: RecordedChannels, live_name: _Name | None
    ) -> Outcome:
        """From the first frame to the closed file; `live_name` is the name under which readers follow it."""
        live = live_name is not None
        try:
            if live_name is not None:
                live_name.give(out.file.path)
                out.file.has_moved(live_name.path)
            out.enter_state(RunState.RECEIVING)
            self._store(frames, out, channels, live=live)
            return self._finish(out)
        except BaseException as error:
            if live:  # the rows so far are kept, and say how they ended
                has_failed = isinstance(error, Exception)
                with suppress(PtychostreamError):
                    out.pipeline.release()
                    self._ledger.close()
                    out.close(
                        RunState.FAILED if has_failed else RunState.ABORTED,
                        EndReason.FAILED if has_failed else EndReason.ABORTED,
                        str(error) if has_failed else "",
                    )
            raise
        finally:
            out.file.close()

    def _store(self, frames: Iterator[Frame], out: RunFile, channels: RecordedChannels, *, live: bool) -> None:
        pairing = RecordedPairing(channels.rules, self._frame_time(), self._settings.readbacks)
        constants = {} if channels.has("energy") else {"energy": self._facts.energy_eV}
        recording, preprocessing = self._recording, self._settings.preprocessing
        has_timestamps = recording.has_timestamps
        intake = Intake(self._ledger)
        done, began_s = 0, time.monotonic()

        def add(decided: list[Entered]) -> None:
            for frame, receipt in decided:
                if receipt.arrival is not Arrival.NEW:
                    continue
                exposure = pairing.pair(frame, receipt, self._exposure_of(frame))
                out.pipeline.add(_with(exposure, constants))
                if not live and out.pipeline.spread.n_judged == JUDGED_GROUPS:
                    check_groups(out.pipeline.spread, preprocessing, recording.path)

        with ReadAhead(frames) as ahead:
            for batch in ahead.batches(TELL_S):
                for frame in batch:
                    add(intake.admit(frame, None if has_timestamps else done))
                    done += 1
                if self._is_time_to_tell(done) and live:
                    out.flush()
        add(intake.decide(None, is_last=True))
        self._frames_per_s = done / max(time.monotonic() - began_s, 1e-9)
        if not live and out.pipeline.spread.n_judged < JUDGED_GROUPS:
            check_groups(out.pipeline.spread, preprocessing, recording.path)
        for note in (*(self._rows.notes() if self._rows else ()), *pairing.notes()):
            self._listener.note(note)
        updates = pairing.updates()
        while some := tuple(itertools.islice(updates, MOST_UPDATES)):
            out.record(some)
            out.pipeline.flush()

    def _finish(self, out: RunFile) -> Outcome:
        recording, ledger = self._recording, self._ledger
        self._tell(recording.n_frames)
        try:
            check_names_of_frames(recording, self._settings, out.pipeline.frames_per_row)
        except ConfigError as error:  # of a recording that grew; what is closed was refused before
            self._listener.note(str(error))
        out.enter_state(RunState.DRAINING)
        out.pipeline.finish()
        for note in (*out.pipeline.notes(), *self._scan_doubts(out)):
            self._listener.note(note)
        if recording.n_expected is not None:
            ledger.expect(recording.n_expected)
        account = ledger.close(recording.n_exposed)
        missing = ledger.ranges_with(FrameStatus.LOST, FrameStatus.INCOMPLETE)
        sentence = describe_account(account, missing, out.file.n_rows)
        state = RunState.COMPLETE if account.is_complete else RunState.INCOMPLETE
        reason = true_reason(EndReason.RECORDING_READ, account, is_planned=recording.n_expected is not None)
        out.close(state, reason, "; ".join((sentence, *out.pipeline.notes())))
        return Outcome(account, out.file.n_rows, state, sentence, self._frames_per_s, out.pipeline.flags.sentence)

    def _scan_doubts(self, out: RunFile) -> Iterator[str]:
        """Doubts about the scan as a whole, by the rows that are used."""
        optics = self._settings.profile.optics if self._settings.profile else None
        latest = out.pipeline.latest_slot
        if latest is None:
            return
        geometry = ScanGeometry(
            energy_eV=out.pipeline.energies.energy_eV,
            det_dist_m=self._facts.det_dist_m,
            pixel_m=self._facts.pixel_m * self._settings.preprocessing.bin,
            frame_shape=(latest.shape[0], latest.shape[1]),
            is_near_field=None if optics is None else optics.propagation == "near_field",
            defocus_m=None if optics is None else optics.defocus_m,
        )
        for doubt in scan_doubts(geometry, out.pipeline.used_positions_m):
            yield f"the scan {doubt.message} ({doubt.correction})"

    def _frame_time(self) -> FrameTime:
        profile = self._settings.profile
        return profile.detector.frame_time.to_core() if profile else FrameTime()

    def _exposure_of(self, frame: Frame) -> float:
        """Exposure time by the operator; else by the frame; else by the recording."""
        if math.isfinite(self._settings.facts.exposure_s):
            return self._settings.facts.exposure_s
        profile = self._settings.profile
        name = self._recording.exposure_attribute or (profile.detector.exposure_attribute if profile else "")
        own = frame.attributes.get(name)
        if isinstance(own, int | float) and 0 <= own < math.inf:
            return float(own)
        return self._facts.exposure_s

    def _energy_of(self, first: Frame, channels: RecordedChannels) -> float:
        """Energy that readers find before the end, when it becomes that of the rows."""
        for rule in channels.rules:
            own = first.attributes.get(rule.attribute)
            if rule.name == "energy" and isinstance(own, int | float) and math.isfinite(own):
                return own * rule.scale
        return self._facts.energy_eV

    def _is_time_to_tell(self, done: int) -> bool:
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_S:
            return False
        self._told_s = now_s
        self._tell(done)
        return True

    def _tell(self, done: int) -> None:
        recording = self._recording
        n_there = recording.n_frames
        total = n_there if recording.n_expected is None else max(n_there, recording.n_expected)
        self._listener.progress(done, total)
        for note in recording.notes[self._n_notes_told :]:
            self._listener.note(note)
        self._n_notes_told = len(recording.notes)


def _with(exposure: Exposure, constants: dict[str, float]) -> Exposure:
    return replace(exposure, values={**exposure.values, **constants}) if constants else exposure
