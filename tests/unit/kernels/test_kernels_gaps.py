"""A marker is told from a measurement: what never changes and cannot be a count is a gap, what may be one is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_service.kernels import Corrections, FrameReducer, Geometry
from stream_service.kernels.gaps import FIRST_FRAMES, find_gaps, is_blank, may_have_gaps

SHAPE = (40, 48)
LINES, DEAD = np.s_[20:24, :], (5, 5)


def counts(dtype: str, mean: float = 20, n: int = FIRST_FRAMES) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).poisson(mean, (n, *SHAPE)).astype(dtype)


def marked(dtype: str, gap: float, dead: float, mean: float = 20) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Frames with a gap between modules and a dead pixel, and where these are."""
    frames, is_gap = counts(dtype, mean), np.zeros(SHAPE, bool)
    frames[:, *LINES], frames[:, *DEAD] = gap, dead
    is_gap[LINES], is_gap[DEAD] = True, True
    return frames, is_gap


@pytest.mark.parametrize(
    ("dtype", "gap", "dead"),
    [
        ("u4", 2**32 - 1, 2**32 - 2),
        ("i4", -1, -2),
        ("i4", 2**31 - 1, -2),
        ("i2", -1, -2),
        ("i8", -1, 2**32 - 1),
        ("u8", 2**64 - 1, 2**32 - 1),
        ("u2", 65535, 65534),
        ("u2", 65535, 65535),
        ("u1", 255, 255),
        ("i2", 32767, 32767),
        ("u4", 65535, 65535),  # 16 bits once
        ("f4", np.nan, np.inf),
        ("f4", 4294967295, -1),
        ("f8", 4294967295, 4294967294),
        ("f4", -1, -2),
        ("f8", -1e30, np.nan),
    ],
)
def test_marker_of_each_type_is_a_gap(dtype, gap, dead):
    frames, is_gap = marked(dtype, gap, dead)
    assert may_have_gaps(frames[0], "auto")
    found = find_gaps(frames)
    np.testing.assert_array_equal(found.is_gap, is_gap)
    assert (len(found.told_by), found.doubt) == (FIRST_FRAMES, "")


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4", "f8"])
def test_frames_without_a_marker_wait_for_nothing(dtype):
    frames = counts(dtype)
    assert not may_have_gaps(frames[0], "auto")
    assert not find_gaps(frames).is_gap.any()


def test_sentence_says_how_many_pixels_hold_which_value_and_what_to_do():
    frames, _ = marked("u4", 2**32 - 1, 2**32 - 2)
    assert find_gaps(frames).sentence == (
        "193 pixels hold 4294967294 or 4294967295 in each of the first 5 frames: taken for gaps or dead pixels, "
        "masked, and stored as 0 (--gaps none takes such values for measurements)"
    )


def beam(peak: float) -> np.ndarray[Any, Any]:
    """A camera of 16 bits that saturates in the middle of a round beam."""
    y, x = np.indices(SHAPE)
    profile = peak * np.exp(-((y - 20) ** 2 + (x - 24) ** 2) / 50)
    return np.minimum(np.random.default_rng(3).poisson(profile, (FIRST_FRAMES, *SHAPE)), 65535).astype("u2")


@pytest.mark.parametrize("peak", [70_000, 200_000, 3e6])
def test_saturated_centre_of_the_beam_is_no_gap(peak):
    frames = beam(peak)
    assert (frames == 65535).all(axis=0).any()
    found = find_gaps(frames)
    assert not found.is_gap.any()
    assert "may be saturation: 'sat' masks what is saturated (--sat 65534)" in found.doubt


@pytest.mark.parametrize("side", [3, 8])
def test_closed_patch_with_a_hard_edge_may_be_the_beam_and_is_left_to_the_operator(side):
    frames = counts("u2")
    frames[:, 18 : 18 + side, 20 : 20 + side] = 65535
    found = find_gaps(frames)
    assert not found.is_gap.any()
    assert found.doubt.startswith(f"{side**2} pixels hold 65535 or 65534 in each of the first 5 frames")


def test_dead_pixel_and_gap_beside_a_closed_patch_are_still_found():
    frames, is_gap = marked("u2", 65535, 65535)
    frames[:, 28:34, 20:26] = 65535
    found = find_gaps(frames)
    np.testing.assert_array_equal(found.is_gap, is_gap)
    assert found.doubt.startswith("36 pixels hold")


def test_gap_in_bright_frames_that_use_their_range_is_said_and_not_decided():
    found = find_gaps(marked("u2", 65535, 65535, mean=30_000)[0])
    assert not found.is_gap.any()
    assert found.doubt.startswith("193 pixels hold")
    found = find_gaps(marked("u2", 65535, 65535, mean=30_000)[0], 65535.0)
    assert np.count_nonzero(found.is_gap) == 193


def test_pixel_that_changes_is_no_gap():
    frames, is_gap = marked("u4", 2**32 - 1, 2**32 - 2)
    frames[3, *DEAD] = 12
    is_gap[DEAD] = False
    np.testing.assert_array_equal(find_gaps(frames).is_gap, is_gap)


def test_negative_numbers_of_frames_that_lost_their_dark_are_measurements():
    frames = np.random.default_rng(1).normal(0, 2, (FIRST_FRAMES, *SHAPE)).round().astype("i2")
    frames[:, *DEAD] = -1
    assert not find_gaps(frames).is_gap.any()
    assert not may_have_gaps(np.random.default_rng(1).normal(0, 2, SHAPE).astype("f4"), "auto")


