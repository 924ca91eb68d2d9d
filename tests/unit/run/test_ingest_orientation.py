"""Directions of a stored frame's axes after the camera's mounting was undone."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.kernels import Geometry
from stream_service.run.recorded.recorded_setup import turned_signs


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["none", "h", "v", "hv"])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_signs_turn_with_the_pixels(rotate: int, flip: str, signs: tuple[int, int]) -> None:
    ny, nx = 4, 6
    geometry = Geometry(raw_shape=(ny, nx), rotate=rotate, flip=flip)
    # every raw pixel is labelled with the x and y it lies at
    y, x = np.meshgrid(signs[0] * np.arange(ny), signs[1] * np.arange(nx), indexing="ij")
    stored_y, stored_x = geometry.apply(y), geometry.apply(x)
    along_rows = (stored_y[1, 0] - stored_y[0, 0], stored_x[1, 0] - stored_x[0, 0])
    along_columns = (stored_y[0, 1] - stored_y[0, 0], stored_x[0, 1] - stored_x[0, 0])
    if geometry.transposes:
        assert turned_signs(signs, geometry) == (along_rows[1], along_columns[0])
    else:
        assert turned_signs(signs, geometry) == (along_rows[0], along_columns[1])


def test_rotate_and_flip_make_upright_what_does_not_say_how_it_lies() -> None:
    geometry = Geometry(raw_shape=(4, 6), rotate=90, flip="h")
    assert turned_signs(None, geometry) == (1, 1)
