"""Raw files of one capture: all of them are found and asked, and each shows whose it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdf5_writer import PERIOD_NS, START_NS, nd_frame
from limits import HANG_S

from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout
from stream_service.core.frame import Frame
from stream_service.sources.hdf5.raw_file import RawFile
from stream_service.sources.hdf5.raw_files import RawFiles
from stream_service.sources.hdf5.raw_messages import RawAnswer, RawState

DAY_NS = 86_400 * 10**9


def write(path: Path, frames: Sequence[int], later_ns: int = 0) -> Path:
    """A closed file with these frames, by uniqueId; `later_ns` for those of another day."""
    arrays = (nd_frame(unique_id - 1) for unique_id in frames)
    made = [replace(array, timestamp_ns=array.timestamp_ns + later_ns) for array in arrays]
    file = NDFile(path, made[0], DefaultLayout(), FileOptions())
    for array in made:
        file.append(array)
    file.close()
    return path


def write_scans(path: Path, *scans: tuple[Sequence[int], int]) -> Path:
    """A closed file with several scans: the ids of each, and by how much later it was."""
    file = NDFile(path, nd_frame(0), DefaultLayout(), FileOptions())
    for ids, later_ns in scans:
        for unique_id in ids:
            array = nd_frame(unique_id - 1)
            file.append(replace(array, timestamp_ns=array.timestamp_ns + later_ns))
    file.close()
    return path


def ask(paths: Sequence[Path], held: Sequence[int], lost: Sequence[int]) -> tuple[list[int], RawAnswer]:
    """The ids of the frames that are found, and the end of the answer."""
    held_ids = np.asarray(held, np.int64)
    with RawFile(paths[0]) as file:
        files = RawFiles(file, lambda: paths)
        files.ask(np.asarray(lost, np.int64), held_ids, START_NS + PERIOD_NS * (held_ids - 1))
        taken: list[Any] = []
        deadline_s = time.monotonic() + HANG_S
        while files.is_asked and time.monotonic() < deadline_s:
            taken += files.take(1.0)
    assert isinstance(taken[-1], RawAnswer) and all(isinstance(one, Frame) for one in taken[:-1])
    return sorted(one.unique_id for one in taken[:-1]), taken[-1]


@pytest.mark.parametrize("names_all", [True, False])
def test_capture_of_several_files(tmp_path: Path, names_all: bool) -> None:
    """The second one begins where the first ended; a later number is the scan of another day."""
    first = write(tmp_path / "scan_009.h5", range(1, 6))
    second = write(tmp_path / "scan_010.h5", range(6, 10))
    write(tmp_path / "scan_011.h5", range(1, 10), later_ns=DAY_NS)
    found, answer = ask([first, second] if names_all else [first], held=[1, 3, 6, 7], lost=[2, 4, 5, 8, 9])
    assert found == [2, 4, 5, 8, 9]
    assert (answer.state, answer.n_frames, answer.n_agree, answer.sentence) == (RawState.CLOSED, 9, 4, "")


def test_file_for_each_frame(tmp_path: Path) -> None:
    """Of a lost one nothing came: its file is used if it lies between those of frames that came."""
    for n in range(1, 8):
        write(tmp_path / f"scan_{n}.h5", [n], later_ns=DAY_NS if n == 5 else 0)
    found, answer = ask([tmp_path / "scan_1.h5"], held=[2, 4, 6], lost=[1, 3, 5, 7])
    assert found == [3] and answer.state is RawState.CLOSED


def test_files_none_of_which_is_of_the_run_are_not_used(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"scan_{n}.h5", range(4 * n + 1, 4 * n + 5), later_ns=DAY_NS) for n in range(2)]
    found, answer = ask(paths, held=[1, 3], lost=[2, 6])
    assert (found, answer.state) == ([], RawState.OTHER_SCAN) and "it is of another scan" in answer.sentence
    found, answer = ask([tmp_path / "none.h5"], held=[1, 3], lost=[2])
    assert (found, answer.state) == ([], RawState.NOT_THERE)


def test_damaged_file_among_several_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    first = write(tmp_path / "scan_1.h5", range(1, 5))
    (tmp_path / "scan_2.h5").write_bytes(b"no HDF5 at all" * 100)
    write(tmp_path / "scan_3.h5", range(9, 12))
    found, answer = ask([first], held=[1, 9], lost=[2, 3, 6, 10])
    assert found == [2, 3, 10] and answer.state is RawState.CLOSED and "scan_2.h5" in answer.sentence


def test_scans_before_and_after_in_the_same_file_fill_nothing(tmp_path: Path) -> None:
    """Neither the first frames of the run nor its last are in the file, but those of other scans with their ids."""
    path = write_scans(tmp_path / "scan.h5", (range(1, 11), -DAY_NS), (range(4, 8), 0), (range(4, 11), DAY_NS))
    found, answer = ask([path], held=[4, 6], lost=[1, 2, 3, 5, 7, 8, 9, 10])
    assert (found, answer.state) == ([5, 7], RawState.CLOSED)
