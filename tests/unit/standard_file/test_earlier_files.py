"""Files of earlier versions, which lack columns that were added since, are read by everything."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from stream_service.core.row import FEATURES
from stream_service.standard_file import validate_file
from stream_service.standard_file.repair.repair import repair
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.row_columns import PLACES
from stream_service.testing.example_file import example_row, write_example

ADDED = [path for path, column in PLACES if column.is_optional]


def write_earlier(path: Path, n_rows: int, lacks: list[str]) -> Path:
    """The example as a version wrote it that did not know these columns, and did not close it."""
    write_example(path, n_rows)
    with h5py.File(path, "r+") as file:
        for name in lacks:
            del file[name]
    return path


def test_features_of_the_first_version_are_in_every_file() -> None:
    assert [column.name for column in FEATURES if not column.is_optional] == [
        "intensity", "com_y", "com_x", "n_saturated",
    ]  # fmt: skip


@pytest.mark.parametrize("lacks", [ADDED, ADDED[1:3]], ids=["all", "some"])
def test_file_without_the_columns_added_since_is_as_valid_as_before(tmp_path: Path, lacks: list[str]) -> None:
    whole, earlier = tmp_path / "whole.h5", tmp_path / "earlier.h5"
    write_example(whole, 5)
    write_earlier(earlier, 5, lacks)
    assert [finding.message for finding in validate_file(earlier)] == [
        finding.message for finding in validate_file(whole)
    ]


def test_column_added_since_must_have_a_value_for_every_row(tmp_path: Path) -> None:
    path = write_earlier(tmp_path / "short.h5", 5, [])
    with h5py.File(path, "r+") as file:
        file[ADDED[-1]].resize(3, axis=0)
    assert ADDED[-1] in {finding.where for finding in validate_file(path) if finding.level == "error"}


def test_file_without_them_is_repaired_as_it_is(tmp_path: Path) -> None:
    path, repaired = write_earlier(tmp_path / "earlier_std.h5", 5, ADDED), tmp_path / "repaired_std.h5"
    with h5py.File(path, "r+") as file:
        file[paths.STATE][()] = b"RECEIVING"
    repair(path, repaired)
    assert not [finding for finding in validate_file(repaired) if finding.level == "error"]
    with h5py.File(repaired) as file:
        assert file[paths.INTENSITY][()].tolist() == [example_row(row)["features"]["intensity"] for row in range(5)]
        assert not any(name in file for name in ADDED)
