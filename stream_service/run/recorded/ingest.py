"""Offline: the frames of a recording through the same run as live ones, into the same standard file.

The output gets its name only when it is whole; until then it has a temporary name beside it, which is removed if
anything goes wrong. A recording that is followed while it grows is the exception: its output is a file of a live run,
there from the first frame on for others to follow. Memory is bounded by a block of frames, whatever the size.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.errors import SourceError, WriteError
from stream_service.output_file import check_output, give_name, temporary_name
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_run import RecordedRun, time_stands_still
from stream_service.run.recorded.recorded_scan import RecordedScan, scan_name
from stream_service.run.recorded.recorded_setup import RecordedSetup
from stream_service.sources.recording import Recording
from stream_service.standard_file import StandardFile, write_error
from stream_service.text.counted import counted


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

    def give_its_name(file: StandardFile) -> None:
        if live:  # at once: it is followed from now on
            _name(output, partial, replace=force)
            file.has_moved(output)

    try:
        listener = listener or Listener()
        scan = RecordedScan(recording, settings)
        for note in scan.notes():
            listener.note(note)
        name = scan_name(recording, settings)
        setup = RecordedSetup(scan, name, partial, is_live=live, is_growing=live, on_open=give_its_name)
        recorded = RecordedRun(scan, setup, clock=time.monotonic if live else time_stands_still)
        try:
            outcome = _work(recorded, setup, recording, listener)
        except SourceError as error:
            if not live or not (rows := recorded.run.status().rows):
                raise
            raise SourceError(
                f"{error}; {output} keeps the {counted(rows, 'row')} before that, and is FAILED"
            ) from error
        if not live:
            _name(output, partial, replace=force)
        return outcome
    except WriteError as error:  # the hidden name says nothing to an operator
        raise WriteError(str(error).replace(str(partial), str(output))) from error
    finally:
        partial.unlink(missing_ok=True)


def _work(recorded: RecordedRun, setup: RecordedSetup, recording: Recording, listener: Listener) -> Outcome:
    n_told = 0

    def tell() -> None:
        nonlocal n_told
        n_there = recording.n_frames
        total = n_there if recording.n_expected is None else max(n_there, recording.n_expected)
        listener.progress(recorded.sources.frames.n_taken, total)
        for note in recording.notes[n_told:]:
            listener.note(note)
            n_told += 1

    recorded.work(tell)
    tell()
    for note in (*setup.doubts_at_end(), *recorded.closing_notes()):
        listener.note(note)
    run = recorded.run
    assert run.out is not None and run.verdict is not None, "a run that did not fail has a file and an account"
    return Outcome(
        run.verdict.account,
        run.out.file.n_rows,
        run.state,
        run.verdict.sentence,
        recorded.sources.frames.frames_per_s,
        run.out.pipeline.flags.sentence,
    )


def _name(output: Path, partial: Path, *, replace: bool) -> None:
    """Give the output its name. Raises `WriteError`."""
    try:
        give_name(partial, output, replace=replace)
    except OSError as error:
        raise write_error(output, "give the file its name", error) from error
