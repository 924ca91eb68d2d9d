"""Set-up of a run: what is checked and resolved before its first frame, and the creation of its file with that one.

Live it is made of a profile and a request (`LiveSetup`), else of a recording and its options (`RecordedSetup`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from stream_service.cancellation import Cancellation
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.stream import Begin
from stream_service.run.journal import RunJournal
from stream_service.run.past import Past
from stream_service.run.rows.sink import Sink
from stream_service.run.rules import RunRules
from stream_service.run.run_file import RunFile
from stream_service.run.sources import RawFrames


class RunSetup(Protocol):
    """The set-up of one run."""

    scan_id: str
    path: Path
    """Of the file, whether it exists or not."""
    rules: RunRules
    n_planned: int | None
    """Frames that are to come; None if nobody knows."""
    n_extra: int
    """Frames that may come beyond them."""
    n_shares: int
    """Services among which the frames of the detector are divided; 1: this one gets all."""
    n_rows_expected: int | None
    notes: tuple[str, ...]
    """What is to be said before the first frame, in sentences; complete after `prepare`."""

    def check(self, cancellation: Cancellation) -> None:
        """Checks that need no source. Raises `PtychostreamError`."""
        ...

    def prepare(self, begin: Begin) -> None:
        """What needs the sources connected, and the facts of the series: so the first frame need not wait.

        Raises `PtychostreamError`.
        """
        ...

    @property
    def journal(self) -> RunJournal:
        """What is written of it, so that it can be resumed."""
        ...

    def past(self) -> Past:
        """What the run brings along; called once, when it is prepared. Raises `PtychostreamError`."""
        ...

    def exposure_of(self, frame: Frame) -> float:
        """Exposure time of a frame in seconds; NaN if nobody says it."""
        ...

    def open(self, frame: Frame, ledger: Ledger, sinks: Iterable[Sink]) -> RunFile:
        """Create the file for frames like this one; its rows go on to the `sinks`. Raises `PtychostreamError`."""
        ...

    def open_raw_file(self) -> RawFrames:
        """The raw file of the run, which has what the stream has lost. Raises `SourceError` if there is none; what
        that says may be empty, where nobody expects one."""
        ...

    def see(self, exposure: Exposure) -> None:
        """Called with every exposure that goes into the file. Raises `PtychostreamError` if that cannot be meant."""
        ...

    def check_end(self) -> None:
        """Called when all exposures are in the file. Raises `PtychostreamError` likewise."""
        ...
