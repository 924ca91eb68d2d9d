"""Reads what the corpus makes, one after the other, in a process of its own under a limit of memory; a script.

`python tiff_scan_reader.py KIND FIRST LAST FOLDER` prints as JSON what became of them. After each one that was refused
the good files are read again. Anything but frames or a `SourceError` ends it with a traceback, whatever hangs with the
signal of its alarm, a crash with its own.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import tiff_scan_corpus as corpus

from stream_service.errors import SourceError
from stream_service.kernels.lzw import is_sound_lzw
from stream_service.sources.recording import MOST_FRAME_BYTES
from stream_service.sources.tables.epics_csv import read_epics_csv
from stream_service.sources.tables.sidecar_matching import Frames, Rows, match_rows
from stream_service.sources.tiff.recording import TiffRecording

LONGEST_MESSAGE = 1500
LONGEST_S = 20
MOST_ADDRESSES_BYTES = 3 * MOST_FRAME_BYTES
"""Address space on top of that of the libraries: a frame, the strip it comes from, and both converted."""
MOST_GROWTH_BYTES = 96 << 20
"""Memory in use on top of that of a good file; most of it is what a strip that claims to be large decompresses to."""


class Reader:
    """Good files in a folder, and one that is mutated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name, frame in zip(corpus.FILES, corpus.FRAMES, strict=True):
            corpus.tifffile.imwrite(folder / name, frame, metadata=None)
        self.good_files = str(folder / "good_*.tif")
        self.good_sidecar = folder / "good.h5"
        self.good_sidecar.write_bytes(corpus.good_sidecar("latest", "/entry/"))

    def tiff(self, seed: int) -> None:
        path = self._folder / "mutated_1.tif"
        path.write_bytes(corpus.mutated_tiff(seed))
        self.check(TiffRecording(str(path)))

    def sidecar(self, seed: int) -> None:
        path = self._folder / "mutated.h5"
        path.write_bytes(corpus.mutated_sidecar(seed))
        self.check(TiffRecording(self.good_files, path))

    def log(self, seed: int) -> None:
        path = self._folder / "mutated.csv"
        path.write_bytes(corpus.mutated_log(seed))
        table = read_epics_csv(path)
        assert {len(values) for values in (*table.columns.values(), *table.identities.values())} == {table.n_rows}
        assert all(values.dtype == np.int64 and (values >= 0).all() for values in table.identities.values())
        assert all("\n" not in problem for problem in table.problems)
        rows = Rows(table.n_rows, table.identities.get("frame_index"), table.identities.get("unique_id"))
        match_rows(rows, Frames(np.arange(1, corpus.N + 1), corpus.N))

    def check(self, recording: TiffRecording) -> int:
        """Every frame is one."""
        n = 0
        for frame in recording.frames():
            n += 1
            assert frame.pixels.shape == recording.frame_shape and frame.pixels.dtype == recording.dtype
            assert frame.pixels.dtype.kind in "iuf" and frame.pixels.dtype.isnative
            assert isinstance(frame.unique_id, int) and abs(frame.timestamp_ns) < 2**63
            assert all(isinstance(value, float | int | str) for value in frame.attributes.values())
            assert all(isinstance(frame.attributes.get(rule.attribute, 0.0), float) for rule in recording.rules)
        assert n == recording.n_frames > 0 and recording.n_expected is not None
        assert n <= recording.n_expected == recording.n_exposed
        return n

    def check_good(self) -> None:
        recording = TiffRecording(self.good_files, self.good_sidecar)
        frames = list(recording.frames())
        np.testing.assert_array_equal([frame.pixels for frame in frames], corpus.FRAMES)
        assert [frame.unique_id for frame in frames] == list(range(11, 11 + corpus.N))


def main(kind: str, first: int, last: int, folder: Path) -> dict[str, int | float]:
    reader = Reader(folder)
    attempts: dict[str, Callable[[int], None]] = {"tiff": reader.tiff, "sidecar": reader.sidecar, "log": reader.log}
    reader.check_good()
    is_sound_lzw(np.zeros(9, np.uint8))  # compiles it, which takes more memory than any file
    before_bytes = _limit_memory()
    n_refused, longest_s = 0, 0.0
    for seed in range(first, last):
        signal.alarm(LONGEST_S)
        began_s = time.monotonic()
        try:
            attempts[kind](seed)
        except SourceError as error:
            message = str(error)
            assert 0 < len(message) <= LONGEST_MESSAGE and "\n" not in message, message
            n_refused += 1
            if n_refused % 10 == 0:
                reader.check_good()
        longest_s = max(longest_s, time.monotonic() - began_s)
        signal.alarm(0)
        assert h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE) == 0, "a file was left open"
    reader.check_good()
    assert len(list(Path("/proc/self/fd").iterdir())) < 20, "files were left open"
    growth_bytes = _most_resident_bytes() - before_bytes
    assert growth_bytes <= MOST_GROWTH_BYTES, f"{growth_bytes} bytes more in use"
    return {"read": last - first - n_refused, "refused": n_refused, "growth": growth_bytes, "longest_s": longest_s}


def _limit_memory() -> int:
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * resource.getpagesize() + MOST_ADDRESSES_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _most_resident_bytes()


def _most_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    faulthandler.enable()
    warnings.simplefilter("error")
    logging.basicConfig(level=logging.INFO)  # whatever a library says is on stderr, which must stay empty
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
