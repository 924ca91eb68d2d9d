"""Reads files of the corpus one after the other, in a process of its own; a script.

`python hdf5_reader.py LAYOUT FIRST LAST FOLDER` prints as JSON what became of them; LAYOUT may be a kind of
damage, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import hdf5_corpus
from watched_cases import attempt_all

from stream_service.core.frame import Frame
from stream_service.sources.hdf5.recording import Hdf5Recording


def check_frame(frame: Frame, recording: Hdf5Recording) -> None:
    assert frame.pixels.shape == recording.frame_shape and frame.pixels.dtype == recording.dtype
    assert frame.pixels.dtype.kind in "iuf" and frame.pixels.dtype.isnative
    assert isinstance(frame.unique_id, int) and abs(frame.timestamp_ns) < 2**63
    for name, value in frame.attributes.items():
        assert isinstance(name, str)
        assert value is None or isinstance(value, float | int | str)


def read(path: Path) -> None:
    """Read a file completely."""
    n = 0
    with Hdf5Recording(path) as recording:
        for frame in recording.frames():
            check_frame(frame, recording)
            n += 1
        assert n == recording.n_frames > 0
        assert all(isinstance(note, str) for note in recording.notes)


def main(layout: str, first: int, last: int, folder: Path) -> dict[str, int]:
    path, damages = folder / "mutated.h5", hdf5_corpus.DAMAGES.get(layout, list)()
    with h5py.File(folder / hdf5_corpus.SOURCE, "w") as file:
        file["frames"] = hdf5_corpus.FRAMES

    def attempt(seed: int) -> None:
        path.write_bytes(damages[seed] if damages else hdf5_corpus.mutated(layout, seed))
        try:
            read(path)
        finally:
            assert h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE) == 0, "a file was left open"

    return attempt_all(attempt, first, min(last, len(damages) or last), path)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
