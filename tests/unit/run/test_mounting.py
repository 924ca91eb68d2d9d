"""The simulated camera's mounting and the profile's rotate and flip are each other's inverse, in all 8 orientations."""

from __future__ import annotations

import numpy as np
import pytest

from iocsim.detector.camera import mount
from stream_service.kernels import Geometry


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["none", "h", "v", "hv"])
def test_profile_brings_the_ideal_frame_back(rotate: int, flip: str) -> None:
    ideal = np.arange(4 * 6).reshape(4, 6)
    raw = mount(ideal, rotate, flip)
    assert np.array_equal(Geometry(raw_shape=raw.shape, rotate=rotate, flip=flip).apply(raw), ideal)
