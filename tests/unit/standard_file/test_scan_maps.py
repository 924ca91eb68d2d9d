"""Maps in scan space: a value per row, drawn where the beam was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.row import LONGEST_TRAVEL_M
from stream_service.qc import maps
from stream_service.qc.maps import MAX_PIXELS, GrowingMap, scan_map


def grid(ny: int, nx: int, step_m: float = 1e-6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, column = np.mgrid[:ny, :nx]
    return column.ravel() * step_m, row.ravel() * step_m, (10.0 * row + column).ravel()


def test_grid_scan_is_drawn_pixel_for_pixel_with_y_up_the_rows():
    x_m, y_m, values = grid(4, 6)
    drawn = scan_map(x_m - 3e-6, y_m + 5e-6, values)
    np.testing.assert_allclose(drawn.image, values.reshape(4, 6))
    assert drawn.pixel_m == pytest.approx(1e-6)
    assert (drawn.x0_m, drawn.y0_m) == pytest.approx((-3e-6, 5e-6))


def test_extent_is_from_edge_to_edge():
    x_m, y_m, values = grid(2, 3)
    assert scan_map(x_m, y_m, values).extent_m == pytest.approx((-0.5e-6, 2.5e-6, -0.5e-6, 1.5e-6))


def test_order_of_rows_does_not_matter():
    x_m, y_m, values = grid(4, 6)
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_array_equal(
        scan_map(x_m, y_m, values).image, scan_map(x_m[order], y_m[order], values[order]).image
    )


def test_rows_of_one_pixel_are_averaged():
    x_m, y_m, values = grid(3, 3)
    twice = scan_map(np.r_[x_m, x_m], np.r_[y_m, y_m], np.r_[values, values + 2.0])
    assert np.nanmean(twice.image) == pytest.approx(values.mean() + 1.0, rel=0.2)


def test_gap_takes_the_mean_of_its_neighbours():
    x_m, y_m, values = grid(5, 5)
    hole = 12
    keep = np.arange(25) != hole
    image = scan_map(x_m[keep], y_m[keep], values[keep]).image
    assert image.shape == (5, 5)
    assert image[2, 2] == pytest.approx(22.0)


def test_nothing_and_a_single_row_are_one_pixel():
    nothing = np.empty(0)
    assert np.isnan(scan_map(nothing, nothing, nothing).image).all()
    one = scan_map(np.array([3e-6]), np.array([-2e-6]), np.array([7.0]))
    assert one.image.tolist() == [[7.0]]
    assert (one.x0_m, one.y0_m) == (3e-6, -2e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_line_scan_is_a_line(axis):
    along, across = np.arange(50) * 1e-6, np.zeros(50)
    x_m, y_m = (along, across) if axis else (across, along)
    image = scan_map(x_m, y_m, np.arange(50.0)).image
    assert sorted(image.shape) == [1, 50]


@given(
    st.lists(
        st.tuples(
            st.floats(-LONGEST_TRAVEL_M, LONGEST_TRAVEL_M), st.floats(-LONGEST_TRAVEL_M, LONGEST_TRAVEL_M),
            st.floats(allow_nan=True, allow_infinity=True, width=32),
        ),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_any_rows_make_a_map_of_bounded_size(rows):
    image = scan_map(*np.array(rows).T).image
    assert max(image.shape) <= MAX_PIXELS
    assert image.dtype == np.float32


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("what", range(3))
def test_row_without_a_position_or_a_value_is_left_out(wrong, what):
    rows = np.array(grid(3, 3)).T
    more = np.concatenate([rows, rows[:1]])
    more[-1, what] = wrong
    np.testing.assert_array_equal(scan_map(*more.T).image, scan_map(*rows.T).image)


def test_values_count_from_what_is_usual_whenever_that_is_known():
    rows, growing = raster(6), GrowingMap()
    growing.draw(*rows.T, usual=-7.0)
    np.testing.assert_array_equal(growing.draw(*rows.T, usual=2000.0).image, scan_map(*rows.T).image - 2000)


def raster(n: int) -> np.ndarray:
    """(n * n, 3) rows of a scan line by line, whose value is that of the line and column."""
    fast, slow = np.meshgrid(np.arange(n), np.arange(n))
    return np.stack([fast * 1e-6, slow * 1e-6, (1000 * slow + fast).astype(float)], axis=-1).reshape(-1, 3)


def test_map_that_grows_shows_what_one_of_all_rows_shows() -> None:
    rows, growing = raster(12), GrowingMap()
    for n in range(1, len(rows) + 1, 5):
        drawn = growing.draw(*rows[:n].T)
        column = np.rint((rows[:n, 0] - drawn.x0_m) / drawn.pixel_m).astype(int)
        row = np.rint((rows[:n, 1] - drawn.y0_m) / drawn.pixel_m).astype(int)
        for at in zip(row, column, strict=True):
            is_there = (row == at[0]) & (column == at[1])
            assert drawn.image[at] == pytest.approx(rows[:n, 2][is_there].mean())
    assert drawn.pixel_m == pytest.approx(scan_map(*rows.T).pixel_m, rel=0.3)


def test_values_that_are_not_final_are_drawn_as_they_are_now() -> None:
    rows, growing = raster(12), GrowingMap()
    for n in range(20, len(rows) + 1, 4):
        now = rows[:n].copy()
        now[n - 12 :, 2] -= n
        drawn = growing.draw(*now.T, n_final=n - 12)
        row, column = (
            np.rint((now[:, 1 - axis] - low_m) / drawn.pixel_m).astype(int)
            for axis, low_m in enumerate((drawn.y0_m, drawn.x0_m))
        )
        total, count = np.zeros((2, *drawn.image.shape))
        np.add.at(total, (row, column), now[:, 2])
        np.add.at(count, (row, column), 1)
        assert drawn.image[count > 0] == pytest.approx(total[count > 0] / count[count > 0])


def test_look_at_a_long_scan_takes_the_new_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    binned: list[int] = []
    bincount = np.bincount

    def counted(flat: np.ndarray, **options: Any) -> np.ndarray:
        binned.append(len(flat))
        return bincount(flat, **options)

    monkeypatch.setattr(maps.np, "bincount", counted)
    rows, growing = raster(100), GrowingMap()
    for n in range(100, len(rows) + 1, 100):
        growing.draw(*rows[:n].T)
    assert sum(binned) / 2 < 8 * len(rows)
