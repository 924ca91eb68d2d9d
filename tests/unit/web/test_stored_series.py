"""What the page is sent of a file is bounded, and is what stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.errors import SourceError
from stream_service.standard_file.schema import paths
from stream_service.web.stored_row import nearest_row
from stream_service.web.stored_series import MOST_BINS, stored_series

N = 200_000


@pytest.fixture(scope="module")
def long_scan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[h5py.File]:
    path = tmp_path_factory.mktemp("series") / "long.h5"
    with h5py.File(path, "w") as file:
        for key in paths.LIVE_KEYS:
            file[key] = np.arange(1, N + 1, dtype=np.uint32)
        file[paths.INTENSITY] = np.arange(N, dtype=np.float64)
        score = np.zeros(N)
        score[[5, 123_456]] = 0.9, 0.6
        file[f"{paths.QC}/score"] = score
        file[f"{paths.QC}/gates"] = np.zeros(N, np.uint32)
        file[paths.STAMPS] = 1_000_000_000 + np.arange(N)[:, None] * 1_000_000
        file[paths.POS_X] = np.where(np.arange(N) == 7, np.nan, np.arange(N) % 1000 * 1e-6)
        file[paths.POS_Y] = np.arange(N) // 1000 * 1e-6
        yield file


def test_scan_of_any_length_is_a_thousand_bins(long_scan: h5py.File) -> None:
    facts, arrays = stored_series(long_scan)
    assert facts["n_rows"] == N and facts["step"] * len(arrays["row"]) >= N
    assert all(len(array) <= MOST_BINS for array in arrays.values())
    assert arrays["low"][0] == 0 and arrays["high"][-1] == N - 1
    np.testing.assert_allclose(arrays["mean"], arrays["row"])
    assert arrays["time_s"][-1] == pytest.approx((N - facts["step"]) / 1000)


def test_one_rejected_row_of_many_is_not_lost_in_its_bin(long_scan: h5py.File) -> None:
    _, arrays = stored_series(long_scan)
    assert arrays["rejected_row"].tolist() == [5, 123_456]
    assert arrays["score"].max() == 0.9


def test_last_word_on_a_row_is_that_of_who_evaluated_the_file(long_scan: h5py.File) -> None:
    tags = np.zeros(N, np.uint8)
    tags[[9, 123_456]] = 1
    long_scan[paths.TAGS] = tags
    try:
        assert stored_series(long_scan)[1]["rejected_row"].tolist() == [9, 123_456]
    finally:
        del long_scan[paths.TAGS]


def test_nearest_row_is_one_whose_position_is_known(long_scan: h5py.File) -> None:
    assert nearest_row(long_scan, 41e-6, 3e-6) == 3041
    assert nearest_row(long_scan, 7e-6, 0.0) in (6, 8, 1007)


def test_scan_without_rows_is_empty_and_no_scan_is_a_sentence(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        with pytest.raises(SourceError, match="not a standard file"):
            stored_series(file)
        for key in paths.LIVE_KEYS:
            file[key] = np.zeros(10, np.uint32)
        facts, arrays = stored_series(file)
        assert facts["n_rows"] == 0 and all(not len(array) for array in arrays.values())
        with pytest.raises(SourceError):
            nearest_row(file, 0.0, 0.0)
