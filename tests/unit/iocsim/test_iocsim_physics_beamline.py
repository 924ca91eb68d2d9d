"""Frames of the whole beamline: how many photons, which noise, what a stack gives, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from iocsim.detector.frames import Conditions, FrameSource, StackFrames
from iocsim.physics.beamline import BeamlineConfig, fermat_positions_m, make_beamline

CONFIG = BeamlineConfig(shape=(64, 80), scan_range_x_m=2e-6, scan_range_y_m=2e-6, stack_frames=6)


@pytest.fixture(scope="module")
def beamline():
    return make_beamline(CONFIG)


def take(
    frames: FrameSource, index=0, x_m=0.0, y_m=0.0, exposure_s=0.02, energy_eV=710.0, current_mA=200.0, open_=True
):
    return frames.frame(index, exposure_s, Conditions(x_m, y_m, energy_eV, current_mA, open_))


def photons(beamline, frame):
    """Photons detected in a raw frame, by the camera's own references."""
    camera = beamline.camera
    good = camera.bad_pixel_mask() == 0
    dark = camera.dark_reference(0.02)
    flat = camera.flat_reference(0.02) - dark
    sensitivity = flat / flat[good].mean()
    return ((frame - dark)[good] / sensitivity[good]).sum() / camera.spec.gain_ADU_per_photon


def test_photons_in_a_frame_are_those_promised_less_what_the_sample_absorbs(beamline):
    passed = beamline.frames.diffraction(0.0, 0.0, 710.0).sum()
    assert 0.36 < passed < 1.0  # amplitude 0.6 to 1
    assert photons(beamline, take(beamline.frames)) == pytest.approx(5e6 * passed, rel=0.03)


def test_photons_follow_exposure_time_and_ring_current(beamline):
    full = photons(beamline, take(beamline.frames))
    assert photons(beamline, take(beamline.frames, exposure_s=0.01)) == pytest.approx(full / 2, rel=0.02)
    assert photons(beamline, take(beamline.frames, current_mA=50.0)) == pytest.approx(full / 4, rel=0.02)


@pytest.mark.parametrize("darkness", [{"open_": False}, {"current_mA": 0.0}])
def test_without_beam_there_is_a_dark_frame(beamline, darkness):
    dark = take(beamline.frames, **darkness)
    assert abs(photons(beamline, dark)) < 300
    assert dark.shape == beamline.frames.raw_shape
    assert dark.dtype == beamline.frames.dtype


def test_a_frame_depends_only_on_the_arguments_of_the_call(beamline):
    expected = take(make_beamline(CONFIG).frames, index=9, x_m=0.3e-6, energy_eV=705.0)
    take(beamline.frames, index=3, energy_eV=705.04)
    np.testing.assert_array_equal(take(beamline.frames, index=9, x_m=0.3e-6, energy_eV=705.0), expected)
    for energy_eV in range(711, 722):  # more than are kept
        take(beamline.frames, energy_eV=energy_eV)
    np.testing.assert_array_equal(take(beamline.frames, index=9, x_m=0.3e-6, energy_eV=705.0), expected)


def test_another_position_gives_another_pattern_beyond_the_noise(beamline):
    here, there = (beamline.frames.diffraction(x_m, 0.0, 710.0) for x_m in (0.0, 0.2e-6))
    assert np.abs(here - there).sum() > 0.1 * here.sum()


def test_a_turned_camera_gives_the_frames_of_the_plain_one_turned():
    turned = make_beamline(replace(CONFIG, rotate=90, flip="h"))
    assert turned.frames.raw_shape == (80, 64)
    raw = take(turned.frames, index=2, x_m=0.1e-6)
    np.testing.assert_array_equal(np.fliplr(np.rot90(raw)), take(make_beamline(CONFIG).frames, index=2, x_m=0.1e-6))


def test_reference_exposure_stays_well_below_saturation():
    beamline = make_beamline(replace(CONFIG, shape=(128, 160)))
    brightest = max(take(beamline.frames, n, x, y).max() for n, (x, y) in enumerate(fermat_positions_m(20, 0.2e-6)))
    assert 8000 < brightest < 40000


def test_a_stack_plays_the_simulated_frames_round_and_round(beamline):
    stack = make_beamline(replace(CONFIG, frames="stack")).frames
    positions = fermat_positions_m(6, 0.2e-6)
    for index in (0, 5, 6, 17):
        x_m, y_m = positions[index % 6]
        expected = take(beamline.frames, index % 6, x_m, y_m)
        np.testing.assert_array_equal(take(stack, index, x_m=1.0), expected)
    assert take(stack, open_=False).max() < take(stack).max() / 5
    assert (stack.raw_shape, stack.dtype) == (beamline.frames.raw_shape, np.dtype("uint16"))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "float32"])
def test_a_noise_stack_has_the_type_asked_for_and_frames_that_differ(dtype):
    frames = make_beamline(replace(CONFIG, frames="noise", dtype=dtype, rotate=270)).frames
    assert (frames.raw_shape, frames.dtype) == ((80, 64), np.dtype(dtype))
    assert len({take(frames, n).tobytes() for n in range(6)}) == 6
    assert not take(frames, open_=False).any()


def test_a_stack_without_frames_or_with_a_foreign_dark_is_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        StackFrames(np.zeros((0, 4, 4)))
    with pytest.raises(ValueError, match="the dark frame is"):
        StackFrames(np.zeros((2, 4, 4), np.uint16), np.zeros((4, 5), np.uint16))


@pytest.mark.parametrize("shape", [(32, 48), (128, 160), (256, 256), (96, 512)])
def test_default_geometry_fits_every_sensor(shape):
    optics = BeamlineConfig(shape=shape).optics()
    optics.check()
    assert optics.cone_radius_px / min(shape) == pytest.approx(0.227, abs=0.001)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape": (8, 80)}, "shape"),
        ({"photons_per_frame": 0.0}, "photons_per_frame"),
        ({"stack_frames": 0}, "stack_frames"),
        ({"scan_range_x_m": 1e-3}, "scan_range_x_m"),
        ({"scan_range_y_m": 0.0}, "scan_range_y_m"),
        ({"seed": -1}, "seed"),
        ({"dtype": "complex64"}, "dtype"),
        ({"det_dist_m": 5.0}, "det_dist_m"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_a_sentence_that_names_it(change, named):
    with pytest.raises(ValueError, match=named):
        make_beamline(replace(CONFIG, **change))


def test_truth_holds_what_is_needed_to_compute_every_frame_again(beamline, tmp_path):
    beamline.new_truth().save(tmp_path / "truth.npz")
    with np.load(tmp_path / "truth.npz") as truth:
        facts = json.loads(str(truth["facts"]))
        dy, dx = truth["object_pixel_yx_m"]
        origin_y, origin_x = truth["object_origin_yx_m"]
        row, column = round((0.25e-6 - origin_y) / dy), round((-0.5e-6 - origin_x) / dx)
        window = truth["object"][row - 32 : row + 32, column - 40 : column + 40]
        far_field = np.fft.fftshift(np.fft.fft2(truth["probe"] * window, norm="ortho"))
        again = beamline.frames.diffraction(origin_x + column * dx, origin_y + row * dy, 710.0)
        np.testing.assert_allclose(np.abs(far_field) ** 2, again, atol=1e-8)
        assert truth["dark"].shape == truth["flat"].shape == truth["mask"].shape == beamline.frames.raw_shape
    assert facts["config"]["seed"] == 1
    assert facts["optics"]["defocus_m"] == 8e-6
    assert facts["camera"]["gain_ADU_per_photon"] == 4.0
