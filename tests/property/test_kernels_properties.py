"""Claims that hold for any frames, references and settings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stream_service.kernels import Corrections, FrameReducer, FrameSummary, Geometry, Grouping, reference

ROTATIONS = st.sampled_from([0, 90, 180, 270])
FLIPS = st.sampled_from(["none", "h", "v", "hv"])


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any ROI that fits, on an axis anywhere in the frame, with any bin and orientation."""
    bin = draw(st.integers(1, 3))
    roi_shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    kept = (roi_shape[0] * bin, roi_shape[1] * bin)
    before, after = (draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(2))
    raw_shape = (kept[0] + before[0] + after[0], kept[1] + before[1] + after[1])
    geometry = Geometry(kept, bin=bin, rotate=draw(ROTATIONS), flip=draw(FLIPS))
    center = tuple(
        start + (n - 1 - n // 2 if backwards else n // 2)
        for start, n, backwards in zip(before, kept, geometry.is_reversed, strict=True)
    )
    return replace(geometry, raw_shape=raw_shape, roi_shape=kept, roi_center=center)


def images(shape: tuple[int, ...], dtype: str) -> st.SearchStrategy[np.ndarray]:
    if np.dtype(dtype).kind == "f":
        return npst.arrays(dtype, shape, elements=st.floats(width=32 if dtype == "f4" else 64))
    return npst.arrays(dtype, shape)


@st.composite
def runs(draw: st.DrawFn) -> tuple[np.ndarray, list[float], Geometry, Corrections, Grouping]:
    """Frames and settings of every kind, among them NaN references, infinite counts and all-bad bins."""
    geometry = draw(geometries())
    shape = geometry.raw_shape
    grouping = draw(st.sampled_from(Grouping))
    k = 1 if grouping is Grouping.NONE else draw(st.integers(1, 3))
    frames = draw(images((k, *shape), draw(st.sampled_from(["u2", "i4", "f4", "f8"]))))
    mask = draw(st.none() | npst.arrays(bool, shape))
    assume(mask is None or not mask.all())
    corrections = Corrections(
        dark=draw(st.none() | images(shape, "f4")),
        flat=draw(st.none() | images(shape, "f4")),
        mask=mask,
        gaps=draw(st.none() | npst.arrays(bool, shape)),
        flat_is=draw(st.sampled_from(["raw", "normalised"])),
        saturation_level=draw(st.none() | st.floats(-100, 70_000)),
        gain=draw(st.sampled_from([1.0, 0.5, 3.7])),
        negatives=draw(st.sampled_from(["clip", "keep"])),
        bad_pixels=draw(st.sampled_from(["keep", "interpolate"])),
    )
    try:
        corrections.calibrate(shape)
    except ValueError:
        assume(False)
    times_s = draw(st.lists(st.sampled_from([0.1, 0.2, 1.0, 0.0, math.nan]), min_size=k, max_size=k))
    return frames, times_s, geometry, corrections, grouping


def reduce(
    frames: np.ndarray,
    geometry: Geometry,
    corrections: Corrections | None = None,
    grouping: Grouping = Grouping.SUM,
    times_s: list[float] | None = None,
) -> tuple[np.ndarray, FrameSummary]:
    reducer = FrameReducer(geometry, corrections, grouping, frames.dtype)
    out = np.full(reducer.out_shape, np.nan, np.float32)
    return out, reducer.reduce(frames, times_s or [1.0] * len(frames), out)


@given(runs())
def test_the_kernel_gives_the_bits_of_the_definition(run: Any) -> None:
    frames, times_s, geometry, corrections, grouping = run
    reducer = FrameReducer(geometry, corrections, grouping, frames.dtype)
    out = np.full(reducer.out_shape, np.nan, np.float32)
    summary = reducer.reduce(frames, times_s, out)
    row = reference.reduce_frames(frames, times_s, geometry, corrections, grouping)
    is_number = ~np.isnan(row.out)
    np.testing.assert_array_equal(np.isnan(out), ~is_number)
    np.testing.assert_array_equal(out[is_number].view("u4"), row.out[is_number].view("u4"))
    np.testing.assert_array_equal(reducer.saturated_counts, row.saturated)
    assert summary.features["n_saturated"] == row.summary.features["n_saturated"]
    np.testing.assert_array_equal(summary[1:], row.summary[1:])
    good = out[reducer.mask == 0].astype(np.float64)
    if np.isfinite(good).all():
        assert abs(summary.features["intensity"] - row.summary.features["intensity"]) <= 1e-12 * np.abs(good).sum()
        for name in ("square_sum", "neighbour_sum"):
            assert abs(summary.features[name] - row.summary.features[name]) <= 1e-12 * np.square(good).sum()
        for name in ("max_counts", "n_zero"):
            np.testing.assert_equal(summary.features[name], row.summary.features[name])
    else:
        np.testing.assert_array_equal(
            math.isfinite(summary.features["intensity"]), math.isfinite(row.summary.features["intensity"])
        )


@given(runs())
def test_bad_references_never_spread_into_good_pixels(run: Any) -> None:
    frames, times_s, geometry, corrections, grouping = run
    frames = np.ones(frames.shape, np.uint16)
    reducer = FrameReducer(geometry, corrections, grouping)
    out = np.empty(reducer.out_shape, np.float32)
    reducer.reduce(frames, times_s, out)
    assert not np.isnan(out).any()
    assert reducer.dark_applied is None or np.isfinite(reducer.dark_applied[reducer.mask == 0]).all()
    assert reducer.flat_applied is None or (reducer.flat_applied[reducer.mask == 0] > 0).all()


@given(st.data(), geometries())
def test_orientation_moves_pixels_and_changes_none(data: st.DataObject, geometry: Geometry) -> None:
    """Over the same raw window; the window itself may shift by a pixel, see the geometry tests."""
    ny, nx = geometry.binned_shape[0] * geometry.bin, geometry.binned_shape[1] * geometry.bin
    frames = data.draw(npst.arrays("u2", (1, ny, nx)))
    plain, plain_summary = reduce(frames, Geometry((ny, nx), bin=geometry.bin))
    turned, summary = reduce(frames, Geometry((ny, nx), bin=geometry.bin, rotate=geometry.rotate, flip=geometry.flip))
    expected = np.rot90(plain, geometry.rotate // 90)
    axes = tuple(axis for axis, letter in ((0, "v"), (1, "h")) if letter in geometry.flip)
    np.testing.assert_array_equal(turned, np.flip(expected, axes))
    for name in ("intensity", "square_sum", "neighbour_sum", "max_counts", "n_zero"):
        assert summary.features[name] == plain_summary.features[name]


@given(st.data(), geometries(), st.sampled_from([Grouping.SUM, Grouping.MEAN]))
def test_a_sum_is_linear_in_its_frames(data: st.DataObject, geometry: Geometry, grouping: Grouping) -> None:
    frames = data.draw(npst.arrays("i2", (3, *geometry.raw_shape)))
    keep = Corrections(negatives="keep")
    together, _ = reduce(frames, geometry, keep, grouping)
    alone = np.sum([reduce(frames[j : j + 1], geometry, keep)[0] for j in range(3)], axis=0, dtype=np.float64)
    divisor = 3 if grouping is Grouping.MEAN else 1
    np.testing.assert_array_equal(together, (alone / divisor).astype(np.float32))


@given(st.data(), geometries())
def test_a_bin_conserves_counts(data: st.DataObject, geometry: Geometry) -> None:
    frames = data.draw(npst.arrays("u1", (1, *geometry.raw_shape)))
    _, summary = reduce(frames, geometry)
    assert summary.features["intensity"] == geometry.crop(frames).sum()


@given(st.data(), geometries(), st.sampled_from(["keep", "interpolate"]))
def test_a_uniform_frame_stays_uniform_whatever_is_masked(
    data: st.DataObject, geometry: Geometry, bad_pixels: Any
) -> None:
    mask = data.draw(npst.arrays(bool, geometry.raw_shape))
    assume(not mask.all())
    frames = np.full((1, *geometry.raw_shape), 6, np.uint16)
    frames[0][mask] = 999
    corrections = Corrections(mask=mask, bad_pixels=bad_pixels)
    reducer = FrameReducer(geometry, corrections)
    out = np.empty(reducer.out_shape, np.float32)
    reducer.reduce(frames, [1.0], out)
    level = 6 * geometry.bin**2
    where = np.ones(out.shape, bool) if bad_pixels == "interpolate" else reducer.mask == 0
    np.testing.assert_allclose(out[where], level, rtol=1e-6)
    if bad_pixels == "keep" and geometry.bin > 1:
        assert not out[~where].any()


@given(st.lists(st.floats(1e-3, 10), min_size=2, max_size=4, unique=True), st.floats(1e-3, 1e5))
def test_unequal_exposures_of_a_steady_beam_give_its_rate(times_s: list[float], rate: float) -> None:
    counts = np.array(times_s) * rate
    frames = counts[:, None, None].astype(np.float64)
    level = float(counts.min()) * 1.5 + 1
    out, summary = reduce(frames, Geometry((1, 1)), Corrections(saturation_level=level), times_s=times_s)
    np.testing.assert_allclose(out, rate * sum(times_s), rtol=1e-6)
    assert summary.features["n_saturated"] == 0


@given(st.data())
def test_running_saturation_counts_are_the_sum_over_rows(data: st.DataObject) -> None:
    frames = data.draw(npst.arrays("u1", (5, 1, 3, 4)))
    level = data.draw(st.integers(0, 255))
    reducer = FrameReducer(Geometry((3, 4), rotate=90), Corrections(saturation_level=level))
    n_saturated = 0
    for frame in frames:
        n_saturated += reducer.reduce(frame, [1.0], np.empty((4, 3), np.float32)).features["n_saturated"]
    np.testing.assert_array_equal(reducer.saturated_counts, np.rot90((frames[:, 0] >= level).sum(axis=0)))
    assert reducer.saturated_counts.sum() == n_saturated
    assert reducer.n_frames_seen == 5
