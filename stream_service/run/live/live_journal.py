"""Writing of the journal of a live run: a file of lines, which a killed service leaves behind.

Policy. The file is made when the run is armed, on the disk for certain before the first frame; a run of auto mode has
it from its first frame on. What is added later costs nothing per frame, and is left to the operating system: it
outlives the process, and a machine that fails takes as much of the standard file. Where a line cannot be written the
journal is removed: the run goes on, and could not be resumed rightly.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from stream_service.core.epochs import Epoch
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.run import EndReason
from stream_service.core.stream import Begin
from stream_service.errors import WriteError
from stream_service.run.journal import FileBegin
from stream_service.run.live.journal_lines import (
    Armed,
    ArraysBefore,
    Began,
    Counted,
    Drains,
    Ended,
    FoundGaps,
    Line,
    Numbered,
    Repeats,
    Resumed,
    Series,
)
from stream_service.run.live.live_settings import file_path
from stream_service.run.run_file import versions
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.standard_file import write_error

log = logging.getLogger(__name__)

SUFFIX = ".jsonl"


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
        self._profile = profile
        self._is_auto = is_auto
        self._is_resumed = False
        self._series: Series | None = None
        self._path: Path | None = None
        """None while there is no file, or when it was given up."""
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
            with suppress(OSError):  # then nothing can be written to it, which is told next
                _cut_torn_line(self._path)
            self._write(Resumed(version=versions()["ptychostream"], resumed_ns=time.time_ns()))
            return
        self._series = Series.of(begin)
        if not self._is_auto:
            self._create()

    def disarmed(self) -> None:
        """See `RunJournal`."""
        if not self._is_resumed:
            self.ended()

    def numbered(self, number: int) -> None:
        """See `RunJournal`."""
        self._write(Numbered(number=number))

    def began(self, begin: FileBegin) -> None:
        """See `RunJournal`."""
        if self._is_auto:
            try:
                self._create()
            except WriteError as error:
                log.warning("the run could not be resumed after a crash: %s", error)
        self._write(Began.of(begin))

    def arrays_before(self, held: Mapping[str, Held]) -> None:
        """See `RunJournal`."""
        if held:
            self._write(ArraysBefore(held=dict(held)))

    def found_gaps(self, is_gap: npt.NDArray[np.bool_] | None) -> None:
        """See `RunJournal`."""
        has_any = is_gap is not None and bool(is_gap.any())
        self._write(FoundGaps(bits=packed(is_gap) if is_gap is not None and has_any else None))

    def counted(self, first: int, epochs: Sequence[Epoch], n_announced: int) -> None:
        """See `RunJournal`."""
        self._write(Counted(first=first, epochs=list(epochs), n_announced=n_announced))

    def repeats(self, positions: Sequence[int]) -> None:
        """See `RunJournal`."""
        self._write(Repeats(positions=tuple(positions)))

    def drains(self, reason: EndReason, n_exposed: int | None) -> None:
        """See `RunJournal`."""
        self._write(Drains(reason=reason, n_exposed=n_exposed))

    def ended(self, superseded: Sequence[Path] = ()) -> None:
        """See `RunJournal`."""
        with self._lock:
            path, self._path = self._path, None
        if path is None:
            return
        if superseded and self._is_on_disk():
            with suppress(OSError):
                _append(path, Ended(superseded=[file.name for file in superseded]))
            remove_superseded(superseded)
        with suppress(OSError):
            path.unlink()

    def _is_on_disk(self) -> bool:
        """Bring the run's file to the disk, before others that have some of its rows are removed."""
        path = file_path(self._profile, self.request)
        try:
            _sync(path)
            _sync(path.parent)
        except OSError as error:
            log.warning("interrupted files stay beside %s, which cannot be synced: %s", path, error.strerror)
            return False
        return True

    def _create(self) -> None:
        assert self._series is not None, "the run is armed"
        armed_ns = time.time_ns()
        path = journal_folder(self._profile) / f"{self.request.scan_id}-{armed_ns}{SUFFIX}"
        line = Armed(
            version=versions()["ptychostream"],
            armed_ns=armed_ns,
            profile=self._profile.model_dump(mode="json"),
            references=dict(self.references),
            request=self.request,
            series=self._series,
            is_auto=self._is_auto,
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(_encoded(line))
                file.flush()
                os.fsync(file.fileno())
            _sync(path.parent)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise write_error(path, "write the journal of the run", error) from error
        self._path = path

    def _write(self, line: Line) -> None:
        with self._lock:
            if self._path is None:
                return
            try:
                _append(self._path, line)
            except OSError as error:
                log.warning("the run could not be resumed after a crash: %s: %s", self._path, error.strerror)
                with suppress(OSError):
                    self._path.unlink()
                self._path = None


def packed(is_gap: npt.NDArray[np.bool_]) -> str:
    """A mask as text."""
    return base64.b64encode(zlib.compress(np.packbits(is_gap).tobytes())).decode()


def remove_superseded(files: Sequence[Path]) -> None:
    """Remove interrupted files of which everything is in a file that is on the disk by then."""
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s is not needed any more and cannot be removed: %s", file, error.strerror)


def _append(path: Path, line: Line) -> None:
    """In one write: a process that is killed leaves a line whole or not at all, as long as there is room."""
    text = _encoded(line)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        if os.write(fd, text) != len(text):
            raise OSError(28, "no room for a line")
    finally:
        os.close(fd)


def _cut_torn_line(path: Path) -> None:
    """Cut off a last line that was not written to its end: the next one would not be one of its own."""
    with path.open("r+b") as file:
        text = file.read()
        file.truncate(text.rfind(b"\n") + 1)


def _encoded(line: Line) -> bytes:
    return line.model_dump_json().encode() + b"\n"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
