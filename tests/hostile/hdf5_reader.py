"""Reads files of the corpus one after the other, in a process of its own with little memory; a script.

`python hdf5_reader.py LAYOUT FIRST LAST FOLDER` prints what became of each, `frames N SECONDS` or `refused SECONDS`
(processor time), and at the end how much memory it took at most. Anything else that happens ends it with a traceback,
or with the signal that HDF5 died of.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from pathlib import Path

import h5py
import hdf5_corpus

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Hdf5Recording

LONGEST_MESSAGE = 600
LONGEST_S = 20
MEMORY_BYTES = 3 << 30
"""Address space, most of which is that of the libraries."""


def check_frame(frame: Frame, recording: Hdf5Recording) -> None:
    assert frame.pixels.shape == recording.frame_shape and frame.pixels.dtype == recording.dtype
    assert frame.pixels.dtype.kind in "iuf" and frame.pixels.dtype.isnative
    assert isinstance(frame.unique_id, int) and abs(frame.timestamp_ns) < 2**63
    for name, value in frame.attributes.items():
        assert isinstance(name, str)
        assert value is None or isinstance(value, float | int | str)


def read(path: Path) -> str:
    """Read a file completely; only a sentence may go wrong."""
    began_s = time.process_time()
    n = 0
    try:
        with Hdf5Recording(path) as recording:
            for frame in recording.frames():
                check_frame(frame, recording)
                n += 1
            assert n == recording.n_frames > 0
            assert all(isinstance(note, str) for note in recording.notes)
    except SourceError as error:
        message = str(error)
        assert 0 < len(message) <= LONGEST_MESSAGE and "\n" not in message, message
        return f"refused {time.process_time() - began_s:.3f}"
    return f"frames {n} {time.process_time() - began_s:.3f}"


def main(layout: str, first: int, last: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    path = folder / "mutated.h5"
    before_kB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(first, last):
        path.write_bytes(hdf5_corpus.mutated(layout, seed))
        print(seed, end=" ", flush=True)
        signal.alarm(LONGEST_S)  # whatever hangs dies of it
        print(read(path), flush=True)
        signal.alarm(0)
        assert h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE) == 0, "a file was left open"
    print("memory", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kB) >> 10)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
