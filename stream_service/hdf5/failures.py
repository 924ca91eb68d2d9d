"""Exceptions of h5py on a file that is damaged, or that was made to be, as a `SourceError`."""

from __future__ import annotations

from types import TracebackType

from stream_service.errors import SourceError
from stream_service.processes.reading import reading

HDF5_ERRORS = (OSError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError)
CHECKSUM = "incorrect metadata checksum after all read attempts"
"""What HDF5 says of metadata beyond the end of a file, which reads as zeros."""
COPY_AGAIN = "copy it again"
"""The advice on a file that is not whole; who advises something else leaves it out."""
LONGEST_REASON = 160
"""Characters of HDF5's own explanation that go into a message."""


class readable(reading):  # noqa: N801  (as `reading`)
    """Turn what h5py raises into a `SourceError` about `what`, which is being read within."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, HDF5_ERRORS):
            raise SourceError(f"{self.what} cannot be read: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """The first line of HDF5's own explanation, cut to a readable length."""
    if CHECKSUM in str(error):
        return f"it is damaged, or was not copied completely: {COPY_AGAIN}"
    lines = str(error).strip("'\" ").splitlines()
    return lines[0][:LONGEST_REASON] if lines else type(error).__name__
