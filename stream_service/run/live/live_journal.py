"""Writing of the journal of a live run: a file of lines, which a killed service leaves behind.

Policy. The file is made when the run is armed, on the disk for certain before the first frame; a run of auto mode has
it from its first frame on. What is added later is left to the operating system: it outlives the process, and a machine
that fails takes as much of the standard file. Where a line cannot be written the journal is removed, and that is told:
the run goes on, and could not be resumed rightly. How the run ended is kept as that of the last run of its service.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from stream_service.core.epoch import Epoch, Reached
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.readback import Unheard
from stream_service.core.run import EndReason
from stream_service.core.stream import Begin
from stream_service.errors import WriteError
from stream_service.run.journal import FileBegin
from stream_service.run.live import journal_lines as lines
from stream_service.run.live.journal_file import MOST_BYTES, JournalFile, sync
from stream_service.run.live.last_run import write_last_run
from stream_service.run.live.live_settings import file_path
from stream_service.run.run_file import versions
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import RunStatus
from stream_service.standard_file import write_error

log = logging.getLogger(__name__)

SUFFIX = ".jsonl"
NOTHING_RECEIVED = Reached(0, 0, 0, 0)


def journal_folder(profile: Profile) -> Path:
    """Where the journals of a service are."""
    service = profile.service
    return (service.journal_root or service.data_root / ".ptychostream") / quote(service.prefix, safe="")


class LiveJournal:
    """Of one run; see `RunJournal`."""

    def __init__(self, profile: Profile, request: ScanRequest, *, is_auto: bool = False) -> None:
        """Nothing is written before the run is armed."""
        self.request = request
        self.references: Mapping[str, str] = {}
        """To be set before the run is armed."""
        self.problem = ""
        """See `RunJournal`."""
        self._profile = profile
        self._is_auto = is_auto
        self._series: lines.Series | None = None
        self._path: Path | None = None
        """None while there was none."""
        self._is_resumed = False
        self._tells_saturated = True
        self._file: JournalFile | None = None
        """None while there is none, or when it was given up."""
        self._lock = threading.Lock()

    @classmethod
    def of(cls, path: Path, profile: Profile, request: ScanRequest) -> LiveJournal:
        """That of a run that is resumed."""
        journal = cls(profile, request)
        journal._path, journal._is_resumed = path, True
        return journal

    def armed(self, begin: Begin) -> None:
        """See `RunJournal`; of a run that is resumed, it says so."""
        if self._path is not None:
            try:
                self._file = JournalFile.reopened(self._path)
            except OSError as error:
                self._give_up(self._path, error)
            self._add(lines.Resumed(version=versions()["ptychostream"], resumed_ns=time.time_ns()))
            return
        self._series = lines.Series.of(begin)
        if not self._is_auto:
            self._create()

    def disarmed(self) -> None:
        """See `RunJournal`."""
        with self._lock:
            path, self._path, file, self._file = self._path, None, self._file, None
        if file is not None:
            file.close()
        if path is not None and not self._is_resumed:
            _remove(path)

    def numbered(self, number: int) -> None:
        """See `RunJournal`."""
        self._add(lines.Numbered(number=number))

    def began(self, begin: FileBegin) -> None:
        """See `RunJournal`."""
        if self._is_auto:
            try:
                self._create()
            except WriteError as error:
                self._tell(str(error))
        self._add(lines.Began.of(begin))

    def arrays_before(self, held: Mapping[str, Held]) -> None:
        """See `RunJournal`."""
        if held:
            self._add(lines.ArraysBefore(held=dict(held)))

    def found_gaps(self, is_gap: npt.NDArray[np.bool_] | None) -> None:
        """See `RunJournal`."""
        has_any = is_gap is not None and bool(is_gap.any())
        self._add(lines.FoundGaps(bits=lines.packed(is_gap) if is_gap is not None and has_any else None))

    def counted(self, first: int, epochs: Sequence[Epoch], n_announced: int) -> None:
        """See `RunJournal`."""
        self._add(lines.Counted(first=first, epochs=list(epochs), n_announced=n_announced))

    def unheard(self, stretches: Sequence[Unheard]) -> None:
        """See `RunJournal`."""
        self._add(lines.NotHeard(stretches=list(stretches)))

    def saturated(self, are_new: npt.NDArray[np.bool_]) -> None:
        """See `RunJournal`; half of the journal is left for other lines."""
        if not self._tells_saturated:
            return
        self._tells_saturated = self._file is None or self._file.n_bytes < MOST_BYTES // 2
        bits = lines.packed(are_new) if self._tells_saturated else None
        self._add(lines.Saturated(shape=(are_new.shape[0], are_new.shape[1]), bits=bits))

    def reached(self, reached: Reached) -> None:
        """See `RunJournal`."""
        self._write(lines.Received.of(reached), JournalFile.write_over)

    def repeats(self, positions: Sequence[int]) -> None:
        """See `RunJournal`."""
        self._add(lines.Repeats(positions=tuple(positions)))

    def drains(self, reason: EndReason, n_exposed: int | None) -> None:
        """See `RunJournal`."""
        self._add(lines.Drains(reason=reason, n_exposed=n_exposed))

    def ended(self, status: RunStatus, superseded: Sequence[Path] = ()) -> None:
        """See `RunJournal`."""
        with self._lock:
            path, self._path, file, self._file = self._path, None, self._file, None
        if path is None:
            return
        write_last_run(path.parent, status)
        removed = superseded if superseded and self._is_on_disk() else ()
        if file is not None:
            _end(file, removed)
        remove_superseded(removed)
        _remove(path)

    def _is_on_disk(self) -> bool:
        """Bring the run's file to the disk, before others that have some of its rows are removed."""
        path = file_path(self._profile, self.request)
        try:
            sync(path)
            sync(path.parent)
        except OSError as error:
            log.warning("interrupted files stay beside %s, which cannot be synced: %s", path, error.strerror)
            return False
        return True

    def _create(self) -> None:
        assert self._series is not None, "the run is armed"
        armed_ns = time.time_ns()
        path = journal_folder(self._profile) / f"{self.request.scan_id}-{armed_ns}{SUFFIX}"
        first = lines.Armed(
            version=versions()["ptychostream"],
            armed_ns=armed_ns,
            profile=self._profile.model_dump(mode="json"),
            references=dict(self.references),
            request=self.request,
            series=self._series,
            is_auto=self._is_auto,
        )
        try:
            self._file = JournalFile.create(
                path, lines.encoded(first), lines.encoded(lines.Received.of(NOTHING_RECEIVED))
            )
        except OSError as error:
            _remove(path)
            raise write_error(path, "write the journal of the run", error) from error
        self._path = path

    def _add(self, line: lines.Line) -> None:
        self._write(line, JournalFile.add)

    def _write(self, line: lines.Line, write: Callable[[JournalFile, bytes], None]) -> None:
        with self._lock:
            if self._file is None:
                return
            try:
                write(self._file, lines.encoded(line))
            except OSError as error:
                file, self._file = self._file, None
                _end(file)
                self._give_up(file.path, error)

    def _give_up(self, path: Path, error: OSError) -> None:
        _remove(path)
        self._tell(f"its journal {path} cannot be written: {error.strerror}")

    def _tell(self, why: str) -> None:
        self.problem = f"the run could not be resumed after a crash of the service: {why}"
        log.warning("%s", self.problem)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _end(file: JournalFile, superseded: Sequence[Path] = ()) -> None:
    """Let a journal say that its run does not go on, so that nobody resumes it where it cannot be removed; close it."""
    with suppress(OSError):
        file.end(lines.encoded(lines.Ended(superseded=[each.name for each in superseded])))
    file.close()


def remove_superseded(files: Sequence[Path]) -> None:
    """Remove interrupted files of which everything is in a file that is on the disk by then."""
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s is not needed any more and cannot be removed: %s", file, error.strerror)
