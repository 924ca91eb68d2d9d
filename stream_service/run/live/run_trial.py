"""The file of a run, made and removed again when the run is armed: whatever cannot be written is refused then.

It is made in a folder of its own beside where the real one will be, by the same code, from the same request, for frames
like the last ones; a detector that has sent none yet is tried with small frames.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream_service.core.ledger import Ledger
from stream_service.core.run import EndReason, RunOutcome, RunState
from stream_service.errors import ConfigError, WriteError
from stream_service.kernels import FrameReducer
from stream_service.run.journal import FileBegin
from stream_service.run.run_file import open_run_file
from stream_service.run.settings import RunSettings

LEAST_FREE_BYTES = 64 << 20
"""Of a disk that is to take a run: the file's own tree, readbacks and a few seconds of rows."""
NOT_STORABLE = (ValueError, TypeError, OverflowError, UnicodeError)
"""What h5py and json raise for a value that they cannot store."""


def check_space(path: Path, row_bytes: int) -> None:
    """Raise `WriteError` if the disk cannot take the rows that a run expects, as far as their size is known."""
    try:
        disk = os.statvfs(path.parent)
    except OSError as error:
        raise WriteError(f"{path.parent} cannot be written to: {error.strerror}") from error
    free_bytes, needed_bytes = disk.f_bavail * disk.f_frsize, row_bytes + LEAST_FREE_BYTES
    if free_bytes < needed_bytes:
        raise WriteError(
            f"{path.parent} has {free_bytes / 1e9:.3f} GB free, the run needs {needed_bytes / 1e9:.3f} GB: make "
            "room, or choose another path"
        )


def try_file(path: Path, settings: RunSettings, reducer: FrameReducer) -> None:
    """Make the file that `path` is to become, and remove it. Raises `WriteError` or `ConfigError`."""
    try:
        with tempfile.TemporaryDirectory(prefix=".ptychostream-try-", dir=path.parent) as folder:
            out = open_run_file(
                Path(folder) / path.name,
                replace(settings, n_rows_expected=settings.n_rows_expected or 1),  # not the 12 MiB of an open end
                reducer,
                Ledger(0, None),
                FileBegin(reducer.geometry.raw_shape, np.dtype(np.uint16), 1.0, 1.0, time.time_ns()),
            )
            out.close(RunOutcome(RunState.ABORTED, EndReason.ABORTED, "only tried"))
    except OSError as error:
        raise WriteError(f"no file can be made in {path.parent}: {error.strerror or error}") from error
    except NOT_STORABLE as error:
        raise ConfigError(f"the file of {settings.scan_id} cannot hold this request: {error}") from error
