"""Images by index (PositionMode), or on a grid (extra dimensions): none gets the values of another.

Two readers read such files: of a raw file beside a run, and of a recording that is ingested.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_writer import SHAPE, pixels_of

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.hdf5.opening import BeingWrittenError
from stream_service.sources.hdf5.raw_rows import RawRows
from stream_service.sources.hdf5.recording import Hdf5Recording

BY_INDEX = [3, 0, 7, 1, 5, 5, 2, 9, 4, 8]
"""Of a real NDFileHDF5: row 6 was never reached, row 5 twice."""


def write(
    path: Path,
    rows: Sequence[int],
    *,
    values_at: Sequence[int] | None = None,
    grid: tuple[int, ...] = (),
    grows: bool = False,
) -> h5py.File:
    """The image of arrival k in row `rows[k]`, its values in row k, or where `values_at` says."""
    n, values_at = len(rows), range(len(rows)) if values_at is None else values_at
    file = h5py.File(path, "w", libver="v110")
    shape = grid or (max(rows) + 1,)
    chunks, maxshape = (*(1 for _ in shape), *SHAPE), (*(None for _ in shape), *SHAPE)
    data = file.create_dataset("entry/data/data", (*shape, *SHAPE), "u2", chunks=chunks, maxshape=maxshape)
    data.attrs["NDArrayNumDims"] = 2
    values = {"NDArrayUniqueId": np.arange(1, n + 1, dtype="i4"), "NDArrayEpicsTSSec": np.arange(n) + 10**9}
    values |= {"NDArrayEpicsTSnSec": np.zeros(n, "u4"), "scanIndex": np.array(rows), "ColorMode": np.zeros(n, "i4")}
    for name, of_column in values.items():
        stored = np.zeros(max(values_at) + 1, of_column.dtype)
        stored[list(values_at)] = of_column
        made = file.create_dataset(f"entry/{name}", data=stored, chunks=(1,), maxshape=(None,))
        made.attrs["NDAttrName"] = np.bytes_(name)
    if grows:
        file.swmr_mode = True
    for arrival, row in enumerate(rows):
        data[np.unravel_index(row, shape)] = pixels_of(arrival)
        data.flush()
    if not grows:
        file.close()
    return file


Read = Callable[[Path], list[Frame]]


def of_raw_file(path: Path) -> list[Frame]:
    with RawRows(path, "timeStamp", None) as file:
        return list(file.frames(np.arange(len(file.identities))))


def of_recording(path: Path) -> list[Frame]:
    with Hdf5Recording(path) as recording:
        frames = list(recording.frames())
        assert recording.n_frames == len(frames)
        assert recording.identities is not None
        assert [frame.unique_id for frame in frames] == recording.identities[0].tolist()
        for place, frame in enumerate(frames):
            np.testing.assert_array_equal(recording.frame(place).pixels, frame.pixels)
    return frames


both_readers = pytest.mark.parametrize("read", [of_raw_file, of_recording])


def check(frames: Sequence[Frame], rows: Sequence[int], arrivals: Sequence[int] | None = None) -> None:
    """These are there, or else those that no later one replaced, each with its own image and its own values."""
    if arrivals is None:
        arrivals = [arrival for arrival, row in enumerate(rows) if row not in rows[arrival + 1 :]]
    assert sorted(frame.unique_id for frame in frames) == [arrival + 1 for arrival in arrivals]
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, pixels_of(frame.unique_id - 1))
        assert frame.attributes.get("scanIndex", rows[frame.unique_id - 1]) == rows[frame.unique_id - 1]


def change_columns(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Store each column anew."""
    with h5py.File(path, "r+") as file:
        for name in [name for name in file["entry"] if "NDAttrName" in file[f"entry/{name}"].attrs]:
            stored, attributes = file[f"entry/{name}"][()], dict(file[f"entry/{name}"].attrs)
            del file[f"entry/{name}"]
            file.create_dataset(f"entry/{name}", data=change(stored)).attrs.update(attributes)


@both_readers
@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [0, 1, 2, 2], [4, 3, 2, 1, 0], [3, 0, 1, 2]])
def test_images_by_index_find_their_values_that_stand_as_they_came(tmp_path: Path, read: Read, rows: list[int]) -> None:
    write(tmp_path / "raw.h5", rows)
    check(read(tmp_path / "raw.h5"), rows)


@both_readers
def test_images_by_index_find_their_values_beside_them(tmp_path: Path, read: Read) -> None:
    write(tmp_path / "raw.h5", BY_INDEX, values_at=BY_INDEX)
    check(read(tmp_path / "raw.h5"), BY_INDEX)


