"""The camera counts photons as a real one does, in eight mountings, and repeats itself exactly."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from iocsim.detector.camera import PIXEL_TYPES, Camera, CameraSpec

SPEC = CameraSpec(shape=(60, 80), seed=5)
MOUNTINGS = list(itertools.product((0, 90, 180, 270), ("none", "h", "v", "hv")))


def bring_back(raw, rotate, flip):
    """Orientation of a raw frame by a profile: numpy's rot90, then flip."""
    turned = np.rot90(raw, rotate // 90)
    return {"none": turned, "h": np.fliplr(turned), "v": np.flipud(turned), "hv": turned[::-1, ::-1]}[flip]


def exposed(camera, photons, index=0, exposure_s=0.02):
    light = None if photons is None else np.broadcast_to(np.asarray(photons, float), camera.spec.shape)
    return camera.expose(light, exposure_s, camera.noise_of(index))


@pytest.mark.parametrize(("rotate", "flip"), MOUNTINGS)
def test_profile_orientation_brings_the_frame_of_every_mounting_back_pixel_for_pixel(rotate, flip):
    light = np.linspace(0, 4000, 60 * 80).reshape(60, 80)
    camera = Camera(replace(SPEC, rotate=rotate, flip=flip))
    raw = exposed(camera, light, 3)
    assert raw.shape == camera.raw_shape == ((80, 60) if rotate in (90, 270) else (60, 80))
    assert raw.flags.c_contiguous
    plain = Camera(SPEC)
    np.testing.assert_array_equal(bring_back(raw, rotate, flip), exposed(plain, light, 3))
    np.testing.assert_array_equal(bring_back(camera.bad_pixel_mask(), rotate, flip), plain.bad_pixel_mask())
    np.testing.assert_array_equal(
        bring_back(camera.dark_reference(0.02, 2), rotate, flip), plain.dark_reference(0.02, 2)
    )
    np.testing.assert_array_equal(
        bring_back(camera.flat_reference(0.02, 2), rotate, flip), plain.flat_reference(0.02, 2)
    )


def test_the_mountings_are_eight_different_ones():
    frames = {exposed(Camera(replace(SPEC, rotate=r, flip=f)), 500.0).tobytes() for r, f in MOUNTINGS}
    assert len(frames) == 8


def test_frame_n_is_the_same_whatever_was_exposed_before():
    first, second = Camera(SPEC), Camera(SPEC)
    for index in range(5):
        exposed(first, 100.0, index)
    np.testing.assert_array_equal(exposed(first, 100.0, 7), exposed(second, 100.0, 7))
    assert (exposed(first, 100.0, 7) != exposed(first, 100.0, 8)).any()
    assert (exposed(first, 100.0, 7) != exposed(Camera(replace(SPEC, seed=6)), 100.0, 7)).any()


def test_signal_is_gain_times_photons_with_poisson_variance():
    quiet = replace(
        SPEC, sensitivity_spread=0.0, fixed_pattern_ADU=0.0, read_noise_ADU=0.0, dark_current_ADU_per_s=0.0,
        hot_fraction=0.0, dead_fraction=0.0, offset_ADU=10.0, dtype="float64", saturation_ADU=1e9,
    )  # fmt: skip
    camera = Camera(quiet)
    counts = np.stack([(exposed(camera, 50.0, n)[28:32, 35:45] - 10.0) / 4.0 for n in range(400)])
    assert np.array_equal(counts, np.rint(counts))  # whole photons
    assert counts.mean() == pytest.approx(50.0, rel=0.01)
    assert counts.var() == pytest.approx(50.0, rel=0.1)


def test_dark_and_flat_references_correct_the_frames():
    camera = Camera(SPEC)
    dark, flat = camera.dark_reference(0.02), camera.flat_reference(0.02)
    good = camera.bad_pixel_mask() == 0
    gain = (flat - dark) / (flat - dark)[good].mean()
    mean = np.mean([exposed(camera, 800.0, n) for n in range(100)], axis=0) - dark
    before, after = mean[good].std() / mean[good].mean(), (mean[good] / gain[good]).std() / mean[good].mean()
    assert before > 0.03
    assert after < 0.007


def test_without_light_a_frame_is_a_dark_frame():
    camera = Camera(SPEC)
    rest = exposed(camera, None, 4) - camera.dark_reference(0.02)
    good = camera.bad_pixel_mask() == 0
    assert abs(rest[good].mean()) < 0.2
    assert rest[good].std() == pytest.approx(2.0, rel=0.1)


def test_hot_pixels_glow_dead_pixels_are_blind_and_the_mask_has_just_these():
    camera = Camera(replace(SPEC, hot_fraction=0.002, dead_fraction=0.001))
    bad = camera.bad_pixel_mask() == 1
    assert bad.sum() == 10 + 5  # of 4800 pixels
    dark, lit = camera.dark_reference(1.0, 4), camera.flat_reference(1.0, 4)
    glows = dark > np.median(dark) + 200
    blind = lit - dark < 0.1 * np.median(lit - dark)
    np.testing.assert_array_equal(glows | blind, bad)
    assert (glows.sum(), blind.sum()) == (10, 5)


def test_dark_current_grows_with_exposure_time():
    camera = Camera(SPEC)
    growth = np.median(camera.dark_reference(10.0, 8) - camera.dark_reference(0.0, 8))
    assert growth == pytest.approx(50.0, rel=0.1)


@pytest.mark.parametrize("dtype", PIXEL_TYPES)
def test_every_pixel_type_shows_light_and_saturates_without_wrapping(dtype):
    camera = Camera(CameraSpec.for_dtype((60, 80), dtype, 1, 0, "none"))
    alive = camera.flat_reference(0.02, 1) > np.median(camera.flat_reference(0.02, 1)) / 2
    dark, dim, blinding = (exposed(camera, photons) for photons in (None, 1000.0, 1e8))
    assert dark.dtype == camera.dtype == np.dtype(dtype)
    assert (dark >= 0).all()
    assert np.median(dim.astype(float) - dark) > 10
    assert (blinding[alive] == camera.spec.saturation_ADU).all()


@pytest.mark.parametrize("dtype", ["complex64", "float16", "bool", "nonsense"])
def test_a_type_that_is_no_pixel_type_is_refused_by_name(dtype):
    with pytest.raises(ValueError, match=dtype):
        CameraSpec.for_dtype((60, 80), dtype, 1, 0, "none")


@pytest.mark.parametrize(("rotate", "flip"), [(45, "none"), (0, "x")])
def test_a_mounting_that_does_not_exist_is_refused(rotate, flip):
    with pytest.raises(ValueError, match="rotate is 0, 90, 180 or 270"):
        CameraSpec((60, 80), rotate=rotate, flip=flip)
