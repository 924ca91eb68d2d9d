"""The part of a frame that is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.errors import ConfigError
from stream_service.quality_report.view import View

FRAME = np.arange(8 * 12, dtype=np.uint16).reshape(8, 12)
ALL_GOOD = np.ones(FRAME.shape, bool)


def seen(view: View, good: np.ndarray = ALL_GOOD) -> np.ndarray:
    out = np.zeros(view.shape, np.float32)
    view.frame_into(FRAME, good, out)
    return out


def test_nothing_asked_is_the_stored_frame() -> None:
    view = View.of(FRAME.shape, None, None, None)
    assert view.is_as_stored(FRAME.shape)
    assert (seen(view) == FRAME).all()


@pytest.mark.parametrize(("roi", "shape"), [("4", (4, 4)), ("4,6", (4, 6)), ("3", (3, 3))])
def test_roi_is_about_the_middle_of_the_frame(roi: str, shape: tuple[int, int]) -> None:
    view = View.of(FRAME.shape, roi, None, None)
    assert view.shape == shape
    assert seen(view)[shape[0] // 2, shape[1] // 2] == FRAME[4, 6]
    assert not view.is_as_stored(FRAME.shape)


def test_roi_beyond_the_frame_takes_all_of_it_and_says_so() -> None:
    view = View.of(FRAME.shape, "1024", None, None)
    assert view.shape == FRAME.shape
    assert "--roi 1024 reaches beyond frames of 8 x 12 pixels" in view.notes[0]


def test_bin_sums_good_pixels_and_scales_by_their_share() -> None:
    good = ALL_GOOD.copy()
    good[0, 0] = good[2:4, 2:4] = False
    view = View.of(FRAME.shape, None, 2, None)
    binned = seen(view, good)
    assert binned[1, 2] == FRAME[2:4, 4:6].sum()
    assert binned[0, 0] == pytest.approx(FRAME[:2, :2].sum() * 4 / 3)  # FRAME[0, 0] is 0
    assert view.mask(good).tolist()[1][1] is False
    assert view.mask(good).sum() == 4 * 6 - 1


def test_finer_cells_than_there_are_pixels_are_told() -> None:
    view = View.of((64, 64), "1024", 4, 32)
    assert view.embed_side == 16
    assert len(view.notes) == 2
    assert not View.of((64, 64), None, None, 32).is_as_stored((64, 64))


@pytest.mark.parametrize("roi", ["0", "-4", "a", "4,4,4", "4.5", ""])
def test_what_is_no_size_is_refused(roi: str) -> None:
    if roi:
        with pytest.raises(ConfigError, match="--roi"):
            View.of(FRAME.shape, roi, None, None)


def test_a_bin_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(ConfigError, match="--bin 9 is more than the 8 x 12 pixels"):
        View.of(FRAME.shape, None, 9, None)
