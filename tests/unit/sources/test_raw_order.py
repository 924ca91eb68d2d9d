"""Raw files with images by index (PositionMode), or on a grid (extra dimensions): none gets the values of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_writer import SHAPE, pixels_of

from stream_service.errors import SourceError
from stream_service.hdf5.opening import BeingWrittenError
from stream_service.sources.hdf5.raw_rows import RawRows

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


def pixels_by_id(path: Path) -> dict[int, np.ndarray]:
    with RawRows(path, "timeStamp", None) as file:
        return {frame.unique_id: frame.pixels for frame in file.frames(np.arange(len(file.identities)))}


def check(path: Path, arrivals: Sequence[int]) -> None:
    """These are there, each with its own image."""
    found = pixels_by_id(path)
    assert sorted(found) == [arrival + 1 for arrival in arrivals]
    for arrival in arrivals:
        np.testing.assert_array_equal(found[arrival + 1], pixels_of(arrival))


def test_images_by_index_find_their_values_that_stand_as_they_came(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", BY_INDEX)
    check(tmp_path / "raw.h5", [0, 1, 2, 3, 5, 6, 7, 8, 9])


def test_images_by_index_find_their_values_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", BY_INDEX, values_at=BY_INDEX)
    check(tmp_path / "raw.h5", [0, 1, 2, 3, 5, 6, 7, 8, 9])


@pytest.mark.parametrize("rows", [[0, 1, 3, 4], [0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12], [0, 1, 1, 2]])
def test_one_image_out_of_its_row_moves_no_other(tmp_path: Path, rows: list[int]) -> None:
    write(tmp_path / "raw.h5", rows)
    check(tmp_path / "raw.h5", [k for k, row in enumerate(rows) if row not in rows[k + 1 :]])


@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [4, 3, 2, 1, 0]])
def test_images_by_an_index_that_was_not_recorded_are_not_used(tmp_path: Path, rows: list[int]) -> None:
    write(tmp_path / "raw.h5", rows)
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        del file["entry/scanIndex"]
    with pytest.raises(SourceError, match="DimAttDatasets"):
        RawRows(tmp_path / "raw.h5", "timeStamp", None)


@pytest.mark.parametrize("rows", [BY_INDEX, [0, 1, 3, 4], [0, 1, 1, 2], [4, 3, 2, 1, 0]])
def test_what_may_be_written_by_index_is_read_once_it_is_closed(tmp_path: Path, rows: list[int]) -> None:
    path = tmp_path / "raw.h5"
    file = write(path, rows, grows=True)
    with pytest.raises(BeingWrittenError, match="once it is closed"):
        RawRows(path, "timeStamp", None)
    file.close()
    assert pixels_by_id(path)


@pytest.mark.parametrize("rows", [range(8), [0, 0, 1, 1, 2, 2, 3, 3], [7] * 8])
def test_a_column_like_an_index_does_not_hold_up_a_growing_file(tmp_path: Path, rows: Sequence[int]) -> None:
    path = tmp_path / "raw.h5"
    file = write(path, range(8), grows=True)
    file["entry/scanIndex"][:] = np.array(rows)
    file["entry/scanIndex"].flush()
    check(path, range(8))
    file.close()


def test_a_grid_of_images_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", range(12), grid=(3, 4))
    check(tmp_path / "raw.h5", range(12))


def test_a_grid_of_images_with_values_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "raw.h5", range(10), grid=(3, 4))
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        for name in list(file["entry"]):
            if "NDAttrName" in file[f"entry/{name}"].attrs:
                stored, attributes = file[f"entry/{name}"][()], dict(file[f"entry/{name}"].attrs)
                del file[f"entry/{name}"]
                padded = np.concatenate([stored, np.zeros(2, stored.dtype)]).reshape(3, 4)
                file.create_dataset(f"entry/{name}", data=padded, chunks=(1, 1)).attrs.update(attributes)
    check(tmp_path / "raw.h5", range(10))
