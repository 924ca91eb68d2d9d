"""The rows of a writer that died come out as they went in: identity first, then blocks of rows with their pixels."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import h5py
import numpy as np
import pytest
from unclosed_files import GEOMETRY, N_ROWS, cut, end_of_row, write_killed

from stream_service.core.row import FEATURES, FRAME_COLUMNS, KEEP, POSITION_COLUMNS, ROW_COLUMNS, row_dtype
from stream_service.errors import SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.standard_file import SalvagedRows, StandardFile, paths, repair_file, validate_file
from stream_service.standard_file.read.announced_rows import standard_rows
from stream_service.standard_file.repair.salvaged_rows import MOST_STARTS
from stream_service.standard_file.schema.row_columns import PLACES, column_blocks, rows_of
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    append_row,
    example_header,
    example_pixels,
    example_row,
    write_example,
)

FRAME_BYTES = 4 * 64 * 80
COLUMNS = (*FRAME_COLUMNS, *ROW_COLUMNS, *POSITION_COLUMNS, KEEP, *FEATURES)


def any_rows(n_rows: int, frames_per_row: int) -> np.ndarray[Any, Any]:
    """Rows in which no value is a default, but for a row of blanks."""
    random = np.random.default_rng(16)
    rows = np.zeros(n_rows, row_dtype(frames_per_row))
    for column in COLUMNS:
        values = (rows["features"] if column in FEATURES else rows)[column.name]
        values[:] = random.integers(1, 100, values.shape)
        values[1] = column.blank
    return rows


@pytest.mark.parametrize("frames_per_row", [1, 3])
def test_rows_come_back_from_their_columns(frames_per_row: int) -> None:
    rows = any_rows(5, frames_per_row)
    back = rows_of(dict(column_blocks(rows)))
    assert back.dtype == rows.dtype and back.tobytes() == rows.tobytes()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_that_is_optional_reads_blank_and_no_other_does(column: Any) -> None:
    columns = dict(column_blocks(any_rows(3, 2)))
    columns.pop(next(path for path, found in PLACES if found == column))
    if not column.is_optional:
        with pytest.raises(KeyError, match=column.name.replace("x_m", "posx_m").replace("y_m", "posy_m")):
            rows_of(columns)
        return
    rows = rows_of(columns)
    np.testing.assert_array_equal(
        (rows["features"] if column in FEATURES else rows)[column.name], np.full((3, *column.shape), column.blank)
    )


def test_blocks_have_the_rows_as_they_were_written(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    with SalvagedRows(path, is_left=True) as found:
        assert (found.n_rows, found.n_announced, found.frames_per_row) == (N_ROWS, N_ROWS, 1)
        assert (found.scan_id, found.state, found.frame_shape) == ("example", "RECEIVING", (64, 80))
        assert found.start_timestamp_ns == START_NS and '"grouping": "sum"' in found.settings
        assert found.counts["expected"] == 60 and found.counts["stored"] == N_ROWS
        expected = np.array([example_row(row) for row in range(N_ROWS)])
        for name in found.rows.dtype.names or ():
            np.testing.assert_array_equal(found.rows[name], expected[name])
        values, stamps_ns = found.readbacks["x"]
        np.testing.assert_array_equal(stamps_ns[:N_ROWS], expected["timestamp_ns"][:, 0])
        np.testing.assert_array_equal(values[:N_ROWS], -1e6 * expected["x_m"])
        assert len(found.readbacks["ring_current"][0]) == 0
        assert found.planned_m is not None and found.planned_m.shape == (60, 2)
        assert found.mask is not None and not found.mask.any() and found.pixel_mask is not None
        blocks = list(found.blocks(most_bytes=7 * FRAME_BYTES))
    assert [len(rows) for rows, _ in blocks] == [7, 7, 7, 7, 7, 5]
    assert np.concatenate([rows for rows, _ in blocks]).tobytes() == expected.tobytes()
    for row, pixels in enumerate(np.concatenate([pixels for _, pixels in blocks])):
        np.testing.assert_array_equal(pixels, example_pixels(row, (64, 80)))


def test_what_says_whether_a_row_is_used_is_kept(tmp_path: Path) -> None:
    """Flags, a position that is not known, a repeat, the row that it replaces, groups of which a frame is missing."""
    changes: list[dict[str, Any]] = [
        {},
        {"flags": 2, "keep": 0, "x_m": np.nan, "y_m": np.nan},
        {"unique_id": (5, -1), "epoch": (0, -1), "status": (1, 0), "n_frames": 1},
        {"replaces": 1, "planned": 1, "status": (1, 2)},
    ]
    rows = [example_row(index, 2, **change) for index, change in enumerate(changes)]
    path = tmp_path / "scan_std.h5"
    with StandardFile.create(path, example_header(None, frames_per_row=2, **GEOMETRY)) as file:
        for row in rows:
            append_row(file, row, example_pixels(0, (64, 80)))
        file.leave_out([0])
        file.flush()
        with SalvagedRows(path, is_left=True) as found:
            kept, _ = found.block(0, 4)
            assert found.planned_m is None
    rows[0]["keep"] = 0
    assert kept.tobytes() == np.array(rows).tobytes()


def test_of_a_file_of_an_earlier_version_what_it_lacks_reads_blank(tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    write_example(path, 3, **GEOMETRY)
    with h5py.File(path, "r+") as file:
        for name in ("planned", "shutter_open"):
            del file[f"{paths.FRAMES}/{name}"]
        del file[f"{paths.FEATURES}/cells"]
    with SalvagedRows(path, is_left=True) as found:
        rows, pixels = found.block(1, 3)
    assert rows["planned"].tolist() == [-1, -1] and rows["shutter_open"].tolist() == [-1, -1]
    assert np.isnan(rows["features"]["cells"]).all() and rows["features"]["intensity"].tolist() == [1, 2]
    np.testing.assert_array_equal(pixels[0], example_pixels(1, (64, 80)))


def test_rows_before_a_cut_are_there_and_no_more(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    short = cut(path, end_of_row(path, 33) - 1)
    with SalvagedRows(short, is_left=True) as found:
        assert (found.n_rows, found.n_announced) == (33, N_ROWS)
        assert sum(len(rows) for rows, _ in found.blocks()) == 33


def test_a_file_without_a_row_has_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    with (
        StandardFile.create(path, example_header(5, **GEOMETRY)) as file,
        SalvagedRows(file.path, is_left=True) as found,
    ):
        assert found.n_rows == 0 and list(found.blocks()) == [] and found.planned_m is not None


def test_what_cannot_be_salvaged_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        SalvagedRows(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(SourceError, match=r"other\.h5 is not a standard file"):
        SalvagedRows(tmp_path / "other.h5")
    short = cut(write_killed(tmp_path), 3000)
    with pytest.raises(SourceError, match=r"cannot be (read|repaired)"):
        SalvagedRows(short, is_left=True)


def test_the_file_of_a_writer_that_lives_is_left_to_it(tmp_path: Path) -> None:
    """Its heart beats while it is watched."""
    over = Event()
    with StandardFile.create(tmp_path / "scan_std.h5", example_header(5, **GEOMETRY)) as file:

        def beat() -> None:
            while not over.wait(0.05):
                file.flush()

        heart = Thread(target=beat)
        heart.start()
        try:
            with pytest.raises(SourceError, match="its heartbeat counts on"):
                SalvagedRows(file.path)
        finally:
            over.set()
            heart.join()


def test_rows_beyond_the_keys_are_salvaged_once_they_were_flushed(tmp_path: Path) -> None:
    """Late rows, which put others right, may be more than were expected."""
    path = tmp_path / "scan_std.h5"
    with StandardFile.create(path, example_header(5, **GEOMETRY)) as file:
        append_example_rows(file, 0, 4)
        file.flush()
        with SalvagedRows(path, is_left=True) as found:
            assert found.n_rows == 4
        append_example_rows(file, 4, 8)
        file.flush()
        append_example_rows(file, 8, 9)
        with SalvagedRows(path, is_left=True) as found:
            assert (found.n_rows, found.n_announced) == (8, 8)
            rows, pixels = found.block(0, 8)
        with open_hdf5(path).file as opened:
            assert standard_rows(opened).n_rows == 8
        done = repair_file(path, tmp_path / "new.h5", sleep=lambda _: None, clock=iter((0.0, 9.0)).__next__)
    assert rows.tobytes() == np.array([example_row(row) for row in range(8)]).tobytes()
    np.testing.assert_array_equal(pixels[7], example_pixels(7, (64, 80)))
    assert done.n_rows == 8
    with h5py.File(done.path) as opened:
        count: Any = opened["/entry/live/n_rows"]
        assert count[()] == 8
    assert [found for found in validate_file(done.path) if found.level == "error"] == []


def end_reader(found: SalvagedRows) -> None:
    """Someone ends the process that reads."""
    process = found._process._process
    assert process.number is not None
    os.kill(process.number, signal.SIGKILL)


def test_reader_that_is_ended_by_someone_is_started_again(tmp_path: Path) -> None:
    with SalvagedRows(write_killed(tmp_path), is_left=True) as found:
        rows, pixels = found.block(0, 2)
        for _ in range(MOST_STARTS - 1):
            end_reader(found)
            again = found.block(0, 2)
            assert again[0].tobytes() == rows.tobytes() and again[1].tobytes() == pixels.tobytes()
        end_reader(found)
        with pytest.raises(SourceError, match=r"cannot be salvaged: .*SIGKILL"):
            found.block(0, 2)
