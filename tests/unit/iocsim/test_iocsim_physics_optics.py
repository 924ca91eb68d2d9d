"""The probe and the far field obey the physics they claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from iocsim.detector.camera import Camera, CameraSpec
from iocsim.detector.frames import SimulatedFrames
from iocsim.physics.optics import Optics, zone_plate_probe
from iocsim.physics.sample import ChiralSpecimen, Sample

OPTICS = Optics()


class Given:
    """A specimen with a transmission written down as a function of x and y in metres."""

    def __init__(self, transmission):
        self.transmission = transmission

    def draw(self, optics):
        dy, dx = optics.sample_pixel_y_m, optics.sample_pixel_x_m
        y = (np.arange(600) - 300)[:, np.newaxis] * dy
        x = (np.arange(700) - 350)[np.newaxis, :] * dx
        drawn = np.broadcast_to(self.transmission(x, y), (600, 700)).astype(np.complex64)
        return Sample(drawn, dy, dx, -300 * dy, -350 * dx)


def frames_of(specimen, optics=OPTICS):
    return SimulatedFrames(optics, specimen, Camera(CameraSpec(optics.shape)))


def centre_of_mass(pattern):
    rows, columns = np.indices(pattern.shape)
    return (rows * pattern).sum() / pattern.sum(), (columns * pattern).sum() / pattern.sum()


def test_wavelength_and_focal_length_are_those_of_the_textbook():
    assert OPTICS.wavelength_m == pytest.approx(1.7463e-9, rel=1e-4)
    assert OPTICS.focal_length_m == pytest.approx(120e-6 * 40e-9 / 1.7463e-9, rel=1e-4)


def test_sample_pixel_differs_between_axes_of_a_sensor_that_is_not_square():
    assert OPTICS.sample_pixel_y_m * 128 == pytest.approx(OPTICS.sample_pixel_x_m * 160)
    assert 10e-9 < OPTICS.sample_pixel_x_m < OPTICS.sample_pixel_y_m < 20e-9


def test_probe_carries_exactly_one_photon_and_is_centred():
    probe = zone_plate_probe(OPTICS)
    intensity = np.abs(probe) ** 2
    assert probe.shape == (128, 160)
    assert intensity.sum() == pytest.approx(1.0)
    # hard edges send a little light to row 0, for which there is no row 128 on the other side
    assert centre_of_mass(intensity) == pytest.approx((64, 80), abs=0.03)


@pytest.mark.parametrize("defocus_m", [16e-6, -16e-6])
def test_probe_has_the_diameter_of_geometrical_optics_and_fits_the_window(defocus_m):
    optics = replace(OPTICS, defocus_m=defocus_m)
    intensity = np.abs(zone_plate_probe(optics)) ** 2
    y = (np.arange(128) - 64)[:, np.newaxis] * optics.sample_pixel_y_m
    x = (np.arange(160) - 80)[np.newaxis, :] * optics.sample_pixel_x_m
    radius = np.hypot(x, y)
    assert optics.probe_diameter_m == pytest.approx(0.7e-6, rel=0.02)
    assert intensity[radius < 0.6 * optics.probe_diameter_m].sum() > 0.85
    assert intensity[radius > 1.0e-6].sum() < 0.02


def test_central_stop_leaves_a_hole_in_the_middle_of_the_defocused_probe():
    with_stop = np.abs(zone_plate_probe(OPTICS)) ** 2
    without = np.abs(zone_plate_probe(replace(OPTICS, central_stop_m=0.0))) ** 2
    assert with_stop[58:71, 73:88].sum() < 0.4 * without[58:71, 73:88].sum()


def test_far_field_without_sample_is_the_annular_cone_of_the_pupil():
    bright = frames_of(Given(lambda x, y: 1.0)).diffraction(0.0, 0.0, 710.0)
    rows, columns = np.indices(bright.shape)
    radius = np.hypot(rows - 64, columns - 80)
    stop_px = OPTICS.cone_radius_px * 45 / 120
    assert bright.sum() == pytest.approx(1.0, rel=1e-5)
    assert bright[(radius > stop_px - 1) & (radius < OPTICS.cone_radius_px + 1)].sum() > 0.98
    inside = bright[(radius > stop_px + 3) & (radius < OPTICS.cone_radius_px - 3)]
    assert inside.std() < 0.05 * inside.mean()


@pytest.mark.parametrize(("shift_row", "shift_column"), [(0, 3), (0, -3), (5, 0), (-4, 7)])
def test_a_phase_ramp_moves_the_pattern_towards_its_own_direction(shift_row, shift_column):
    window_m = OPTICS.wavelength_m * OPTICS.det_dist_m / OPTICS.pixel_m
    ramp = Given(lambda x, y: np.exp(2j * np.pi * (shift_row * y + shift_column * x) / window_m))
    row, column = centre_of_mass(frames_of(ramp).diffraction(0.0, 0.0, 710.0))
    assert (row - 64, column - 80) == pytest.approx((shift_row, shift_column), abs=0.01)


@pytest.mark.parametrize(("side", "sign"), [("x", 1), ("y", 1), ("x", -1), ("y", -1)])
def test_an_absorbing_half_plane_throws_its_shadow_on_the_side_of_the_cone_that_defocus_says(side, sign):
    """Downstream of the focus rays have crossed: what passes the sample at +x goes to +x on the detector."""

    def open_on_one_side(x, y):
        return (sign * (x if side == "x" else y) > 0) + 0.0 * x * y

    row, column = centre_of_mass(frames_of(Given(open_on_one_side)).diffraction(0.0, 0.0, 710.0))
    towards = column - 80 if side == "x" else row - 64
    across = row - 64 if side == "x" else column - 80
    assert sign * towards > 8
    assert abs(across) < 1
    upstream = replace(OPTICS, defocus_m=-OPTICS.defocus_m)
    row, column = centre_of_mass(frames_of(Given(open_on_one_side), upstream).diffraction(0, 0, 710.0))
    assert sign * (column - 80 if side == "x" else row - 64) < -8


def test_moving_the_beam_by_whole_pixels_equals_moving_the_object_by_whole_pixels():
    specimen = ChiralSpecimen(seed=3, scan_range_x_m=2e-6, scan_range_y_m=2e-6)
    sample = specimen.draw(OPTICS)
    moved = Sample(
        np.roll(sample.transmission, (-5, 7), (0, 1)),
        sample.pixel_y_m,
        sample.pixel_x_m,
        sample.origin_y_m,
        sample.origin_x_m,
    )

    class Moved:
        def draw(self, optics):
            return moved

    beam_moved = frames_of(specimen).diffraction(-7 * sample.pixel_x_m, 5 * sample.pixel_y_m, 710.0)
    object_moved = frames_of(Moved()).diffraction(0.0, 0.0, 710.0)
    np.testing.assert_allclose(beam_moved, object_moved, atol=1e-9)


def test_a_beam_between_two_pixels_sees_a_band_limited_object_exactly():
    """The object is one plane wave of contrast, so the far field at any beam position is known in closed form."""
    waves = 9  # per window
    window_m = OPTICS.wavelength_m * OPTICS.det_dist_m / OPTICS.pixel_m
    grating = Given(lambda x, y: 1 + 0.5 * np.exp(2j * np.pi * waves * x / window_m))
    pupil = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(zone_plate_probe(OPTICS)), norm="ortho"))
    frames = frames_of(grating)
    for x_m in (0.0, 0.37 * OPTICS.sample_pixel_x_m, -0.5 * OPTICS.sample_pixel_x_m, 41.81e-9):
        diffracted = 0.5 * np.exp(2j * np.pi * waves * x_m / window_m) * np.roll(pupil, waves, axis=1)
        expected = np.abs(pupil + diffracted) ** 2
        np.testing.assert_allclose(frames.diffraction(x_m, 0.0, 710.0), expected, atol=2e-6 * expected.max())


def test_the_same_sample_is_seen_at_another_energy_with_a_smaller_cone():
    frames = frames_of(ChiralSpecimen(scan_range_x_m=1e-6, scan_range_y_m=1e-6))
    low, high = frames.sample_at(710.0), frames.sample_at(900.0)
    assert high.pixel_x_m == pytest.approx(low.pixel_x_m * 710 / 900)
    rows, columns = np.indices((128, 160))
    outer = np.hypot(rows - 64, columns - 80) > OPTICS.at_energy(900.0).cone_radius_px + 2
    bright = frames_of(Given(lambda x, y: 1.0))
    assert bright.diffraction(0, 0, 900.0)[outer].sum() < 0.01
    assert bright.diffraction(0, 0, 710.0)[outer].sum() > 0.2
    seen = []
    for sample in (low, high):  # the same place in metres has the same transmission
        row = round((0.4e-6 - sample.origin_y_m) / sample.pixel_y_m)
        column = round((0.7e-6 - sample.origin_x_m) / sample.pixel_x_m)
        seen.append(sample.transmission[row - 3 : row + 4, column - 3 : column + 4].mean())
    assert abs(seen[0] - seen[1]) < 0.1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"pixel_m": 20e-6}, "det_dist_m"),
        ({"det_dist_m": 0.005}, "det_dist_m"),
        ({"defocus_m": 60e-6}, "defocus_m"),
        ({"central_stop_m": 130e-6}, "central_stop_m"),
        ({"energy_eV": 0.0}, "energy_eV"),
    ],
)
def test_optics_that_do_not_fit_are_refused_in_a_sentence_that_names_the_number(change, named):
    with pytest.raises(ValueError, match=named):
        replace(OPTICS, **change).check()
