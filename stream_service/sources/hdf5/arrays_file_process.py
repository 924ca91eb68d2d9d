"""The process that reads hardware-captured arrays from a file for the daemon (`arrays_file`): a question, an answer.

The file is opened anew for each question, and only if something was written to it: a writer that begins it anew must
not find a lock of ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

from stream_service.errors import SourceError
from stream_service.hdf5.failures import HDF5_ERRORS, reason_of
from stream_service.hdf5.opening import BeingWrittenError, is_longer_than_stated, open_hdf5, writer_flags
from stream_service.processes.answering import answer_questions
from stream_service.processes.limited import limit_this_process
from stream_service.processes.messages import NO_ARRAYS, Arrays
from stream_service.sources.hdf5.arrays_messages import ArraysState, answer_of
from stream_service.sources.tables.captured_arrays import arrays_in

OUTPUT_BYTES = 1 << 20
"""Of its standard error."""
BEGUN = ("arm_time", "start_time")
"""Attributes of the root by which PandABlocks' clients say when the capture began. They are written in SWMR mode:
readers see them once the file is closed."""
QUIET_S = 2.0
"""A file to which nothing was written for so long does not change within the resolution of its time."""

Answer = tuple[Mapping[str, Any], Arrays]


class ArraysReader:
    """Looks at files, one after the other."""

    def __init__(self) -> None:
        self._closed: tuple[Path, os.stat_result] | None = None
        """The file that was closed and quiet when it was looked at last."""

    def answer(self, question: Mapping[str, Any]) -> Answer:
        """What the file is now, and the arrays of all channels in it."""
        path = Path(question["path"])
        _limit_step(question["step_cpu_s"])
        try:
            found = os.stat(path)
        except OSError as error:
            sentence = f"{path} is not there" if isinstance(error, FileNotFoundError) else f"{path}: {error.strerror}"
            return answer_of(ArraysState.NOT_THERE, sentence=sentence), NO_ARRAYS
        if self._closed is not None and self._closed[0] == path and _is_same(self._closed[1], found):
            return answer_of(ArraysState.UNCHANGED, _id_of(found)), NO_ARRAYS
        self._closed = None
        try:
            return self._read(path, found, question["datasets"])
        except BeingWrittenError:
            state = ArraysState.BEING_WRITTEN
            sentence = f"{path} is being written, and not in SWMR mode: it can be read once it is closed"
        except SourceError as error:
            state, sentence = ArraysState.UNREADABLE, str(error)
        except HDF5_ERRORS as error:
            state = ArraysState.UNREADABLE
            sentence = f"{path} cannot be read as hardware-captured arrays: {reason_of(error)}"
        return answer_of(state, _id_of(found), sentence=sentence), NO_ARRAYS

    def _read(self, path: Path, found: os.stat_result, datasets: Mapping[str, str]) -> Answer:
        if not found.st_size:
            raise BeingWrittenError(f"{path} is empty: nothing has been written to it yet")
        if not writer_flags(path) and is_longer_than_stated(path):
            raise BeingWrittenError(f"{path} is longer than it says: it is being written, or its writer died")
        opened = open_hdf5(path)
        with opened.file as file:
            with suppress(OSError, *HDF5_ERRORS):
                fcntl.flock(file.id.get_vfd_handle(), fcntl.LOCK_UN)
            arrays = {entries.channel: entries.values for entries in arrays_in(path, file, datasets)}
            begun = _begun(file) if opened.is_closed else ""
        if opened.is_closed and time.time() - found.st_mtime > QUIET_S:
            self._closed = path, found
        state = ArraysState.CLOSED if opened.is_closed else ArraysState.GROWING
        return answer_of(state, _id_of(found), begun), arrays


def _id_of(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}"


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    changing = ((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in (one, other))
    return next(changing) == next(changing)


def _begun(file: h5py.File) -> str:
    return " ".join(str(file.attrs[name]) for name in BEGUN if name in file.attrs)


def _limit_step(cpu_s: int) -> None:
    """An answer takes no more processor time; then the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_s = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    limit_this_process(json.loads(sys.argv[1])["memory_bytes"], OUTPUT_BYTES)
    answer_questions(ArraysReader().answer)
