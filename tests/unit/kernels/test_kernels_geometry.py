"""Places of pixels: ROI, centre, bin, rotate and flip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stream_service.kernels import FrameReducer, Geometry, GeometryError, parse_center

ORIENTATIONS = list(itertools.product((0, 90, 180, 270), ("none", "h", "v", "hv")))
EVEN_ODD_AND_OBLONG = [(8, 8), (7, 7), (8, 6), (5, 8), (7, 4), (1, 1), (2, 1)]


def turned_by_numpy(image: np.ndarray, rotate: int, flip: str) -> np.ndarray:
    image = np.rot90(image, k=rotate // 90)
    axes = {"none": (), "h": (1,), "v": (0,), "hv": (0, 1)}[flip]
    return np.flip(image, axes)


def stored(geometry: Geometry, raw: np.ndarray) -> np.ndarray:
    out = np.empty(geometry.out_shape, np.float32)
    FrameReducer(geometry).reduce(raw[None], [1.0], out)
    return out


@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_rotate_then_flip_is_numpys_rot90_then_flip(rotate: int, flip: str) -> None:
    raw = np.arange(6 * 9, dtype=np.uint16).reshape(6, 9)
    expected = turned_by_numpy(raw, rotate, flip)
    geometry = Geometry((6, 9), rotate=rotate, flip=flip)
    np.testing.assert_array_equal(geometry.apply(raw), expected)
    np.testing.assert_array_equal(stored(geometry, raw), expected)
    assert geometry.out_shape == expected.shape


@pytest.mark.parametrize("shape", [(15, 16), (16, 17), (17, 40), (33, 3)])
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_transposed_writes_in_tiles_lose_no_row(shape: tuple[int, int], rotate: int, flip: str) -> None:
    raw = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    np.testing.assert_array_equal(
        stored(Geometry(shape, rotate=rotate, flip=flip), raw), turned_by_numpy(raw, rotate, flip)
    )


@pytest.mark.parametrize("roi_shape", EVEN_ODD_AND_OBLONG)
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_the_pixel_at_the_roi_centre_lands_at_n_half(roi_shape: tuple[int, int], rotate: int, flip: str) -> None:
    for raw_shape in [(20, 23), (21, 20)]:
        for roi_center in [None, (9, 11), (10.0, 10.0), (10.4, 9.6)]:
            geometry = Geometry(raw_shape, roi_shape, roi_center, rotate=rotate, flip=flip)
            row, column = (n // 2 for n in raw_shape) if roi_center is None else np.round(roi_center).astype(int)
            raw = np.zeros(raw_shape, np.uint16)
            raw[row, column] = 1
            ny, nx = geometry.out_shape
            assert np.argwhere(geometry.apply(raw)).tolist() == [[ny // 2, nx // 2]]
            assert np.argwhere(stored(geometry, raw)).tolist() == [[ny // 2, nx // 2]]


@pytest.mark.parametrize("bin", [2, 3, 4])
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_the_pixel_at_the_roi_centre_lands_in_bin_n_half(bin: int, rotate: int, flip: str) -> None:
    centers = set()
    for n_y, n_x in [(2, 2), (3, 3), (4, 1), (3, 4)]:
        geometry = Geometry((30, 41), (n_y * bin, n_x * bin), (14, 20), bin, rotate, flip)
        raw = np.zeros((30, 41), np.uint16)
        raw[14, 20] = 1
        ny, nx = geometry.out_shape
        assert np.argwhere(stored(geometry, raw)).tolist() == [[ny // 2, nx // 2]]
        centers.add(geometry.center)
        assert np.abs(np.subtract(geometry.center, (ny // 2, nx // 2))).max() < 0.5


def test_with_a_bin_the_centre_has_the_same_place_in_every_orientation() -> None:
    centers = {Geometry((64, 64), (32, 32), (30, 33), 4, rotate, flip).center for rotate, flip in ORIENTATIONS}
    assert centers == {(4 - 0.375, 4 - 0.375)}


@pytest.mark.parametrize("roi_shape", [None, (8, 12)])
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_a_full_size_roi_crops_nothing_and_the_true_centre_is_told(
    roi_shape: tuple[int, int] | None, rotate: int, flip: str
) -> None:
    for roi_center in [None, (1, 9)]:
        geometry = Geometry((8, 12), roi_shape, roi_center, rotate=rotate, flip=flip)
        assert geometry.roi_slices == (slice(0, 8), slice(0, 12))
        raw = np.zeros((8, 12), np.uint16)
        raw[(4, 6) if roi_center is None else roi_center] = 1
        assert tuple(np.argwhere(stored(geometry, raw))[0]) == geometry.center


def test_an_axis_in_full_length_is_not_cropped_beside_one_that_is() -> None:
    geometry = Geometry((8, 12), (4, 12), (4, 6), rotate=180)
    assert geometry.roi_slices == (slice(3, 7), slice(0, 12))
    assert geometry.center == (2.0, 5.0)


@pytest.mark.parametrize("bin", [1, 2, 4])
@pytest.mark.parametrize(("rotate", "flip"), ORIENTATIONS)
def test_the_told_centre_is_the_centre_of_mass_of_a_uniform_frame(bin: int, rotate: int, flip: str) -> None:
    geometry = Geometry((8, 12), roi_center=(3.5, 5.5), bin=bin, rotate=rotate, flip=flip)
    summary = FrameReducer(geometry).reduce(
        np.ones((1, 8, 12), np.uint16), [1.0], np.empty(geometry.out_shape, np.float32)
    )
    assert (summary.features["com_y"], summary.features["com_x"]) == pytest.approx(geometry.center, abs=1e-12)


def test_reversed_axes_start_one_pixel_later_only_for_even_rois() -> None:
    assert Geometry((20, 20), (8, 7), (10, 10)).roi_slices == (slice(6, 14), slice(7, 14))
    assert Geometry((20, 20), (8, 7), (10, 10), flip="hv").roi_slices == (slice(7, 15), slice(7, 14))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"roi_shape": (8, 8), "roi_center": (3, 10)}, "rows -1 to 6, but the frame has rows 0 to 19"),
        ({"roi_shape": (8, 8), "roi_center": (10, 17)}, "columns 13 to 20, but the frame has columns 0 to 19"),
        ({"roi_shape": (8, 21)}, "columns 0 to 20"),
        ({"roi_shape": (8, 6), "bin": 4}, "8 x 6 pixels do not divide by bin 4: an ROI of 8 x 4 would"),
        ({"bin": 3}, "20 x 20 pixels do not divide by bin 3: an ROI of 18 x 18 would"),
        ({"bin": 40}, "use a smaller bin"),
        ({"bin": 0}, "bin 0 must be 1 or more"),
        ({"roi_shape": (0, 8)}, "keeps nothing"),
        ({"rotate": 45}, "rotate 45 is not one of 0, 90, 180, 270"),
        ({"flip": "x"}, "flip 'x' is not one of none, h, v, hv"),
        ({"roi_center": (float("nan"), 3)}, "must be two finite numbers"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused_in_a_sentence(settings: dict, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Geometry((20, 20), **settings)


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(GeometryError, match="4 x 5 pixels is not of the frames' shape 5 x 4"):
        Geometry((5, 4)).apply(np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("text", "center"),
    [
        ("0.5,0.5", (50.0, 32.0)),
        ("0.5, 300", (50.0, 300.0)),
        ("256,300", (256.0, 300.0)),
        ("256.5,300.25", (256.5, 300.25)),
        ("0,1", (0.0, 1.0)),
        ("1.0,0.0", (1.0, 0.0)),
        (".25,1.", (25.0, 1.0)),
    ],
)
def test_a_centre_is_a_fraction_only_with_a_decimal_point_and_below_one(text: str, center: tuple[float, float]) -> None:
    assert parse_center(text, (101, 64)) == center


@pytest.mark.parametrize("text", ["", "5", "1,2,3", "a,b", "-3,4", "1e2,3", "nan,1", "1;2"])
def test_a_centre_that_is_not_two_numbers_is_refused(text: str) -> None:
    with pytest.raises(GeometryError, match="must be 'row,column'"):
        parse_center(text, (100, 100))
