"""The kernel gives the bits of the definition, for every option, and owns what it counts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from stream_service.core.row import FEATURES_DTYPE
from stream_service.kernels import RAW_DTYPES, Corrections, FrameReducer, Geometry, Grouping, reference
from stream_service.kernels.pixelpass import reduce_pixels

nan = math.nan
RAW_SHAPE = (10, 12)
ROIS_AND_BINS = [  # none, even, odd, oblong
    (None, 1),
    (None, 2),
    ((6, 6), 1),
    ((6, 6), 3),
    ((5, 7), 1),
    ((4, 8), 2),
    ((9, 3), 3),
]


def random_frames(rng: np.random.Generator, dtype: np.dtype, k: int) -> np.ndarray:
    """Counts around 30 ± 10, different in brightness, with some pixels above the saturation level of 50."""
    counts = rng.normal(30, 12, (k, *RAW_SHAPE)) + rng.uniform(0, 10, (k, 1, 1))
    return np.clip(counts, 0 if dtype.kind == "u" else -20, 120).astype(dtype)


def references(rng: np.random.Generator) -> dict[str, Any]:
    flat = rng.normal(100, 5, RAW_SHAPE)
    flat[2, 3], flat[5, 5], flat[7, 8] = np.nan, 0, np.inf
    masks = {name: rng.random(RAW_SHAPE) < share for name, share in (("mask", 0.3), ("gaps", 0.1))}
    return {"dark": rng.uniform(0, 30, RAW_SHAPE), "flat": flat, **masks}


def assert_kernel_is_definition(
    frames: np.ndarray, times_s: list[float], geometry: Geometry, corrections: Corrections, grouping: Grouping
) -> None:
    reducer = FrameReducer(geometry, corrections, grouping, frames.dtype)
    out = np.full(reducer.out_shape, np.nan, np.float32)
    summary = reducer.reduce(frames, times_s, out)
    row = reference.reduce_frames(frames, times_s, geometry, corrections, grouping)
    setting = f"{geometry} {grouping} {frames.dtype} {times_s}"
    np.testing.assert_array_equal(out.view(np.uint32), row.out.view(np.uint32), err_msg=setting)
    np.testing.assert_array_equal(reducer.saturated_counts, row.saturated, err_msg=setting)
    np.testing.assert_array_equal(
        reducer.mask, reference.stored_mask(geometry, corrections.calibrate(geometry.raw_shape))
    )
    assert summary.features["n_saturated"] == row.summary.features["n_saturated"], setting
    assert summary[1:] == row.summary[1:], setting
    scale = np.abs(out[reducer.mask == 0], dtype=np.float64).sum()
    np.testing.assert_allclose(
        summary.features["intensity"], row.summary.features["intensity"], rtol=1e-12, atol=1e-12 * scale
    )
    if abs(row.summary.features["intensity"]) > 1e-3 * scale:
        for name in ("com_y", "com_x"):
            found, expected = summary.features[name], row.summary.features[name]
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10, err_msg=setting)
    for name in ("max_counts", "n_zero"):
        np.testing.assert_equal(summary.features[name], row.summary.features[name], err_msg=f"{name} {setting}")
    if np.isfinite(scale):
        squares = np.square(out[reducer.mask == 0], dtype=np.float64).sum()
        for name, scale_of in (("square_sum", squares), ("neighbour_sum", squares), ("cells", scale)):
            found, expected = summary.features[name], row.summary.features[name]
            rtol = 1e-12 if name != "cells" else 1e-7
            np.testing.assert_allclose(found, expected, rtol, atol=1e-12 * scale_of, err_msg=f"{name} {setting}")


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.long)], ids=["every third", "all"])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("grouping", list(Grouping))
def test_the_kernel_equals_the_definition_bit_for_bit(grouping: Grouping, rotate: int, step: int) -> None:
    """Every third combination has each pair of values, since no option has three; each rotation begins at another."""
    rng = np.random.default_rng(rotate)
    given = references(rng)
    times_s = [[0.1, 0.1, 0.1], [0.1, 0.4, 0.2], [0.3, 0.1, 0.1]]
    options = itertools.product(
        ROIS_AND_BINS, ("none", "h", "v", "hv"), (None, 50.0), ("clip", "keep"), ("keep", "interpolate")
    )
    chosen = itertools.islice(options, rotate // 90 % step, None, step)
    for (roi_shape, bin), flip, saturation_level, negatives, bad_pixels in chosen:
        k = 1 if grouping is Grouping.NONE else int(rng.integers(1, 4))
        assert_kernel_is_definition(
            random_frames(rng, np.dtype(rng.choice(["u2", "i4", "f4"])), k),
            times_s[rng.integers(3)][:k],
            Geometry(RAW_SHAPE, roi_shape, (5.0, 6.0), bin, rotate, flip),
            Corrections(
                **given,
                saturation_level=saturation_level,
                gain=3.0,
                negatives=negatives,
                bad_pixels=bad_pixels,
            ),
            grouping,
        )


@pytest.mark.parametrize(
    "given", [names for n in range(4) for names in itertools.combinations(("dark", "flat", "mask"), n)]
)
def test_any_subset_of_references_equals_the_definition(given: tuple[str, ...]) -> None:
    rng = np.random.default_rng(7)
    available = references(rng)
    corrections = Corrections(**{name: available[name] for name in given}, saturation_level=45)
    for bin in (1, 2):
        frames = random_frames(rng, np.dtype(np.uint16), 2)
        assert_kernel_is_definition(frames, [1.0, 1.0], Geometry(RAW_SHAPE, bin=bin), corrections, Grouping.SUM)


@pytest.mark.parametrize("dtype", RAW_DTYPES, ids=str)
def test_every_areadetector_dtype_equals_the_definition(dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    frames = random_frames(rng, dtype, 2)
    if dtype.kind in "iu":
        frames[0, 0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        frames[0, 0, :3] = np.finfo(dtype).max, -np.inf, 1e-30
    corrections = Corrections(**references(rng), saturation_level=50.5, negatives="keep")
    for times_s in ([1.0, 1.0], [1.0, 2.0]):
        assert_kernel_is_definition(frames, times_s, Geometry(RAW_SHAPE, rotate=90), corrections, Grouping.SUM)


@pytest.mark.further(but=3)
@pytest.mark.parametrize("dtype", RAW_DTYPES, ids=str)
def test_lines_that_fill_whole_vectors_equal_the_definition(dtype: np.dtype) -> None:
    """They are reduced in registers, where nothing asks for more; a narrower ROI of the same frames is not."""
    rng = np.random.default_rng(13)
    shape = (20, 40)
    frames = np.clip(rng.normal(30, 12, (3, *shape)), 0 if dtype.kind == "u" else -20, 120).astype(dtype)
    if dtype.kind in "iu":
        frames[0, 0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        frames[0, 3, 4:8] = nan, np.finfo(dtype).max, -np.inf, -0.0
    given = {"dark": rng.uniform(0, 30, shape), "flat": rng.normal(100, 5, shape), "mask": rng.random(shape) < 0.1}
    given["mask"][3, 4:7] = True
    orders = itertools.product(((20, 32), (20, 30)), (0, 90, 180), ("none", "h"), ("sum", "mean", "best"))
    for (roi_shape, rotate, flip, grouping), k in zip(orders, itertools.cycle((1, 2, 3))):
        corrections = Corrections(
            **(given if k > 1 else {}),
            gaps=given["mask"],
            saturation_level=(None, 50)[k % 2],
            negatives=("clip", "keep")[k % 2],
            bad_pixels=("keep", "interpolate")[rotate == 90],
        )
        geometry = Geometry(shape, roi_shape, rotate=rotate, flip=flip)
        for times_s in ([0.1] * k, [0.1, 0.2, 0.4][:k]):
            assert_kernel_is_definition(frames[:k], times_s, geometry, corrections, Grouping(grouping))


def test_references_are_stored_as_applied_through_the_same_geometry() -> None:
    rng = np.random.default_rng(5)
    given = references(rng)
    corrections = Corrections(**given)
    calibration = corrections.calibrate(RAW_SHAPE)
    geometry = Geometry(RAW_SHAPE, (6, 8), rotate=270, flip="v")
    reducer = FrameReducer(geometry, corrections)
    assert reducer.dark_applied is not None and reducer.flat_applied is not None
    np.testing.assert_array_equal(reducer.dark_applied, geometry.apply(calibration.dark))
    np.testing.assert_array_equal(reducer.flat_applied, geometry.apply(calibration.flat))
    np.testing.assert_array_equal(reducer.mask, geometry.apply(~calibration.good))
    assert (reducer.mask.dtype, reducer.dark_applied.dtype, reducer.flat_applied.dtype) == ("u1", "f4", "f4")
    bare = FrameReducer(geometry)
    assert bare.dark_applied is None
    assert bare.flat_applied is None


def test_binned_references_are_what_a_binned_frame_lost_and_was_divided_by() -> None:
    dark = np.array([[1, 2, 9, 9], [3, 500, 9, 9]])
    mask = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])
    flat = dark + np.array([[1, 2, 5, 5], [3, 7, 5, 5]])
    reducer = FrameReducer(Geometry((2, 4), bin=2), Corrections(dark, flat, mask))
    assert reducer.mask.tolist() == [[0, 1]]
    assert reducer.dark_applied is not None and reducer.flat_applied is not None
    assert reducer.dark_applied.tolist() == [[8.0, 0.0]]
    assert reducer.flat_applied.tolist() == [[1.0, 1.0]]


def test_saturation_is_counted_over_the_run_and_masked_by_fraction() -> None:
    reducer = FrameReducer(Geometry((1, 3)), Corrections(saturation_level=9))
    out = np.empty((1, 3), np.float32)
    for frame in ([9, 1, 9], [9, 1, 1], [9, 1, 1], [9, 1, 1]):
        reducer.reduce(np.array([[frame]], np.uint16), [1.0], out)
    assert reducer.n_frames_seen == 4
    assert reducer.saturated_counts.tolist() == [[4, 0, 1]]
    assert reducer.saturated_counts.dtype == np.uint32
    assert reducer.saturated_mask(0).tolist() == [[1, 0, 1]]
    assert reducer.saturated_mask(0.25).tolist() == [[1, 0, 0]], "more than the fraction, not equal to it"


@pytest.mark.parametrize(("grouping", "n_frames_seen"), [("sum", 3), ("mean", 3), ("first", 1), ("best", 1)])
def test_only_frames_that_enter_a_row_are_counted(grouping: str, n_frames_seen: int) -> None:
    reducer = FrameReducer(Geometry((1, 3)), Corrections(saturation_level=5), Grouping(grouping))
    frames = np.array([[[1, 1, 9]], [[2, 2, 9]], [[3, 3, 9]]], np.uint16)
    reducer.reduce(frames, [1.0, 1.0, 1.0], np.empty((1, 3), np.float32))
    assert reducer.n_frames_seen == n_frames_seen
    assert reducer.saturated_counts.tolist() == [[0, 0, n_frames_seen]]


@pytest.mark.parametrize("grouping", list(Grouping))
def test_warming_up_counts_nothing_and_leaves_nothing_to_compile(grouping: Grouping) -> None:
    reducer = FrameReducer(Geometry((4, 4)), Corrections(saturation_level=0), grouping, "u2")
    k = 1 if grouping is Grouping.NONE else 2
    reducer.warm_up(n_frames=2)
    assert reducer.n_frames_seen == 0
    assert not reducer.saturated_counts.any()
    n_compiled = len(reduce_pixels.signatures)
    reducer.reduce(np.ones((k, 4, 4), np.uint16), np.arange(1.0, k + 1), np.empty((4, 4), np.float32))
    assert len(reduce_pixels.signatures) == n_compiled


def test_read_only_frames_need_no_second_compilation_and_no_frame_is_changed() -> None:
    reducer = FrameReducer(Geometry((4, 4)), Corrections(dark=np.ones((4, 4))))
    reducer.warm_up()
    n_compiled = len(reduce_pixels.signatures)
    frame = np.arange(16, dtype=np.uint16).reshape(4, 4)
    out = np.empty((4, 4), np.float32)
    reducer.reduce(frame[None], [1.0], out)
    assert frame.flags.writeable
    received = np.frombuffer(frame.tobytes(), np.uint16).reshape(1, 4, 4)
    again = np.empty((4, 4), np.float32)
    reducer.reduce(received, [1.0], again)
    assert len(reduce_pixels.signatures) == n_compiled
    np.testing.assert_array_equal(frame.ravel(), np.arange(16))
    np.testing.assert_array_equal(out, again)


def test_frames_of_any_memory_layout_give_the_same_row() -> None:
    frames = np.arange(2 * 6 * 8, dtype=np.int32).reshape(2, 6, 8)
    unaligned = np.frombuffer(b"\0" + frames.tobytes(), np.uint8)[1:].view("i4").reshape(2, 6, 8)
    assert not unaligned.flags.aligned
    expected = frames.sum(axis=0)
    reducer = FrameReducer(Geometry((6, 8)))
    for layout in (frames, frames.astype(">i4"), np.asfortranarray(frames), unaligned):
        out = np.empty((6, 8), np.float32)
        reducer.reduce(layout, [1.0, 1.0], out)
        np.testing.assert_array_equal(out, expected)


def test_a_row_is_written_into_the_callers_block() -> None:
    block = np.full((3, 2, 2), -1, np.float32)
    FrameReducer(Geometry((2, 2))).reduce(np.ones((1, 2, 2), np.uint16), [1.0], block[1])
    assert block.tolist() == [[[-1, -1]] * 2, [[1, 1]] * 2, [[-1, -1]] * 2]


@pytest.mark.parametrize("grouping", list(Grouping))
def test_a_block_of_rows_equals_its_rows_one_by_one(grouping: Grouping) -> None:
    """Features go into a field of wider rows, and a row of a different exposure time into the same block."""
    rng = np.random.default_rng(11)
    k = 1 if grouping is Grouping.NONE else 3
    groups = [list(random_frames(rng, np.dtype(np.uint16), k)) for _ in range(5)]
    times_s = np.full((5, k), 0.1)
    times_s[2, 0], times_s[3, -1] = 0.3, nan
    settings = (Geometry(RAW_SHAPE, (6, 8), rotate=90), Corrections(**references(rng), saturation_level=50), grouping)
    reducer, one_by_one = FrameReducer(*settings), FrameReducer(*settings)
    out, expected = (np.full((5, *reducer.out_shape), nan, np.float32) for _ in range(2))
    rows = np.zeros(5, [("before", "u2"), ("features", FEATURES_DTYPE), ("after", "f8")])
    reduced = reducer.reduce_rows(groups, times_s, out, rows["features"])
    for row, group in enumerate(groups):
        summary = one_by_one.reduce(np.stack(group), times_s[row], expected[row])
        assert rows["features"][row].tobytes() == summary.features.tobytes()
        assert reduced.chosen[row] == summary.best_index
        np.testing.assert_array_equal(reduced.exposure_s[row], summary.exposure_s)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(reducer.saturated_counts, one_by_one.saturated_counts)
    assert reducer.n_frames_seen == one_by_one.n_frames_seen
    assert not rows["before"].any() and not rows["after"].any()


@pytest.mark.parametrize(
    ("frames", "times_s", "out", "words"),
    [
        (np.ones((2, 4), "u2"), [1.0], np.empty((2, 4), "f4"), r"frames of shape \(2, 4\) are not"),
        (np.ones((1, 4, 2), "u2"), [1.0], np.empty((2, 4), "f4"), r"frames of shape \(1, 4, 2\) are not"),
        (np.ones((0, 2, 4), "u2"), [], np.empty((2, 4), "f4"), r"frames of shape \(0, 2, 4\) are not"),
        (np.ones((1, 2, 4), "f2"), [1.0], np.empty((2, 4), "f4"), "dtype float16 are not supported"),
        (np.ones((1, 2, 4), "u2"), [1.0, 1.0], np.empty((2, 4), "f4"), "1 frames but exposure times of shape"),
        (np.ones((1, 2, 4), "u2"), [1.0], np.empty((4, 2), "f4"), "out must be C-contiguous float32"),
        (np.ones((1, 2, 4), "u2"), [1.0], np.empty((2, 4), "f8"), "out must be C-contiguous float32"),
        (np.ones((1, 2, 4), "u2"), [1.0], np.empty((2, 8), "f4")[:, ::2], "out must be C-contiguous float32"),
        (np.ones((2, 2, 4), "u2"), [1.0, 1.0], np.empty((2, 4), "f4"), "got 2 frames at once"),
    ],
)
def test_frames_that_do_not_fit_are_refused_and_not_counted(
    frames: np.ndarray, times_s: list[float], out: np.ndarray, words: str
) -> None:
    reducer = FrameReducer(Geometry((2, 4)), grouping=Grouping.NONE)
    with pytest.raises(ValueError, match=words):
        reducer.reduce(frames, times_s, out)
    assert reducer.n_frames_seen == 0


def test_an_all_bad_roi_has_no_intensity() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    reducer = FrameReducer(Geometry((4, 4), (2, 2)), Corrections(mask=mask), Grouping.BEST)
    summary = reducer.reduce(np.ones((2, 4, 4), np.uint16), [1.0, 1.0], np.empty((2, 2), np.float32))
    assert summary.features["intensity"] == 0
    assert math.isnan(summary.features["com_y"])
    assert reducer.mask.all()
