"""Corrections as given, and what they become for each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.kernels import CorrectionError, Corrections, FrameReducer, Geometry


def test_the_flat_loses_its_dark_and_gets_mean_one_over_good_pixels() -> None:
    dark = np.full((2, 3), 10.0)
    flat = np.array([[110, 210, 310], [10, np.nan, 9910]])
    mask = np.array([[0, 0, 0], [0, 0, 1]])
    calibration = Corrections(dark, flat, mask).calibrate((2, 3))
    np.testing.assert_allclose(calibration.flat[0], [0.5, 1.0, 1.5])
    np.testing.assert_allclose(calibration.inverse_flat[0], [2.0, 1.0, 2 / 3], rtol=1e-7)
    assert calibration.good.tolist() == [[True, True, True], [False, False, False]]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf, -3.0])
def test_a_flat_pixel_without_response_is_bad_and_keeps_finite_factors(value: float) -> None:
    flat = np.array([[2.0, value], [2.0, 2.0]])
    calibration = Corrections(flat=flat).calibrate((2, 2))
    assert calibration.good.tolist() == [[True, False], [True, True]]
    np.testing.assert_array_equal(calibration.flat, 1)
    np.testing.assert_array_equal(calibration.inverse_flat, 1)


def test_a_dark_pixel_that_is_not_finite_is_bad_and_subtracts_nothing() -> None:
    calibration = Corrections(dark=np.array([[1.0, np.nan], [np.inf, 4.0]])).calibrate((2, 2))
    assert calibration.good.tolist() == [[True, False], [False, True]]
    assert calibration.dark.tolist() == [[1, 0], [0, 4]]


def test_nothing_given_corrects_nothing() -> None:
    calibration = Corrections().calibrate((2, 2))
    assert calibration.good.all()
    assert not calibration.dark.any()
    assert (calibration.inverse_flat == 1).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dark": np.zeros(4)}, "must be one image"),
        ({"dark": np.zeros((2, 2)), "mask": np.zeros((2, 3))}, "references of different shapes"),
        ({"gain": 0.0}, "gain 0.0 must be a number above 0"),
        ({"gain": float("nan")}, "gain nan"),
        ({"gain": 1e300}, "gain 1e\\+300"),
        ({"saturation_level": float("inf")}, "saturation level inf must be finite"),
        ({"saturation_level": float("nan")}, "saturation level nan"),
        ({"negatives": "zero"}, "negatives 'zero' is not one of clip, keep"),
        ({"bad_pixels": "zero"}, "bad_pixels 'zero' is not one of keep, interpolate"),
    ],
)
def test_corrections_that_cannot_be_are_refused_in_a_sentence(settings: dict, words: str) -> None:
    with pytest.raises(CorrectionError, match=words):
        Corrections(**settings)


@pytest.mark.parametrize(
    ("corrections", "words"),
    [
        (Corrections(dark=np.zeros((3, 2))), r"dark has shape \(3, 2\) but frames have \(2, 3\)"),
        (Corrections(mask=np.ones((2, 3))), "all 6 pixels bad: is it inverted"),
        (Corrections(flat=np.zeros((2, 3))), "leave no good pixel"),
        (Corrections(dark=np.full((2, 3), np.nan)), "leave no good pixel"),
    ],
)
def test_references_that_do_not_fit_the_frames_are_refused(corrections: Corrections, words: str) -> None:
    with pytest.raises(CorrectionError, match=words):
        FrameReducer(Geometry((2, 3)), corrections)


def test_the_given_arrays_are_not_kept_by_reference() -> None:
    dark = np.zeros((2, 2), np.float32)
    corrections = Corrections(dark=dark)
    dark[:] = 9
    assert corrections.dark is not None
    assert not corrections.dark.any()
