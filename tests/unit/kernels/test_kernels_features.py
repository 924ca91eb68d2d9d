"""What the pixels of a row tell: by examples, in all orientations, and from stored frames as from raw ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_service.core.row import CELLS_SIDE, FEATURES_DTYPE, RowBlock
from stream_service.kernels import Corrections, FrameReducer, Geometry, Grouping, measure_rows, pixelpass, reference

ORIENTATIONS = [(rotate, flip) for rotate in (0, 90, 180, 270) for flip in ("none", "h")]
"""All eight."""


def reduced(
    frame: np.ndarray, corrections: Corrections | None = None, **geometry: object
) -> tuple[np.ndarray, np.void]:
    reducer = FrameReducer(Geometry(frame.shape, **geometry), corrections, dtype=frame.dtype)  # type: ignore[arg-type]
    out = np.empty(reducer.out_shape, np.float32)
    return out, reducer.reduce(frame[None], [1.0], out).features


def assert_equal(found: np.void, expected: np.void, said: object = "") -> None:
    """In all bits."""
    for name in FEATURES_DTYPE.names or ():
        np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{name} {said}")


def test_what_is_measured_of_a_small_frame() -> None:
    frame = np.array([[1, 2, 0], [-4, 3, 9]], np.float32)
    mask = np.array([[0, 0, 0], [0, 0, 1]])
    _, features = reduced(frame, Corrections(mask=mask, negatives="keep"))
    assert features["square_sum"] == 1 + 4 + 0 + 16 + 9
    assert features["neighbour_sum"] == (1 * 2 + 2 * 0 - 4 * 3) + (-4 * 1 + 3 * 2), "a bad pixel has no neighbours"
    assert features["max_counts"] == 3
    assert features["n_zero"] == 2, "0 and -4"
    assert np.isnan(features["cells"]).all(), "the frame has fewer rows and columns"


def test_largest_pixel_of_a_frame_may_be_below_zero() -> None:
    _, features = reduced(np.full((2, 2), -3, np.int16), Corrections(negatives="keep"))
    assert (features["max_counts"], features["n_zero"]) == (-3, 4)


@pytest.mark.parametrize("zeros", [(0.0, -0.0), (-0.0, 0.0), (-0.0, -0.0)])
def test_largest_of_zeros_has_one_sign(zeros: tuple[float, float]) -> None:
    stored = np.array([zeros], np.float32)
    features = np.zeros(1, FEATURES_DTYPE)
    measure_rows(stored[None], np.ones(stored.shape, bool), features)
    for measured in (features[0], reference.measured(stored, np.zeros(stored.shape, np.uint8))):
        assert not np.signbit(measured["max_counts"])


def test_cells_are_means_of_the_good_pixels_of_the_stored_frame() -> None:
    frame = np.arange(20 * 33, dtype=np.float32).reshape(20, 33)
    mask = np.zeros(frame.shape)
    mask[0, 0] = mask[2:4, 31:] = mask[2:4, 29:31] = 1
    _, features = reduced(frame, Corrections(mask=mask))
    cells = features["cells"]
    of_row, of_column = np.arange(20) * CELLS_SIDE // 20, np.arange(33) * CELLS_SIDE // 33
    for row, column in np.ndindex(CELLS_SIDE, CELLS_SIDE):
        inside = (of_row[:, None] == row) & (of_column == column) & (mask == 0)
        expected = np.float32(frame[inside].mean(dtype=np.float64)) if inside.any() else math.nan
        np.testing.assert_equal(cells[row, column], expected)
    assert np.isnan(cells).any()


@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
@pytest.mark.parametrize("shape", [(48, 32), (37, 18), (33, 50), (16, 16), (12, 40)])
def test_features_of_whole_counts_are_the_same_bits_in_every_orientation(
    shape: tuple[int, int], rotate: int, flip: str
) -> None:
    """As the definition in plain numpy tells them of the stored frame, and as it is measured when it is read again."""
    rng = np.random.default_rng(shape[0])
    corrections = Corrections(mask=rng.random(shape) < 0.1)
    stored, features = reduced(
        rng.poisson(rng.exponential(3, shape)).astype(np.uint16), corrections, rotate=rotate, flip=flip
    )
    good = Geometry(shape, rotate=rotate, flip=flip).apply(~np.asarray(corrections.mask)).astype(bool)
    assert_equal(features, reference.measured(stored, ~good))
    again = np.zeros(1, FEATURES_DTYPE)
    measure_rows(stored[None], good, again)
    assert_equal(again[0], features)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shape", [(64, 48), (40, 45)])
def test_frames_measured_again_give_the_bits_of_the_reduction(shape: tuple[int, int], k: int) -> None:
    """Of any values, where axes are those of the raw frames; but for saturation, which stays as it is."""
    rng = np.random.default_rng(k)
    corrections = Corrections(
        dark=rng.uniform(0, 30, shape),
        flat=rng.normal(100, 5, shape),
        mask=rng.random(shape) < 0.05,
        saturation_level=900,
    )
    reducer = FrameReducer(Geometry(shape), corrections, Grouping.SUM)
    groups = [list(rng.integers(0, 1000, (k, *shape), np.uint16)) for _ in range(5)]
    out, features = np.empty((5, *shape), np.float32), np.zeros(5, FEATURES_DTYPE)
    reducer.reduce_rows(groups, np.ones((5, k)), out, features)
    again = np.zeros(5, FEATURES_DTYPE)
    again["n_saturated"] = features["n_saturated"]
    measure_rows(out, reducer.mask == 0, again)
    assert again.tobytes() == features.tobytes()


@pytest.mark.parametrize("side", [1, 5, 16, 32])
def test_another_number_of_cells(side: int) -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 100, (3, 40, 35)).astype(np.float32)
    good = rng.random((40, 35)) < 0.5
    features, cells = np.zeros(3, FEATURES_DTYPE), np.zeros((3, side, side), np.float32)
    measure_rows(frames, good, features, cells)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(cells[i], reference.cell_means(frame, ~good, side))
        assert features[i]["square_sum"] == np.square(frame[good]).sum(dtype=np.float64)
        assert np.isnan(features[i]["cells"]).all()


def test_frame_without_a_good_pixel_tells_nothing() -> None:
    features = np.zeros(1, FEATURES_DTYPE)
    measure_rows(np.ones((1, 20, 20), np.float32), np.zeros((20, 20), bool), features)
    assert features["square_sum"] == features["intensity"] == features["n_zero"] == 0
    assert np.isnan(features["max_counts"]) and np.isnan(features["cells"]).all()


def test_blur_shows_in_the_products_of_neighbours_whatever_the_photon_noise() -> None:
    """The photon noise of two pixels is independent, so their product does not know of it."""
    rng = np.random.default_rng(2)
    speckle = rng.exponential(1, (64, 64))
    blurred = (speckle + np.roll(speckle, 1, 0) + np.roll(speckle, 1, 1)) / 3
    for brightness in (3.0, 300.0):
        ratio = []
        for pattern in (speckle, blurred):
            _, features = reduced(rng.poisson(brightness * pattern).astype(np.uint16))
            ratio.append(features["neighbour_sum"] / (features["square_sum"] - features["intensity"]))
        assert ratio[1] > 1.2 * ratio[0]


@pytest.mark.parametrize(
    ("n_features", "good_shape", "cells_shape"), [(2, (4, 4), None), (1, (4, 5), None), (1, (4, 4), (1, 3, 2))]
)
def test_shapes_that_do_not_agree_are_refused(n_features: int, good_shape: tuple, cells_shape: tuple | None) -> None:
    cells = None if cells_shape is None else np.zeros(cells_shape, np.float32)
    with pytest.raises(ValueError, match=r"agree|side"):
        measure_rows(
            np.zeros((1, 4, 4), np.float32), np.ones(good_shape, bool), np.zeros(n_features, FEATURES_DTYPE), cells
        )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_no_number_of_rows_is_compiled_anew_once_the_kernel_is_warm(n):
    reducer = FrameReducer(Geometry((20, 24)), Corrections(saturation_level=100.0))
    reducer.warm_up(np.uint16)
    before = len(pixelpass.reduce_pixels.signatures)
    block = RowBlock(reducer.out_shape, 1)
    rows, pixels = block.next_rows(n)
    frames = [[np.full((20, 24), row, np.uint16)] for row in range(n)]
    reducer.reduce_rows(frames, np.full((n, 1), 0.1), pixels, rows["features"])
    assert len(pixelpass.reduce_pixels.signatures) == before
