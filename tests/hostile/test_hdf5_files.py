"""Whatever an HDF5 file holds, it is read or refused in a sentence, in bounded memory and time.

HDF5 itself can crash or hang on a damaged file, so files are read in a process of their own whose end is checked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5_corpus
import numpy as np
import pytest
from hdf5_writer import Writer

from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Hdf5Recording

HERE = Path(__file__).parent
MOST_MEMORY_MiB = 400
"""A reader may take this for a file of any kind; a frame may have 256 MiB."""
AT_ONCE_S = 1.0
"""What refusing a small file takes at most."""


def start(layout: str, first: int, last: int, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(HERE / "hdf5_reader.py"), layout, str(first), str(last), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}"},
    )


def check(reader: subprocess.Popen[str], count: int) -> None:
    """Every file was read or refused, and the process ended as it should."""
    said, _ = reader.communicate()
    lines = said.splitlines()
    assert reader.returncode == 0, f"exit code {reader.returncode} after {lines[-3:]}"
    outcomes = [line.split() for line in lines[:-1]]
    assert len(outcomes) == count
    read = sum(outcome[1] == "frames" for outcome in outcomes)
    assert count / 5 < read < count * 9 / 10, "the corpus has files of both kinds"
    slow = [outcome for outcome in outcomes if outcome[1] == "refused" and float(outcome[2]) > AT_ONCE_S]
    assert not slow
    name, memory_MiB = lines[-1].split()
    assert name == "memory" and int(memory_MiB) < MOST_MEMORY_MiB


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process for each layout, at the same time."""
    started = {name: start(name, 0, 2000, tmp_path_factory.mktemp("files")) for name in hdf5_corpus.LAYOUTS}
    yield started
    for reader in started.values():
        reader.kill()
        reader.wait()


@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
def test_mutated_files_are_read_or_refused(readers: dict[str, subprocess.Popen[str]], layout: str) -> None:
    check(readers[layout], 2000)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("layout", hdf5_corpus.LAYOUTS)
def test_very_many_mutated_files_are_read_or_refused(tmp_path: Path, layout: str) -> None:
    check(start(layout, 2_000, 102_000, tmp_path), 100_000)


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


@pytest.mark.parametrize("which", [0, 1])
def test_a_list_of_free_blocks_in_a_circle_is_not_followed(tmp_path: Path, which: int) -> None:
    """HDF5 2.0 follows it for ever and takes all memory; of the root group's heap even when it opens the file."""
    path, whole = tmp_path / "circle.h5", hdf5_corpus.good("/entry")
    path.write_bytes(whole)
    heap = -1
    for _ in range(which + 1):
        heap = whole.index(b"HEAP", heap + 1)
    free, segment = (int.from_bytes(whole[heap + at : heap + at + 8], "little") for at in (16, 24))
    damage(path, segment + free, free.to_bytes(8, "little"))
    with pytest.raises(SourceError, match="damaged: the list in its heap"):
        Hdf5Recording(path)


@pytest.mark.parametrize("libver", [None, "latest"])
@pytest.mark.parametrize(("at", "value"), [(8, 0), (8, 2**64 - 16), (0, 0)])
def test_a_heap_of_texts_without_an_end_is_not_followed(
    tmp_path: Path, libver: str | None, at: int, value: int
) -> None:
    """HDF5 2.0 looks for the next object where it is already, for ever."""
    path, whole = tmp_path / "texts.h5", hdf5_corpus.good("/entry", libver)
    path.write_bytes(whole)
    first_object = whole.index(b"GCOL") + 16
    if at == 8 and value == 0:
        damage(path, first_object, (0).to_bytes(2, "little"))  # the index 0 means free room
    damage(path, first_object + at, value.to_bytes(8, "little"))
    began_s = time.monotonic()
    with pytest.raises(SourceError, match=r"damaged|cannot be read"):
        Hdf5Recording(path)
    assert time.monotonic() - began_s < AT_ONCE_S


def test_a_text_longer_than_its_heap_is_not_made_room_for(tmp_path: Path) -> None:
    path, whole = tmp_path / "texts.h5", hdf5_corpus.good("/entry")
    path.write_bytes(whole)
    stored_um = (2).to_bytes(4, "little") + whole.index(b"GCOL").to_bytes(8, "little")
    damage(path, whole.index(stored_um), (2**32 - 1).to_bytes(4, "little"))
    with pytest.raises(SourceError, match="claims a text of 4294967295 bytes"):
        Hdf5Recording(path)


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
        assert time.monotonic() - began_s < 5 * AT_ONCE_S


def test_a_type_in_the_place_of_positions_is_refused(tmp_path: Path) -> None:
    """Not among the mutations: HDF5 stamps a named type with the time, so that a corpus would never be the same."""
    path = tmp_path / "typed.h5"
    with h5py.File(path, "w") as file:
        file["entry/data"] = np.zeros((3, 4, 5))
        file["entry/pos"] = np.dtype("f4")
    with pytest.raises(SourceError, match="pos"):
        Hdf5Recording(path)
