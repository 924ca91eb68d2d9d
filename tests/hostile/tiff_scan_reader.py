"""Reads what the corpus makes, one after the other, in a process of its own; a script.

`python tiff_scan_reader.py KIND FIRST LAST FOLDER` prints as JSON what became of them. After each tenth that was
refused the good files are read again.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import tiff_scan_corpus as corpus
from watched_cases import attempt_all

from stream_service.sources.tables.epics_csv import read_epics_csv
from stream_service.sources.tables.sidecar_matching import Frames, Rows, match_rows
from stream_service.sources.tiff.recording import TiffRecording

MUTATED = {"tiff": "mutated_1.tif", "sidecar": "mutated.h5", "log": "mutated.csv"}


class Reader:
    """Good files in a folder, and one that is mutated."""

    def __init__(self, folder: Path) -> None:
        for name, frame in zip(corpus.FILES, corpus.FRAMES, strict=True):
            corpus.tifffile.imwrite(folder / name, frame, metadata=None)
        self.good_files = str(folder / "good_*.tif")
        self.good_sidecar = folder / "good.h5"
        self.good_sidecar.write_bytes(corpus.good_sidecar("latest", "/entry/"))
        self.mutated = {kind: folder / name for kind, name in MUTATED.items()}

    def tiff(self, seed: int) -> None:
        path = self.mutated["tiff"]
        path.write_bytes(corpus.mutated_tiff(seed))
        self.check(TiffRecording(str(path)))

    def sidecar(self, seed: int) -> None:
        path = self.mutated["sidecar"]
        path.write_bytes(corpus.mutated_sidecar(seed))
        self.check(TiffRecording(self.good_files, path))

    def log(self, seed: int) -> None:
        path = self.mutated["log"]
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


def main(kind: str, first: int, last: int, folder: Path) -> dict[str, int]:
    reader = Reader(folder)
    attempts: dict[str, Callable[[int], None]] = {"tiff": reader.tiff, "sidecar": reader.sidecar, "log": reader.log}
    reader.check_good()

    def attempt(seed: int) -> None:
        try:
            attempts[kind](seed)
        finally:
            assert h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE) == 0, "a file was left open"
            assert len(list(Path("/proc/self/fd").iterdir())) < 20, "files were left open"

    return attempt_all(attempt, first, last, reader.mutated[kind], reader.check_good)


if __name__ == "__main__":
    warnings.simplefilter("error")
    logging.basicConfig(level=logging.INFO)  # whatever a library says is on stderr, which must stay empty
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
