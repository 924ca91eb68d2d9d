"""Rows that are flagged, left out or used again at the end of a run: few writes, however many they are."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.standard_file import StandardFile
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.testing.example_file import append_example_rows, example_header

N = 200


def test_rows_are_revised_by_one_write_a_column_and_no_other_row_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, n_writes, rewrite = tmp_path / "a_std.h5", 0, GrowingColumn.rewrite

    def count(column: GrowingColumn, start: int, block: np.ndarray) -> None:
        nonlocal n_writes
        n_writes += 1
        rewrite(column, start, block)

    with StandardFile.create(path, example_header(N)) as file:
        append_example_rows(file, 0, N)
        file.flush()
        with h5py.File(path, "r", swmr=True) as before:
            keep, flags = before["/entry/keep"][()], before["/entry/frames/flags"][()]
        monkeypatch.setattr(GrowingColumn, "rewrite", count)
        file.doubt(range(0, N, 2), 1024)
        file.doubt([7], 512, are_used=True)
        file.leave_out([5, 3])
        file.leave_out([])
        assert n_writes == 4
        file.settle(np.arange(N), np.full(N, -1), [2, 5])
    keep[0::2], keep[[5, 3]], keep[[2, 5]] = 0, 0, 1
    flags[0::2] |= 1024
    flags[7] |= 512
    with h5py.File(path) as after:
        assert after["/entry/keep"][()].tolist() == keep.tolist()
        assert after["/entry/frames/flags"][()].tolist() == flags.tolist()
