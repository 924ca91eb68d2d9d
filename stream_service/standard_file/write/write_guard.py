"""Guard of a file that is being written, which knows what it can still take: rows, its last words alone, or nothing.

What is wrong with the disk or the path ends the rows, not the file: room is reserved before anything is written, so
that a file for which there is none left is still closed with its account and the reason. Where HDF5 itself fails to
write, it is not asked again, because it crashes the process that does: state, reason and counts, which have their place
in the file from the start, are written there by plain system calls; the rows so far open with `swmr=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from stream_service.errors import WriteError
from stream_service.standard_file.schema import paths
from stream_service.standard_file.write.fixed_datasets import FixedDatasets
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.place_watch import PlaceWatch
from stream_service.standard_file.write.write_errors import HDF5_FAILURES, write_error


class WriteGuard:
    """Of one open file: each write asks it before, and tells it what failed."""

    def __init__(
        self,
        place: PlaceWatch,
        file: GuardedFile,
        fixed: FixedDatasets,
        withdraw: Callable[[], None],
        flush_bytes: int,
    ) -> None:
        """`withdraw` takes back rows that no reader can see yet; a flush adds `flush_bytes` beside the pixels."""
        self.failure: WriteError | None = None
        """Why no more rows can be written; None while they can."""
        self.is_open = True
        self.is_abandoned = False
        """HDF5 has failed to write, and is not asked again."""
        self._place = place
        self._file = file
        self._fixed = fixed
        self._withdraw = withdraw
        self._flush_bytes = flush_bytes

    def check_open(self) -> None:
        """Raises `WriteError` for a file that is closed."""
        if not self.is_open:
            raise WriteError(f"{self._place.path}: nothing can be written, the file is closed.")

    def check_can_grow(self) -> None:
        """Raises `WriteError` for a file that takes no more rows."""
        if self.failure is not None:
            raise WriteError(
                f"{self._place.path}: nothing more can be written after an earlier failure: {self.failure}"
            )
        self.check_open()

    @property
    def can_revise(self) -> bool:
        """True if HDF5 can write over what it has written."""
        return self.is_open and not self.is_abandoned

    def check_can_revise(self) -> None:
        """Raises `WriteError` for a file in which HDF5 does not write over anything any more."""
        if not self.can_revise:
            self.check_can_grow()

    def make_sure_of_room(self, n_bytes: int = 0) -> None:
        """Before HDF5 writes so many bytes, and a flush: its name leads to the file, and the disk has room for them.

        Raises `WriteError`; then the file takes no more rows, but is not spoilt.
        """
        try:
            self._place.check()
            self._reserve(n_bytes)
        except OSError as error:
            self._refuse(write_error(self._place.path, "write rows", error), error)
        except WriteError as error:
            self._refuse(error, None)

    def takes_extra(self, action: str, n_bytes: int) -> bool:
        """Whether HDF5 can write so many bytes beside the rows; if the disk lacks room for them, no row follows.

        Raises `WriteError` for the first thing that fails.
        """
        if self.is_abandoned:
            return False
        error = self.lacks_room_for(n_bytes)
        if error is not None and self.failure is None:
            self._refuse(write_error(self._place.path, action, error), error)
        return error is None

    def lacks_room_for(self, n_bytes: int) -> OSError | None:
        """Why there is no room for so many bytes, and a flush; None if there is."""
        try:
            self._reserve(n_bytes)
        except OSError as error:
            return error
        return None

    @contextmanager
    def writing(self, action: str) -> Iterator[None]:
        """Around whatever writes: a failure of HDF5 becomes a `WriteError`, and abandons the file."""
        self.check_open()
        try:
            yield
        except HDF5_FAILURES as error:
            if self.is_abandoned:  # and now plain writes fail as well: there is nothing left to try
                return
            failure = write_error(self._place.path, action, error)
            self._abandon(failure)
            raise failure from error

    def _reserve(self, n_bytes: int) -> None:
        self._file.reserve(n_bytes + self._flush_bytes)

    def _refuse(self, failure: WriteError, cause: Exception | None) -> NoReturn:
        self.failure = failure
        with suppress(WriteError), self.writing("take back rows"):
            self._withdraw()
        raise failure from cause

    def _abandon(self, failure: WriteError) -> None:
        """Leave what is known in the file."""
        self.failure = self.failure or failure
        self.is_abandoned = True
        self._file.abandon(keep_fd=True)
        with suppress(OSError):
            self._fixed.replace_text(paths.STATE, "FAILED")
            self._fixed.replace_text(paths.MESSAGE, str(failure))
