"""Set-up of a run that goes on after its service was killed: its journal, its interrupted files, and the new one.

The file that was left behind gets another name, and stays until the run has ended with all of its rows in the new one.
So whatever moment it is killed at again, every row is in one of them.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.cancellation import Cancellation
from stream_service.core.frame import NS_PER_S
from stream_service.core.run import END_STATES, EndReason, RunState
from stream_service.core.stream import Begin
from stream_service.errors import SourceError, WriteError
from stream_service.hdf5.opening import writer_flags
from stream_service.run.live.beamline_monitors import BeamlineMonitors
from stream_service.run.live.live_journal import LiveJournal
from stream_service.run.live.live_settings import readback_columns
from stream_service.run.live.live_setup import LiveSetup, possible_s
from stream_service.run.live.live_sources import LiveSources
from stream_service.run.live.run_trial import check_space
from stream_service.run.live.unfinished_run import UnfinishedRun
from stream_service.run.past import Past, merged_readbacks
from stream_service.run.rows.interrupted_rows import InterruptedFile
from stream_service.run.rows.pixel_reduction import KnownPixels
from stream_service.settings.profile import Profile
from stream_service.settings.service_status import NO_RUN, RunStatus, Severity
from stream_service.standard_file import SalvagedRows, repair_file
from stream_service.text.counted import counted

log = logging.getLogger(__name__)

INTERRUPTED = "_interrupted_"
"""Before the number, in the name of a file that was left behind."""

OpenInterrupted = Callable[[Path, Cancellation], InterruptedFile]


def salvaged_rows(path: Path, cancellation: Cancellation) -> InterruptedFile:
    """Its writer is known to be dead: this is the one daemon of its prefix."""
    return SalvagedRows(path, is_left=True, cancellation=cancellation)


class ResumedSources(LiveSources):
    """Those of a run that goes on: its series has begun long ago."""

    def __init__(self, profile: Profile, monitors: BeamlineMonitors, begin: Begin, *, is_over: bool = False) -> None:
        """Of a run that `is_over` nothing comes: ids of another scan would look like its own."""
        super().__init__(profile, monitors)
        self._begin = replace(begin, is_counted=False, counter_before=None) if is_over else begin
        self._is_over = is_over

    def connect(self, cancellation: Cancellation) -> None:
        """See `LiveSources.connect_again`."""
        if not self._is_over:
            self.connect_again(cancellation)

    def begin(self) -> Begin:
        """As it was when the run was armed."""
        return self._begin

    def doubts(self) -> list[str]:
        """Nothing is to be said anew."""
        return []


class ResumedSetup(LiveSetup):
    """The set-up of an unfinished run."""

    def __init__(
        self,
        profile: Profile,
        unfinished: UnfinishedRun,
        sources: LiveSources,
        over_because: str = "",
        open_interrupted: OpenInterrupted = salvaged_rows,
    ) -> None:
        """`over_because` says why it takes no more frames, in a sentence; empty if it does."""
        super().__init__(profile, unfinished.armed.request, sources)
        self.journal = LiveJournal.of(unfinished.path, profile, unfinished.armed.request)
        self._unfinished = unfinished
        self._over_because = over_because
        self._open_interrupted = open_interrupted
        self._cancellation = Cancellation()
        began = unfinished.began
        if began is not None:
            self._exposure_s = possible_s(began.to_begin().exposure_s)

    def check(self, cancellation: Cancellation) -> None:
        """See `LiveSetup.check`. Raises `SourceError` for a run that is closed instead: its references were changed."""
        self._cancellation = cancellation
        super().check(cancellation)
        before, now = self._unfinished.armed.references, self.journal.references
        changed = [kind for kind in sorted({*before, *now}) if before.get(kind) != now.get(kind)]
        if changed and self._unfinished.began is not None:
            why = (
                f"{self.scan_id} does not go on, since its {' and '.join(changed)} changed while the service was away: "
                f"{self.path} is closed with its rows of before"
            )
            self._close_as_it_is(why)
            raise SourceError(why)

    def check_place(self) -> None:
        """Its file is there."""

    def prepare(self, begin: Begin) -> None:
        """Make the kernel for its frames, as far as they are known."""
        if not self._over_because:
            self._armed_exposure_s = self._asked_exposure_s()
        if (began := self._unfinished.began) is not None:
            self._reducer_for(began.raw_shape, np.dtype(began.dtype))

    def past(self) -> Past:
        """Give the file that was left behind another name, and read what it and those before it have."""
        reader = ThreadPoolExecutor(1, "salvage")
        try:
            files, unreadable = reader.submit(self._interrupted_files).result()
        except BaseException:
            reader.shutdown()
            raise
        unfinished = self._unfinished
        began, drains = unfinished.began, unfinished.drains
        n_rows = _n_different(files)
        notes = [f"the service was started again, and goes on with {counted(n_rows, 'row')} of before", *unreadable]
        if n_damaged := sum(max(0, file.n_announced - len(file.rows)) for file in files):
            notes.append(f"{counted(n_damaged, 'row')} of before cannot be read: the file is damaged, or was cut short")
        if began is not None and not files and not unreadable:
            notes.append(f"its file {self.path} was not there any more")
        if not unfinished.knows_saturated:
            notes.append("pixels that saturated first late before that are not in the mask")
        notes += filter(None, (self._over_because,))
        end_reason = EndReason.SERVICE_AWAY if self._over_because else None
        file_begin = began.to_begin() if began is not None else None
        return Past(
            reopen=None if file_begin is None else lambda ledger, sinks: self._open(file_begin, ledger, sinks),
            pixels=self._known_pixels(files) if unfinished.knows_gaps else None,
            armed_ago_s=max(0.0, (time.time_ns() - unfinished.armed.armed_ns) / NS_PER_S),
            epochs=tuple(unfinished.epochs),
            n_announced=unfinished.n_announced,
            reached=unfinished.reached,
            repeats=unfinished.repeats,
            end_reason=end_reason if drains is None else drains.reason,
            n_exposed=None if drains is None else drains.n_exposed,
            arrays_before=unfinished.arrays_before,
            interrupted=tuple(files),
            reader=reader,
            readbacks=merged_readbacks(files, frozenset(column.name for column in readback_columns(self._profile))),
            unheard=tuple(unfinished.unheard),
            notes=tuple(notes),
        )

    def _known_pixels(self, files: list[InterruptedFile]) -> KnownPixels:
        flags = None
        for file in files:
            if file.pixel_mask is not None:
                flags = file.pixel_mask if flags is None else flags | file.pixel_mask
        return KnownPixels(self._unfinished.is_gap, flags, self._unfinished.is_saturated)

    def _interrupted_files(self) -> tuple[list[InterruptedFile], list[str]]:
        """Those that can be read, the oldest first, and sentences on the others."""
        try:
            if os.path.lexists(self.path):
                self._see_whether_it_has_ended()
                self.path.rename(next(free_names(self.path)))
            paths = interrupted_paths(self.path)
        except OSError as error:
            raise WriteError(f"{self.path} cannot be given another name, to go on: {error.strerror}") from error
        files: list[InterruptedFile] = []
        unreadable = []
        for path in paths:
            try:
                file = self._open_interrupted(path, self._cancellation)
                if self._is_of_another_run(file):
                    file.close()
                    raise SourceError(f"{path} is of another run of this name: its rows are left in it")
                if self._reducer is not None and file.frame_shape != self._reducer.out_shape:
                    file.close()
                    raise SourceError(f"{path} has frames of another shape than the run: its rows are left in it")
                files.append(file)
            except SourceError as error:
                log.warning("%s", error)
                unreadable.append(str(error))
            except BaseException:
                for file in files:
                    file.close()
                raise
        try:  # a run that began without it would fail, and could not be resumed
            check_space(self.path, sum(4 * len(file.rows) * math.prod(file.frame_shape) for file in files))
        except WriteError:
            for file in files:
                file.close()
            raise
        return files, unreadable

    def _close_as_it_is(self, why: str) -> None:
        if os.path.lexists(self.path) and writer_flags(self.path):
            repair_file(self.path)
        self.journal.ended(self._status(RunState.ABORTED, message=why))

    def _status(self, state: RunState, **facts: Any) -> RunStatus:
        """Of the run, which has ended so."""
        severity = Severity.NONE if state is RunState.COMPLETE else Severity.MINOR
        number, file = self._unfinished.number or 0, str(self.path)
        return replace(
            NO_RUN, run_number=number, scan_id=self.scan_id, state=state, file=file, severity=severity, **facts
        )

    def _see_whether_it_has_ended(self) -> None:
        """Put the file of a run that has ended in order, and raise `SourceError`; also where it is of another run.

        A service with another prefix may be writing that.
        """
        try:
            file = self._open_interrupted(self.path, self._cancellation)
        except SourceError:  # that is told when it has another name
            return
        file.close()
        if self._is_of_another_run(file):
            why = (
                f"{self.scan_id} does not go on, since {self.path} is of another run of this name, and is left as it is"
            )
            if paths := interrupted_paths(self.path):
                why += f": its rows of before are in {' and '.join(path.name for path in paths)}"
            self.journal.ended(self._status(RunState.ABORTED, message=why))
            raise SourceError(why)
        if file.state not in {state.value for state in END_STATES}:
            return
        if writer_flags(self.path):
            repair_file(self.path)
        state, n_rows = RunState(file.state), len(file.rows)
        account = replace(NO_RUN.account, **file.counts)
        facts = {"end_reason": file.end_reason, "message": file.message, "rows": n_rows, "account": account}
        status = self._status(state, **facts, rows_expected=self.n_rows_expected or 0)
        self.journal.ended(status, interrupted_paths(self.path) if state is RunState.COMPLETE else ())
        raise SourceError(f"{self.path} is {file.state}: it was closed when the service was killed")

    def _is_of_another_run(self, file: InterruptedFile) -> bool:
        """True for a file that another run of the same name has left; all files of one run tell the same begin."""
        began, start_ns = self._unfinished.began, file.start_timestamp_ns
        is_same = began is not None and start_ns in (0, began.start_timestamp_ns)  # 0: it is lost
        return len(file.rows) > 0 and not is_same


def _n_different(files: Sequence[InterruptedFile]) -> int:
    """Rows by their first frames: a file that was written while the one before was salvaged has some of its rows."""
    firsts = [np.stack([file.rows[name][:, 0] for name in ("epoch", "unique_id")], axis=1) for file in files]
    return len(np.unique(np.concatenate(firsts), axis=0)) if firsts else 0


def interrupted_paths(path: Path) -> list[Path]:
    """The interrupted files of a run, the oldest first."""
    pattern = re.compile(re.escape(path.stem + INTERRUPTED) + r"(\d{1,6})" + re.escape(path.suffix))
    found: dict[int, Path] = {}
    with suppress(FileNotFoundError):
        for candidate in path.parent.iterdir():
            if match := pattern.fullmatch(candidate.name):
                found[int(match[1])] = candidate
    return [found[number] for number in sorted(found)]


def free_names(path: Path) -> Iterator[Path]:
    """Names for an interrupted file, after those that there are."""
    taken = [int(found.stem.rpartition("_")[2]) for found in interrupted_paths(path)]
    number = max(taken, default=0)
    while True:
        number += 1
        candidate = path.with_name(f"{path.stem}{INTERRUPTED}{number}{path.suffix}")
        if not os.path.lexists(candidate):
            yield candidate
