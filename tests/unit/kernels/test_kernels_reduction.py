"""The numeric policy in numbers worked out by hand, for the definition and for the kernel alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pytest

from stream_service.kernels import Corrections, FrameReducer, FrameSummary, Geometry, Grouping, reference

nan = math.nan


class Row(NamedTuple):
    out: list[list[float]]
    summary: FrameSummary
    saturated: list[list[int]]


class Reduce(Protocol):
    def __call__(
        self,
        frames: Any,
        exposures_s: Sequence[float] = ...,
        grouping: str = ...,
        dtype: str = ...,
        bin: int = ...,
        roi: tuple[int, int] | None = ...,
        **corrections: Any,
    ) -> Row: ...


@pytest.fixture(params=["definition", "kernel"])
def reduce(request: pytest.FixtureRequest) -> Reduce:
    def run(frames, exposures_s=(), grouping="sum", dtype="u2", bin=1, roi=None, **corrections) -> Row:
        stack = np.array(frames, dtype)
        stack = stack if stack.ndim == 3 else stack[None]
        times_s = list(exposures_s) or [1.0] * len(stack)
        geometry = Geometry(stack.shape[1:], roi, bin=bin)
        given: dict[str, Any] = {
            name: np.array(value) if isinstance(value, list) else value for name, value in corrections.items()
        }
        settings = Corrections(**given)
        if request.param == "definition":
            row = reference.reduce_frames(stack, times_s, geometry, settings, Grouping(grouping))
            return Row(row.out.tolist(), row.summary, row.saturated.tolist())
        reducer = FrameReducer(geometry, settings, Grouping(grouping), dtype)
        out = np.empty(reducer.out_shape, np.float32)
        summary = reducer.reduce(stack, times_s, out)
        return Row(out.tolist(), summary, reducer.saturated_counts.tolist())

    return run


def described(summary: FrameSummary) -> tuple[float, ...]:
    """Intensity, centre of mass, saturated pixels, exposure kept, exposure time."""
    names = ("intensity", "com_y", "com_x", "n_saturated")
    return (*(summary.features[name] for name in names), summary.best_index, summary.exposure_s)


def test_dark_flat_clip_and_gain_in_this_order(reduce: Reduce) -> None:
    # flat 4, 4, 2, 2 over a dark of 2: response 2, 2, 0 (bad), 0 (bad); mean over good 2: factors 1
    row = reduce([[10, 1], [7, 1]], dark=[[2, 2], [2, 2]], flat=[[6, 10], [6, 10]], gain=2.0)
    # responses 4, 8, 4, 8, mean 6: (10 - 2) * 6/4 / 2 = 6; (1 - 2) < 0 -> 0; (7 - 2) * 1.5 / 2 = 3.75
    assert row.out == [[6.0, 0.0], [3.75, 0.0]]
    kept = reduce([[10, 1], [7, 1]], dark=[[2, 2], [2, 2]], flat=[[6, 10], [6, 10]], gain=2.0, negatives="keep")
    assert kept.out == [[6.0, -0.375], [3.75, -0.375]]


def test_negative_raw_values_are_clipped_without_a_dark_too(reduce: Reduce) -> None:
    assert reduce([[-3, 3]], dtype="i2").out == [[0.0, 3.0]]
    assert reduce([[-3, 3]], dtype="i2", negatives="keep").out == [[-3.0, 3.0]]


def test_negatives_are_clipped_in_each_frame_before_the_bin_and_the_group(reduce: Reduce) -> None:
    assert reduce([[[-3, 4]], [[5, -1]]], dtype="i2").out == [[5.0, 4.0]]
    assert reduce([[-3, 4], [4, 4]], dtype="i2", bin=2).out == [[12.0]]


def test_a_bad_pixel_keeps_its_value_and_counts_in_nothing(reduce: Reduce) -> None:
    row = reduce([[1, 900], [2, 3]], mask=[[0, 1], [0, 0]], saturation_level=800)
    assert row.out == [[1.0, 900.0], [2.0, 3.0]]
    assert described(row.summary) == (6.0, 5 / 6, 3 / 6, 0, -1, 1.0)


def test_a_bad_pixel_is_the_mean_of_the_good_pixels_around_it_when_asked(reduce: Reduce) -> None:
    mask = [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
    row = reduce([[1, 2, 3], [4, 99, 99], [7, 8, 9]], mask=mask, bad_pixels="interpolate")
    assert row.out[1] == [4.0, pytest.approx(34 / 7), 5.5]
    assert row.summary.features["intensity"] == 34.0


def test_the_next_ring_is_taken_only_when_the_nearest_has_no_good_pixel(reduce: Reduce) -> None:
    mask = [[1, 1, 0, 0, 1, 1, 1]]
    row = reduce([[0, 0, 5, 9, 0, 0, 0]], mask=mask, bad_pixels="interpolate")
    assert row.out == [[5.0, 5.0, 5.0, 9.0, 9.0, 9.0, 9.0]]


def test_neighbours_outside_the_roi_are_measured_too(reduce: Reduce) -> None:
    mask = [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    frame = [[8, 8, 8, 8], [8, 0, 0, 8], [8, 0, 0, 8], [8, 8, 8, 8]]
    row = reduce(frame, mask=mask, bad_pixels="interpolate", roi=(2, 2), dark=[[1] * 4] * 4)
    assert row.out == [[7.0, 7.0], [7.0, 7.0]]
    assert math.isnan(row.summary.features["com_y"]), "an interpolated pixel is not a measurement: it stays bad"


def test_a_bin_is_scaled_by_its_share_of_good_pixels(reduce: Reduce) -> None:
    mask = [[0, 1, 1, 1], [0, 0, 1, 1]]
    row = reduce([[1, 50, 50, 50], [2, 3, 50, 50]], mask=mask, bin=2)
    assert row.out == [[6 * 4 / 3, 0.0]]
    assert row.summary.features["intensity"] == 8.0


def test_interpolated_pixels_count_in_a_bin(reduce: Reduce) -> None:
    row = reduce([[1, 50], [2, 3]], mask=[[0, 1], [0, 0]], bin=2, bad_pixels="interpolate")
    assert row.out == [[8.0]]


def test_saturation_is_judged_on_the_raw_value_at_or_above_the_level(reduce: Reduce) -> None:
    row = reduce([[99, 100, 101]], saturation_level=100, dark=[[50, 50, 50]], gain=10.0)
    assert row.saturated == [[0, 1, 1]]
    assert row.summary.features["n_saturated"] == 2


def test_a_level_between_two_raw_values_is_judged_exactly(reduce: Reduce) -> None:
    assert reduce([[99, 100]], saturation_level=99.5).saturated == [[0, 1]]
    nearest = np.float32(0.7)
    assert float(nearest) < 0.7
    row = reduce([[nearest, np.nextafter(nearest, np.float32(1))]], saturation_level=0.7, dtype="f4")
    assert row.saturated == [[0, 1]]


def test_a_level_beyond_the_dtype_is_never_or_always_reached(reduce: Reduce) -> None:
    assert reduce([[0, 255]], saturation_level=256, dtype="u1").saturated == [[0, 0]]
    assert reduce([[0, 255]], saturation_level=-1, dtype="u1").saturated == [[1, 1]]


def test_one_saturated_pixel_saturates_its_bin_and_one_neighbour_an_interpolated_pixel(reduce: Reduce) -> None:
    row = reduce([[9, 9, 1, 1], [1, 1, 1, 1]], saturation_level=9, bin=2)
    assert (row.saturated, row.summary.features["n_saturated"]) == ([[1, 0]], 2)
    row = reduce([[9, 0, 1, 0, 1]], saturation_level=9, mask=[[0, 1, 0, 1, 0]], bad_pixels="interpolate")
    assert (row.saturated, row.summary.features["n_saturated"]) == ([[1, 1, 0, 0, 0]], 1)


def test_sum_and_mean_of_equal_exposures(reduce: Reduce) -> None:
    frames = [[[1, 2]], [[3, 9]], [[5, 9]]]
    row = reduce(frames, [0.5, 0.5, 0.5], saturation_level=9)
    assert row.out == [[9.0, 20.0]]
    assert row.saturated == [[0, 2]]
    assert described(row.summary) == (29.0, 0.0, 20 / 29, 2, -1, 1.5)
    row = reduce(frames, [0.5, 0.5, 0.5], "mean", saturation_level=9)
    assert row.out == [[3.0, pytest.approx(20 / 3)]]
    assert row.summary.exposure_s == 0.5


def test_unequal_exposures_take_a_saturated_pixel_from_those_that_are_not(reduce: Reduce) -> None:
    frames = [[[10, 100]], [[40, 255]], [[5, 49]]]
    times_s = [0.25, 1.0, 0.125]
    row = reduce(frames, times_s, saturation_level=255)
    assert row.out == [[55.0, pytest.approx(149 / 0.375 * 1.375)]]
    assert row.saturated == [[0, 0]]
    assert row.summary.features["n_saturated"] == 0
    assert row.summary.exposure_s == 1.375
    mean = reduce(frames, times_s, "mean", saturation_level=255)
    assert mean.out == [[pytest.approx(55 / 3), pytest.approx(149 / 0.375 * 1.375 / 3)]]


def test_where_all_unequal_exposures_saturate_the_shortest_counts_and_is_saturated(reduce: Reduce) -> None:
    row = reduce([[[10, 255]], [[40, 255]]], [0.25, 1.0], saturation_level=255)
    assert row.out == [[50.0, 255 / 0.25 * 1.25]]
    assert row.saturated == [[0, 2]]
    assert row.summary.features["n_saturated"] == 1


def test_unknown_exposure_times_are_combined_plainly(reduce: Reduce) -> None:
    row = reduce([[[10, 255]], [[40, 255]]], [0.25, nan], saturation_level=255)
    assert row.out == [[50.0, 510.0]]
    assert math.isnan(row.summary.exposure_s)
    assert reduce([[[10, 255]], [[40, 255]]], [0.0, 1.0], saturation_level=255).out == [[50.0, 510.0]]


def test_first_keeps_the_first(reduce: Reduce) -> None:
    row = reduce([[[1, 9]], [[9, 9]]], [0.1, 0.2], "first", saturation_level=9)
    assert row.out == [[1.0, 9.0]]
    assert described(row.summary) == (10.0, 0.0, 0.9, 1, 0, 0.1)
    assert row.saturated == [[0, 1]]


def test_best_has_the_highest_median_over_good_pixels(reduce: Reduce) -> None:
    frames = [[[5, 5, 5, 0]], [[6, 6, 6, 0]], [[1, 1, 9, 900]]]
    row = reduce(frames, [0.1, 0.2, 0.3], "best", mask=[[0, 0, 0, 1]])
    assert (row.summary.best_index, row.summary.exposure_s) == (1, 0.2)
    assert row.out == [[6.0, 6.0, 6.0, 0.0]]


def test_best_compares_after_saturation_clip_but_stores_what_was_measured(reduce: Reduce) -> None:
    frames = [[[30, 30, 1]], [[20, 20, 2]]]  # medians 30 and 20, both 15 when clipped; sums 31 and 32
    row = reduce(frames, grouping="best", saturation_level=15)
    assert row.summary.best_index == 1
    assert row.out == [[20.0, 20.0, 2.0]]
    assert row.saturated == [[1, 1, 0]]
    assert reduce(frames, grouping="best").summary.best_index == 0


def test_best_takes_the_earliest_of_equals(reduce: Reduce) -> None:
    assert reduce([[[1, 2, 3]], [[3, 2, 1]]], grouping="best").summary.best_index == 0


def test_best_never_prefers_a_frame_with_nan(reduce: Reduce) -> None:
    assert reduce([[[nan, 9.0, 9.0]], [[1, 2, 3]]], grouping="best", dtype="f4").summary.best_index == 1


def test_no_light_has_no_centre_of_mass(reduce: Reduce) -> None:
    summary = reduce([[0, 0]]).summary
    assert summary.features["intensity"] == 0
    assert math.isnan(summary.features["com_y"]) and math.isnan(summary.features["com_x"])


def test_a_raw_nan_is_stored_as_nan_and_not_as_darkness(reduce: Reduce) -> None:
    row = reduce([[nan, 2.0]], dtype="f4")
    assert math.isnan(row.out[0][0])
    assert math.isnan(row.summary.features["intensity"])
    masked = reduce([[nan, 2.0]], dtype="f4", mask=[[1, 0]])
    assert masked.summary.features["intensity"] == 2.0


def test_64_bit_counts_beyond_float64_are_judged_exactly(reduce: Reduce) -> None:
    top = 2**63
    row = reduce([[top - 1, top]], dtype="u8", saturation_level=float(top))
    assert row.saturated == [[0, 1]]
