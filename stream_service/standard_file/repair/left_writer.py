"""The writer of a file that was not closed: one that lives flushes, whether frames come or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import h5py

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.standard_file.schema import paths

SILENCE_S = 3.0
"""A writer that lives flushes twenty times a second, whether frames come or not."""
LOOK_S = 0.1


def check_is_left(
    file: BoundedFile,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Raise `SourceError` if the writer of a file counts on; it takes `SILENCE_S` to know that it does not."""
    heartbeat: Any = file.get(paths.HEARTBEAT)
    if not isinstance(heartbeat, h5py.Dataset):
        return
    first, began_s = int(heartbeat[()]), clock()
    while clock() - began_s < SILENCE_S:
        sleep(LOOK_S)
        heartbeat.refresh()
        if int(heartbeat[()]) != first:
            raise SourceError(
                f"{file.path} is being written (its heartbeat counts on): wait for the end of the run, or stop the "
                "daemon that writes it"
            )
