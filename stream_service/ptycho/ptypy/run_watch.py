"""The run behind a file that grows: how far it is, whether it has ended, whether its writer still lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream_service.errors import SourceError
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at, number_in, text_in
from stream_service.text.counted import counted

LOOK_S = 0.5
"""Between two looks at the file."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time-outs for files and rows that may never come, in seconds."""

    file_s: float = 3600.0
    """For the file, and its first row."""
    heartbeat_s: float = 30.0
    """For a sign of life of the writer: it counts on ten times a second, row or no row."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class RunWatch:
    """Looks at the file at `path` now and then, and never keeps it open."""

    def __init__(self, path: Path, timeouts: Timeouts, also: AlsoBelow = NOWHERE_ELSE) -> None:
        self._path, self._timeouts, self._also = path, timeouts, also
        self._scan: ScanFile | None = None
        self._end_reason = ""
        self._heartbeat = -1
        self._beat_at = timeouts.clock()
        self._looked_at = -LOOK_S

    def look(self) -> ScanFile | None:
        """The file as it is now, or was half a second ago; None while it is not there."""
        now = self._timeouts.clock()
        if now - self._looked_at >= LOOK_S and self._path.exists():
            self._looked_at = now
            self._read(now)
        return self._scan

    def _read(self, now: float) -> None:
        try:
            scan = ScanFile.read(self._path, self._also)
            with scan.open() as file:
                heartbeat = number_in(dataset_at(file, paths.HEARTBEAT)) or 0
                self._end_reason = text_in(dataset_at(file, paths.END_REASON)) or ""
        except (OSError, SourceError):
            if self._scan is None:
                raise
            return  # caught in the middle of a write: the next look will do
        self._scan = scan
        if heartbeat != self._heartbeat:
            self._heartbeat, self._beat_at = int(heartbeat), now

    @property
    def writer_is_silent(self) -> bool:
        """The run has not ended, and nothing has been written for too long."""
        has_ended = self._scan is not None and self._scan.has_ended
        return not has_ended and self._timeouts.clock() - self._beat_at > self._timeouts.heartbeat_s

    def wait_for_rows(self, n_rows: int, tell: Callable[[str], None]) -> None:
        """Wait for the file and so many rows, or the end of the run.

        Raises `SourceError` when there is nothing to wait for any more.
        """
        deadline_s = self._timeouts.clock() + self._timeouts.file_s
        is_told = False
        while True:
            scan = self.look()
            if scan is not None and (scan.n_rows >= n_rows or scan.has_ended):
                return
            if scan is not None and self.writer_is_silent:
                raise SourceError(
                    f"{self._path} has {counted(scan.n_rows, 'row')}, and nothing is written to it: is its writer dead?"
                )
            if self._timeouts.clock() > deadline_s:
                waited = f"{self._timeouts.file_s:g} s"
                raise SourceError(
                    f"{self._path}: too few rows after {waited}: does the scan run, and is this its file?"
                )
            if not is_told:
                tell(f"waiting for {self._path}" + (f" and {n_rows} rows of it" if n_rows > 1 else ""))
                is_told = True
            self._timeouts.sleep(0.1)

    def wait_for_end(self) -> None:
        """Wait until the run has ended, or its writer is dead: PtyPy may have every row before the account is made."""
        while (scan := self.look()) is None or not (scan.has_ended or self.writer_is_silent):
            self._timeouts.sleep(0.1)

    def what_became(self) -> str:
        """End of the run, in a sentence."""
        scan = self._scan
        assert scan is not None
        if not scan.has_ended:
            return f"the writer of {self._path} fell silent after {counted(scan.n_rows, 'row')}"
        reason = f" ({self._end_reason})" if self._end_reason else ""
        return f"the run is {scan.state} with {scan.n_rows} of {scan.n_rows_expected} rows{reason}"
