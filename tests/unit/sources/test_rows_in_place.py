"""Frames that lie in their file as in memory are read beside HDF5, all others by HDF5; the result is the same."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py._objects import phil  # pyright: ignore[reportAttributeAccessIssue]
from limits import HANG_S

from stream_service.errors import SourceError
from stream_service.hdf5.in_place import RowsInPlace, rows_in_place
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.frames import FrameStack

N, SHAPE = 11, (6, 5)
FRAMES = np.random.default_rng(4).integers(0, 1 << 16, (N, *SHAPE)).astype(np.uint16)


def written(path: Path, frames: np.ndarray = FRAMES, userblock: int = 0, libver: Any = None, **options: Any) -> Path:
    with h5py.File(path, "w", userblock_size=userblock, libver=libver) as file:
        file.create_dataset("frames", data=frames, **options)
    return path


def stack_of(file: h5py.File) -> FrameStack:
    path = Path(file.filename)
    return FrameStack(StoredDataset(file["frames"].id, "/frames", path), path.stat().st_size)


def found(path: Path) -> RowsInPlace | None:
    with h5py.File(path) as file:
        return rows_in_place(file["frames"].id)


def n_open(path: Path) -> int:
    """Descriptors of this process that are of this file: others may come and go."""
    n = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it has gone
            n += os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    return n


@pytest.mark.parametrize("libver", [None, ("v110", "v110"), "latest"], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"chunks": None},
        {"chunks": (1, *SHAPE)},
        {"chunks": (4, *SHAPE)},
        {"chunks": (32, *SHAPE), "maxshape": (64, 6, 5)},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_rows_in_place_are_those_that_hdf5_reads(tmp_path: Path, options: Any, dtype: Any, libver: Any) -> None:
    path = written(tmp_path / "a.h5", FRAMES.astype(dtype), libver=libver, **options)
    with h5py.File(path) as file:
        rows = rows_in_place(file["frames"].id)
        assert rows is not None
        for start in range(N):
            for stop in range(start + 1, N + 1):
                out = np.full((stop - start, *SHAPE), 77, dtype)
                assert rows.read_into(start, out)
                np.testing.assert_array_equal(out, FRAMES[start:stop].astype(dtype))


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        (FRAMES, {"chunks": (1, *SHAPE), "compression": "gzip"}),
        (FRAMES, {"chunks": (1, *SHAPE), "fletcher32": True}),
        (FRAMES, {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle()}),
        (FRAMES, {"chunks": (1, 3, 5)}),
        (FRAMES, {"chunks": (1, *SHAPE), "userblock": 512}),
        (FRAMES.astype(">u2"), {"chunks": (1, *SHAPE)}),
        (FRAMES.astype(bool), {"chunks": (1, *SHAPE)}),
        (np.array(5), {}),
    ],
    ids=["gzip", "checksum", "bslz4", "tiles", "user block", "big endian", "bool", "scalar"],
)
def test_what_is_not_as_in_memory_is_left_to_hdf5(tmp_path: Path, frames: np.ndarray, options: dict[str, Any]) -> None:
    assert found(written(tmp_path / "a.h5", frames, **options)) is None


def test_integers_of_fewer_bits_than_their_bytes_are_left_to_hdf5(tmp_path: Path) -> None:
    twelve_bits = h5py.h5t.NATIVE_UINT16.copy()
    twelve_bits.set_precision(12)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple(FRAMES.shape)
        id = h5py.h5d.create(file.id, b"frames", twelve_bits, space)
        id.write(h5py.h5s.ALL, h5py.h5s.ALL, FRAMES & 0xFFF)
    assert found(tmp_path / "a.h5") is None


def test_frames_kept_in_other_files_are_left_to_hdf5(tmp_path: Path) -> None:
    written(tmp_path / "there.h5")
    layout = h5py.VirtualLayout(FRAMES.shape, np.uint16)
    layout[:] = h5py.VirtualSource(tmp_path / "there.h5", "frames", FRAMES.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    (tmp_path / "raw.bin").write_bytes(FRAMES.tobytes())
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        external = [(str(tmp_path / "raw.bin"), 0, FRAMES.nbytes)]
        file.create_dataset("frames", FRAMES.shape, np.uint16, external=external)
    assert found(tmp_path / "virtual.h5") is None
    assert found(tmp_path / "raw.h5") is None


def test_a_file_that_may_still_grow_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=("v110", "v110")) as file:
        file.create_dataset("frames", data=FRAMES, chunks=(1, *SHAPE), maxshape=(None, *SHAPE))
        file.swmr_mode = True
        with h5py.File(tmp_path / "a.h5", swmr=True) as reader:
            assert rows_in_place(reader["frames"].id) is None


def test_chunks_that_were_never_stored_are_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        frames = file.create_dataset("frames", FRAMES.shape, np.uint16, chunks=(2, *SHAPE), fillvalue=9)
        frames[:4], frames[8:] = FRAMES[:4], FRAMES[8:]
    with h5py.File(tmp_path / "a.h5") as file:
        rows = rows_in_place(file["frames"].id)
        assert rows is not None
        assert [rows.read_into(row, np.zeros((1, *SHAPE), np.uint16)) for row in (0, 3, 4, 7, 8, 10)] == [
            *(True, True, False, False, True, True)
        ]
        assert not rows.read_into(3, np.zeros((2, *SHAPE), np.uint16))
        stack = stack_of(file)
        np.testing.assert_array_equal(stack.block(0, N)[4:8], np.full((4, *SHAPE), 9))
        np.testing.assert_array_equal(stack.block(8, N), FRAMES[8:])


def test_a_dataset_without_values_has_its_fill_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", FRAMES.shape, np.uint16, fillvalue=3)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(stack_of(file).block(0, 2), np.full((2, *SHAPE), 3))


@pytest.mark.parametrize("options", [{"chunks": None}, {"chunks": (2, *SHAPE)}], ids=str)
def test_where_the_file_ends_hdf5_has_the_say(tmp_path: Path, options: dict[str, Any]) -> None:
    path = written(tmp_path / "a.h5", **options)
    with h5py.File(path) as file:
        stack = stack_of(file)
        np.testing.assert_array_equal(stack.block(0, N), FRAMES)
        os.truncate(path, path.stat().st_size - SHAPE[0] * SHAPE[1])  # half of the last frame
        np.testing.assert_array_equal(stack.block(0, 8), FRAMES[:8])
        try:
            by_hdf5: Any = stack.stored.read(8, N)
        except SourceError:
            with pytest.raises(SourceError, match="rows 8 to 10"):
                stack.block(8, N)
        else:
            np.testing.assert_array_equal(stack.block(8, N), by_hdf5)


def test_an_index_with_more_chunks_than_frames_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", data=FRAMES, chunks=(1, *SHAPE))
    with h5py.File(tmp_path / "a.h5") as file:

        class Endless(type(file["frames"].id)):  # an index that leads round in a circle
            def chunk_iter(self, callback: Any) -> None:
                while not super().chunk_iter(callback):
                    pass

        assert rows_in_place(Endless(file["frames"].id.id)) is None


def test_frames_are_read_while_another_thread_is_in_hdf5(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", chunks=(1, *SHAPE))
    with h5py.File(path) as file:
        stack, read = stack_of(file), threading.Event()
        stack.block(0, 1)  # which finds out where the others are
        reader = threading.Thread(target=lambda: np.array_equal(stack.block(1, N), FRAMES[1:]) and read.set())
        with phil:
            reader.start()
            assert read.wait(HANG_S)
        reader.join()


def test_memory_of_a_block_is_used_again_once_no_frame_of_it_is_held(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", chunks=(1, *SHAPE))
    with h5py.File(path) as file:
        stack = stack_of(file)
        first = stack.block(0, 3)
        held, address = first[1], first.ctypes.data
        del first
        others = [stack.block(start, start + 2) for start in range(3, 9)]
        assert len({block.ctypes.data for block in others} | {address}) == 1 + len(others)
        np.testing.assert_array_equal(held, FRAMES[1])
        for start, block in enumerate(others):
            np.testing.assert_array_equal(block, FRAMES[3 + start : 5 + start])
        del held
        again = stack.block(4, 6)
        assert again.ctypes.data == address
        np.testing.assert_array_equal(again, FRAMES[4:6])


def test_the_file_is_let_go_of_with_its_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", chunks=(1, *SHAPE))
    rows = found(path)
    out = np.zeros((N, *SHAPE), np.uint16)
    assert rows is not None and rows.read_into(0, out)  # HDF5 has closed it
    np.testing.assert_array_equal(out, FRAMES)
    assert n_open(path) == 1
    del rows
    assert n_open(path) == 0


def test_file_that_is_closed_again_can_be_written_by_others(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", chunks=(1, *SHAPE))
    rows = found(path)
    assert rows is not None
    with h5py.File(path, "a", locking=True) as file:
        file["more"] = 1
    out = np.empty((N, *SHAPE), np.uint16)
    assert rows.read_into(0, out)
    np.testing.assert_array_equal(out, FRAMES)


def test_file_of_which_another_has_the_name_is_read_by_hdf5(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", chunks=(1, *SHAPE))
    with h5py.File(path) as file:
        os.replace(written(tmp_path / "b.h5", FRAMES[::-1], chunks=(1, *SHAPE)), path)
        assert rows_in_place(file["frames"].id) is None
        np.testing.assert_array_equal(stack_of(file).block(0, 1), FRAMES[:1])
