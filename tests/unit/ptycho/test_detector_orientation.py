"""The eight orientations: what the profile's words, matrices and PtyPy's numbers say is the same."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.kernels import Geometry
from stream_service.ptycho.orientation.detector_orientation import Orientation

ALL = list(Orientation.all())
IMAGE = np.arange(16).reshape(4, 4)
PROFILES = [(rotate, flip) for rotate in (0, 90, 180, 270) for flip in ("none", "h", "v", "hv")]


def test_there_are_eight() -> None:
    assert len({tuple(orientation.apply(IMAGE).reshape(-1)) for orientation in ALL}) == 8
    assert ALL[0] == Orientation()


@pytest.mark.parametrize(("rotate", "flip"), PROFILES)
def test_the_profiles_words_mean_what_the_kernel_does(rotate: int, flip: str) -> None:
    orientation = Orientation.of_profile(rotate, flip)
    done = Geometry(raw_shape=(4, 4), rotate=rotate, flip=flip).apply(IMAGE)  # type: ignore[arg-type]
    assert np.array_equal(orientation.apply(IMAGE), done)
    assert Orientation.of_profile(*orientation.profile) == orientation


@pytest.mark.parametrize("orientation", ALL)
def test_the_matrix_moves_a_pixel_as_the_turn_does(orientation: Orientation) -> None:
    image = np.zeros((5, 5))
    image[1, 4] = 1  # one row up, two columns right of the centre
    (found,) = np.argwhere(orientation.apply(image))
    assert (found - 2).tolist() == (orientation.matrix @ [-1, 2]).tolist()


@pytest.mark.parametrize("second", ALL)
@pytest.mark.parametrize("first", ALL)
def test_one_after_the_other_is_one_of_them(first: Orientation, second: Orientation) -> None:
    assert np.array_equal(second.after(first).apply(IMAGE), second.apply(first.apply(IMAGE)))


@pytest.mark.parametrize("orientation", ALL)
def test_upside_down_is_half_a_turn_more(orientation: Orientation) -> None:
    assert np.array_equal(orientation.upside_down.apply(IMAGE), np.rot90(orientation.apply(IMAGE), 2))