@both_readers
def test_one_image_out_of_its_row_moves_no_other(tmp_path: Path, read: Read) -> None:
    rows = [0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    write(tmp_path / "raw.h5", rows)
    check(read(tmp_path / "raw.h5"), rows)


@both_readers
@pytest.mark.parametrize("is_counted", [False, True])
@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [4, 3, 2, 1, 0]])
def test_images_by_an_index_that_was_not_recorded_are_not_used(
    tmp_path: Path, read: Read, rows: list[int], is_counted: bool
) -> None:
    """A counter of frames is no proof that values stand beside their images."""
    write(tmp_path / "raw.h5", rows)
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        if is_counted:
            file["entry/scanIndex"][:] = np.arange(len(rows))
        else:
            del file["entry/scanIndex"]
    with pytest.raises(SourceError, match="DimAttDatasets"):
        read(tmp_path / "raw.h5")


@both_readers
def test_a_counter_beside_the_index_does_not_hide_it(tmp_path: Path, read: Read) -> None:
    write(tmp_path / "raw.h5", BY_INDEX)
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        file["entry/ColorMode"][:] = np.arange(len(BY_INDEX))
    check(read(tmp_path / "raw.h5"), BY_INDEX)


def test_images_left_out_are_told(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", BY_INDEX)
    with Hdf5Recording(tmp_path / "raw.h5") as recording:
        assert any("by the index 'scanIndex' (PositionMode)" in note for note in recording.notes)
        assert any("1 of 10 rows holds no frame, the first is row 4; left out: a later" in n for n in recording.notes)
        assert recording.first_unique_id == 1


@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [4, 3, 2, 1, 0]])
def test_what_may_be_written_by_index_is_read_once_it_is_closed(tmp_path: Path, rows: list[int]) -> None:
    path = tmp_path / "raw.h5"
    file = write(path, rows, grows=True)
    with pytest.raises(BeingWrittenError, match="once it is closed"):
        RawRows(path, "timeStamp", None)
    file.close()
    check(of_raw_file(path), rows)


@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [4, 3, 2, 1, 0]])
def test_a_file_by_index_that_was_never_closed_is_refused(tmp_path: Path, rows: list[int]) -> None:
    file = write(tmp_path / "raw.h5", rows, grows=True)
    shutil.copy(tmp_path / "raw.h5", tmp_path / "left.h5")
    file.close()
    with pytest.raises(SourceError, match=r"which of its [0-9]+ images belongs to which of the"):
        of_recording(tmp_path / "left.h5")


@both_readers
@pytest.mark.parametrize("counts_from", [0, 1])
def test_a_counter_of_frames_costs_nothing_of_a_file_that_was_never_closed(
    tmp_path: Path, read: Read, counts_from: int
) -> None:
    counts = range(counts_from, counts_from + 7)
    file = write(tmp_path / "raw.h5", range(8), grows=True)
    for name in ("NDArrayUniqueId", "NDArrayEpicsTSSec", "NDArrayEpicsTSnSec", "scanIndex", "ColorMode"):
        file[f"entry/{name}"].resize((7,))
    file["entry/scanIndex"][:] = np.array(counts)
    file.flush()
    shutil.copy(tmp_path / "raw.h5", tmp_path / "left.h5")
    file.close()
    check(read(tmp_path / "left.h5")[:7], counts, range(7))


@both_readers
@pytest.mark.parametrize("rows", [range(8), [0, 0, 1, 1, 2, 2, 3, 3], [7] * 8])
def test_a_column_like_an_index_does_not_hold_up_a_growing_file(
    tmp_path: Path, read: Read, rows: Sequence[int]
) -> None:
    path = tmp_path / "raw.h5"
    file = write(path, range(8), grows=True)
    file["entry/scanIndex"][:] = np.array(rows)
    file["entry/scanIndex"].flush()
    check(read(path), rows, range(8))
    file.close()


@both_readers
@pytest.mark.parametrize("n", [12, 10, 3])
def test_a_grid_of_images_is_read_in_the_order_of_the_file_as_far_as_it_came(
    tmp_path: Path, read: Read, n: int
) -> None:
    write(tmp_path / "raw.h5", range(n), grid=(3, 4))
    check(read(tmp_path / "raw.h5"), range(n))


@both_readers
def test_a_grid_of_images_with_values_beside_them(tmp_path: Path, read: Read) -> None:
    write(tmp_path / "raw.h5", range(10), grid=(3, 4))
    change_columns(tmp_path / "raw.h5", lambda stored: np.append(stored, np.zeros(2, stored.dtype)).reshape(3, 4))
    check(read(tmp_path / "raw.h5"), range(10))


def test_images_without_values_are_those_that_were_stored(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", [4, 0, 2])
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        for name in [name for name in file["entry"] if name != "data"]:
            del file[f"entry/{name}"]
    with Hdf5Recording(tmp_path / "raw.h5") as recording:
        frames = list(recording.frames())
    assert [frame.unique_id for frame in frames] == [0, 2, 4]
    for frame, arrival in zip(frames, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels_of(arrival))
