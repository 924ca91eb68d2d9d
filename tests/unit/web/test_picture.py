"""Pictures are made small for a page without inventing light."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.web.picture import binned, picture_of


def test_small_picture_is_shown_as_it_is() -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    picture = picture_of(pixels, {"row": 3})
    assert picture.step == 1 and np.array_equal(picture.pixels, pixels) and picture.attributes["row"] == 3


def test_large_picture_is_binned_to_the_limit() -> None:
    picture = picture_of(np.ones((1000, 30), np.float32), {}, most_pixels=256)
    assert picture.step == 4 and picture.pixels.shape == (250, 8)
    assert (picture.pixels == 1).all()


def test_pixels_that_are_not_known_are_left_out_of_a_mean() -> None:
    pixels = np.array([[1, np.nan, np.nan], [3, np.nan, np.nan]], np.float32)
    assert np.array_equal(binned(pixels, 2), [[2, np.nan]], equal_nan=True)


def test_map_lies_where_its_attributes_say() -> None:
    place = {"pixel_m": 2e-6, "x0_m": 10e-6, "y0_m": -4e-6}
    assert picture_of(np.zeros((3, 5)), place).extent_um() == pytest.approx((9.0, -5.0, 10.0, 6.0))


def test_every_picture_is_told_from_the_one_before() -> None:
    pixels = np.zeros((2, 2), np.float32)
    assert picture_of(pixels, {}).serial != picture_of(pixels, {}).serial
