"""Whatever an HDF5 file holds, it is read or refused in a sentence, in bounded memory and time.

HDF5 itself can crash or hang on a damaged file, so files are read as commands do: in a child that is watched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5_corpus
import numpy as np
import pytest
from hdf5_writer import Writer
from reader_script import Counts, outcome

from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Hdf5Recording

IN_TIME_S = 60.0
"""What a small file takes at most: HDF5 would go on for ever."""


def check(found: dict[str, int], count: int) -> None:
    """Every file was read or refused, or its reader ended with a sentence."""
    assert sum(found.values()) == count
    assert count / 5 < found["read"] < count * 9 / 10, "the corpus has files of both kinds"


@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
def test_mutated_files_are_read_or_refused(tmp_path: Path, layout: str) -> None:
    """Two thousand files in all."""
    check(outcome("hdf5_reader.py", layout, 0, 667, tmp_path), 667)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
def test_very_many_mutated_files_are_read_or_refused(
    tmp_path: Path, layout: str, told: Callable[[Counts], None]
) -> None:
    """A hundred thousand files in all."""
    check(outcome("hdf5_reader.py", layout, 1_000_000, 1_033_334, tmp_path, told), 33_334)


@pytest.mark.parametrize("damage", hdf5_corpus.DAMAGES)
def test_what_hdf5_does_not_survive_is_a_sentence(tmp_path: Path, damage: str) -> None:
    found = outcome("hdf5_reader.py", damage, 0, 100, tmp_path)
    assert found["refused"] + found["ended"] > 0 and found["ended"] <= 40
    assert damage == "virtual places" or not found["read"], found


@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
@pytest.mark.parametrize("libver", [None, "latest"])
def test_good_files_of_the_corpus_are_read(tmp_path: Path, layout: str, libver: str | None) -> None:
    path = tmp_path / "good.h5"
    path.write_bytes(hdf5_corpus.good(layout, libver))
    with Hdf5Recording(path) as recording:
        pixels = [frame.pixels for frame in recording.frames()]
    assert np.array_equal(pixels, hdf5_corpus.FRAMES)


@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, layout: str) -> None:
    path, whole = tmp_path / "cut.h5", hdf5_corpus.good(layout)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError):
            Hdf5Recording(path)


def damage(path: Path, at: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)


def test_a_damaged_file_that_was_not_closed_is_given_up_in_time(tmp_path: Path) -> None:
    """In SWMR mode HDF5 reads a damaged block again a hundred times, each pause twice as long: for ever."""
    path = tmp_path / "dead.h5"
    with Writer(path) as writer:
        writer.do("file = opened(swmr=True, flush_every=1, column_chunk=1)")
        writer.do("append(0, 5)")
        writer.kill()
    whole = path.read_bytes()
    for at in range(11, len(whole), len(whole) // 40):
        path.write_bytes(whole)
        damage(path, at, bytes([whole[at] ^ 0x10]))
        began_s = time.monotonic()
        try:
            with Hdf5Recording(path) as recording:
                n_frames = len(list(recording.frames()))
            assert n_frames == 5
        except SourceError as error:
            assert "\n" not in str(error)
        assert time.monotonic() - began_s < IN_TIME_S


def test_a_type_in_the_place_of_positions_is_refused(tmp_path: Path) -> None:
    """Not among the mutations: HDF5 stamps a named type with the time, so that a corpus would never be the same."""
    path = tmp_path / "typed.h5"
    with h5py.File(path, "w") as file:
        file["entry/data"] = np.zeros((3, 4, 5))
        file["entry/pos"] = np.dtype("f4")
    with pytest.raises(SourceError, match="pos"):
        Hdf5Recording(path)