@pytest.mark.parametrize("kind", ["f4", "i2", "i4"])
def test_marker_far_below_the_noise_is_one(kind):
    frames = np.random.default_rng(1).normal(0, 2, (FIRST_FRAMES, *SHAPE)).astype(kind)
    frames[:, :, 20] = -9999
    is_gap = np.zeros(SHAPE, bool)
    is_gap[:, 20] = True
    assert may_have_gaps(frames[0], "auto")
    np.testing.assert_array_equal(find_gaps(frames).is_gap, is_gap)
    assert find_gaps(frames).values == ("-9999",)


@pytest.mark.parametrize(("kind", "marker"), [("u2", 20.0), ("u2", -1.0), ("u2", 65535.5), ("f4", 0.5)])
def test_marker_that_no_pixel_holds_is_said(kind, marker):
    frames = np.full((FIRST_FRAMES, *SHAPE), 3, kind)
    frames[:, 4] = 7
    assert may_have_gaps(frames[0], marker)
    found = find_gaps(frames, marker)
    assert not found.is_gap.any()
    assert found.doubt == (
        f"no pixel holds {marker:.10g} in each of the first 5 frames: nothing is masked as a gap (--gaps {marker:.10g})"
    )


def test_saturated_pixel_that_has_the_marker_in_one_frame_hides_no_gap():
    frames, is_gap = marked("i4", -1, -2)
    frames[2, 3, 3] = -1
    np.testing.assert_array_equal(find_gaps(frames).is_gap, is_gap)
    frames[2, 3, 4] = -3
    assert not find_gaps(frames).is_gap.any()


@pytest.mark.parametrize("value", [0, 7])
def test_first_frames_with_one_value_everywhere_tell_nothing_and_hide_no_gap(value):
    frames, is_gap = marked("u2", 65535, 65535)
    frames[:3] = value
    np.testing.assert_array_equal(find_gaps(frames).is_gap, is_gap)


def test_first_frames_that_are_saturated_all_over_are_no_gap_and_said():
    frames = np.full((FIRST_FRAMES, *SHAPE), 65535, "u2")
    found = find_gaps(frames)
    assert not found.is_gap.any()
    assert found.doubt.startswith("every pixel of the first 5 frames holds 65535: they are saturated or not valid")
    assert not find_gaps(frames * np.uint16(0)).doubt
    assert not find_gaps(frames, "none").doubt


def test_option_decides_for_or_against_a_value():
    frames, _ = marked("u2", 65535, 65535)
    assert not find_gaps(frames, "none").is_gap.any()
    frames[:, 1, 1] = 4095
    only = np.zeros(SHAPE, bool)
    only[1, 1] = True
    np.testing.assert_array_equal(find_gaps(frames, 4095.0).is_gap, only)
    assert not find_gaps(frames, 0.5).is_gap.any() and not find_gaps(frames, -1.0).is_gap.any()


def test_what_is_no_number_is_a_gap_whatever_the_option_says():
    frames, is_gap = marked("f4", np.nan, np.nan)
    for setting in ("auto", "none", 7.0):
        assert may_have_gaps(frames[0], setting)
        np.testing.assert_array_equal(find_gaps(frames, setting).is_gap, is_gap)


@pytest.mark.parametrize(("dtype", "value"), [("f4", np.nan), ("u4", 2**32 - 1), ("i4", -1)])
def test_frame_without_a_measurement_tells_nothing(dtype, value):
    frames, is_gap = marked(dtype, value, value)
    frames[1] = value
    assert is_blank(frames[1]) and not is_blank(frames[0])
    found = find_gaps(frames)
    np.testing.assert_array_equal(found.is_gap, is_gap)
    assert len(found.told_by) == FIRST_FRAMES - 1
    assert not find_gaps(frames[1:2]).is_gap.any()


def test_one_frame_tells_what_is_certain_alone():
    assert np.count_nonzero(find_gaps(marked("u4", 2**32 - 1, 2**32 - 2)[0][:1]).is_gap) == 193
    assert np.count_nonzero(find_gaps(marked("i4", -1, -2)[0][:1]).is_gap) == 193
    assert not find_gaps(marked("u2", 65535, 65535)[0][:1]).is_gap.any()


@pytest.mark.parametrize("bin", [1, 2])
@pytest.mark.parametrize("bad_pixels", ["keep", "interpolate"])
def test_gap_is_stored_as_zero_or_interpolated_and_counts_in_nothing(bin, bad_pixels):
    frames, is_gap = marked("u4", 2**32 - 1, 2**32 - 2)
    clean = frames.copy()
    clean[:, is_gap] = 0
    geometry = Geometry(SHAPE, bin=bin, rotate=90)
    settings: dict[str, Any] = {"gaps": is_gap, "saturation_level": 1000.0, "bad_pixels": bad_pixels}
    reducer = FrameReducer(geometry, dtype="u4").with_gaps(is_gap)
    assert reducer.mask.sum() == (193 if bin == 1 else 2 * 24)
    reducer = FrameReducer(geometry, Corrections(**settings), dtype="u4")
    out, expected = np.empty((2, *reducer.out_shape), np.float32)
    summary = reducer.reduce(frames[:1], [1.0], out)
    of_clean = FrameReducer(geometry, Corrections(**settings), dtype="u4").reduce(clean[:1], [1.0], expected)
    assert summary.features.tobytes() == of_clean.features.tobytes() and summary[1:] == of_clean[1:]
    np.testing.assert_array_equal(out, expected)
    assert summary.features["n_saturated"] == 0 and out.max() < 1000
    if bad_pixels == "keep":
        assert not out[reducer.mask == 1].any()
    np.testing.assert_array_equal(reducer.stored_where(is_gap) & (reducer.mask == 1), reducer.mask == 1)
