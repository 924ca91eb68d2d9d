"""A closed file that is written anew while it is read: HDF5 gives pixels of the next scan for old positions."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_trees import FRAMES, N, cxi_tree, seed_tree, write_areadetector, write_tree

from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Hdf5Recording


def write_anew(path: Path) -> None:
    """As a program does that opens the file with its old name for the next scan; the clock of the disk goes on."""
    before_ns = path.stat().st_mtime_ns
    data = path.read_bytes()
    path.write_bytes(data)
    os.utime(path, ns=(before_ns + 10**9, before_ns + 10**9))


@pytest.mark.parametrize("layout", ["areaDetector", "/entry", "CXI"])
def test_no_frame_is_given_after_it(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "scan.h5"
    if layout == "areaDetector":
        write_areadetector(path)
    else:
        write_tree(path, seed_tree() if layout == "/entry" else cxi_tree())
    with Hdf5Recording(path) as recording:
        frames = recording.frames()
        next(frames)
        write_anew(path)
        with pytest.raises(SourceError, match=r"scan\.h5 was written to, or replaced, while it was read"):
            next(frames)
        with pytest.raises(SourceError, match="was written to, or replaced, while it was read"):
            recording.frame(0)


def test_nor_where_a_file_that_it_leads_to_is_written_anew(tmp_path: Path) -> None:
    beside, path = tmp_path / "frames.h5", tmp_path / "scan.h5"
    with h5py.File(beside, "w") as file:
        file["data"] = FRAMES
    tree = seed_tree() | {"/entry/data": h5py.ExternalLink("frames.h5", "/data")}
    write_tree(path, tree)
    with Hdf5Recording(path) as recording:
        frames = recording.frames()
        next(frames)
        write_anew(beside)
        with pytest.raises(SourceError, match=r"frames\.h5 was written to"):
            next(frames)


def test_file_of_which_only_the_rights_change_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_tree(path, seed_tree())
    with Hdf5Recording(path) as recording:
        path.chmod(0o444)
        assert len(list(recording.frames())) == N
        np.testing.assert_array_equal(recording.frame(N - 1).pixels, FRAMES[N - 1])
