"""A look at the places of a virtual dataset, in a process of its own: HDF5 2.0 takes damaged ones as they come.

They lie in a global heap; beyond its end, HDF5 reads what is there, or dies of it (measured: 10 of 6000 damaged files).
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from stream_service.errors import SourceError
from stream_service.processes.limited import LimitedProcessError, limit_this_process, run_limited

TIMEOUT_S = 20.0
MEMORY_BYTES = 1 << 30
OUTPUT_BYTES = 1 << 20
REMEMBERED = 1024
"""Datasets found to be in order: each look takes a new process, 0.4 s."""


def check_virtual(file: Path, path: str) -> None:
    """Raise `SourceError` if the dataset at a path of hard links has places that HDF5 cannot make out.

    One that was found to be in order is not looked at again, as long as its file is the same and was not written to.
    """
    found = os.stat(file)
    _check(file, path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(REMEMBERED)
def _check(file: Path, path: str, identity: tuple[int, ...]) -> None:
    """`identity` is that of the file's content. What is raised is not remembered."""
    try:
        run_limited(__name__, [str(file), path], TIMEOUT_S)
    except LimitedProcessError as error:
        raise SourceError(f"{file}:{path} is a virtual dataset that cannot be read: {error}") from error


def _look(file: str, path: str) -> None:
    import h5py

    try:
        opened = h5py.File(file, "r")
    except OSError:
        opened = h5py.File(file, "r", swmr=True)
    with opened:
        properties = h5py.h5d.open(opened.id, path.encode("utf-8", "surrogateescape")).get_create_plist()
        for index in range(properties.get_virtual_count()):
            properties.get_virtual_filename(index)
            properties.get_virtual_dsetname(index)
            properties.get_virtual_vspace(index)
            properties.get_virtual_srcspace(index)


if __name__ == "__main__":
    limit_this_process(MEMORY_BYTES, OUTPUT_BYTES)
    _look(*sys.argv[1:])
