"""The specimen is chiral, in range, repeatable, and cut out where the beam is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from iocsim.physics.optics import Optics
from iocsim.physics.sample import ChiralSpecimen, Sample

SQUARE = Optics(shape=(128, 128))
SPECIMEN = ChiralSpecimen(seed=1, scan_range_x_m=4e-6, scan_range_y_m=4e-6)


@pytest.fixture(scope="module")
def sample():
    return SPECIMEN.draw(SQUARE)


def test_amplitude_and_phase_stay_in_their_stated_range_and_use_it(sample):
    amplitude, phase = np.abs(sample.transmission), np.angle(sample.transmission)
    assert amplitude.min() >= 0.6 - 1e-6
    assert amplitude.max() <= 1 + 1e-6
    assert phase.min() >= 0
    assert phase.max() <= 1.5
    assert np.ptp(amplitude) > 0.35
    assert np.ptp(phase) > 1.2


def test_no_flip_no_turn_and_no_twin_resembles_the_sample(sample):
    side = min(sample.transmission.shape) // 2 * 2 - 1
    middle = [n // 2 for n in sample.transmission.shape]
    square = sample.transmission[
        middle[0] - side // 2 : middle[0] + side // 2 + 1, middle[1] - side // 2 : middle[1] + side // 2 + 1
    ]

    def likeness(other):
        a, b = square - square.mean(), other - other.mean()
        return abs(np.vdot(a, b)) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)

    assert likeness(square) == pytest.approx(1)
    for quarter_turns, flip, twin in itertools.product(range(4), (False, True), (False, True)):
        if (quarter_turns, flip) == (0, False):
            continue
        other = np.rot90(square, quarter_turns)
        other = np.fliplr(other) if flip else other
        assert likeness(other.conj() if twin else other) < 0.35, (quarter_turns, flip, twin)


def test_sample_has_structure_down_to_the_pixel(sample):
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(sample.transmission - sample.transmission.mean()))) ** 2
    rows, columns = (np.abs(np.fft.fftshift(np.fft.fftfreq(n))) for n in sample.transmission.shape)
    fine = np.hypot(rows[:, np.newaxis], columns[np.newaxis, :]) > 0.25
    assert spectrum[fine].sum() > 1e-3 * spectrum.sum()


def test_one_seed_gives_one_sample_and_another_seed_another(sample):
    np.testing.assert_array_equal(SPECIMEN.draw(SQUARE).transmission, sample.transmission)
    other = ChiralSpecimen(seed=2, scan_range_x_m=4e-6, scan_range_y_m=4e-6).draw(SQUARE)
    assert np.abs(other.transmission - sample.transmission).max() > 0.1


def test_sample_reaches_half_a_window_beyond_the_scan_range(sample):
    rows, columns = sample.transmission.shape
    for x_m, y_m in itertools.product((-2e-6, 2e-6), repeat=2):
        window, _, _ = sample.window(x_m, y_m, (128, 128))
        assert window.base is not None  # a view: nothing had to be filled with membrane
    assert sample.origin_x_m == -(columns // 2) * sample.pixel_x_m
    assert sample.origin_y_m == -(rows // 2) * sample.pixel_y_m


def test_window_is_centred_on_the_beam_and_gives_the_rest_of_a_pixel():
    grid = Sample(np.arange(30 * 40).reshape(30, 40).astype(np.complex64), 2.0, 1.0, -30.0, -20.0)
    window, rest_y, rest_x = grid.window(3.25, -4.8, (6, 8))
    assert (rest_y, rest_x) == pytest.approx((-0.4, 0.25))
    assert window[3, 4] == grid.transmission[13, 23]  # y = -4 (nearest to -4.8), x = 3


@pytest.mark.parametrize(("x_m", "y_m"), [(20.0, 0.0), (-21.0, 3.0), (0.0, 28.0), (0.0, -32.0), (500.0, -500.0)])
def test_beyond_the_sample_there_is_bare_membrane(x_m, y_m):
    grid = Sample(np.full((30, 40), 0.5, np.complex64), 2.0, 1.0, -30.0, -20.0)
    window, _, _ = grid.window(x_m, y_m, (6, 8))
    y = y_m + 2.0 * (np.arange(6) - 3)[:, np.newaxis]
    x = x_m + 1.0 * (np.arange(8) - 4)[np.newaxis, :]
    on_sample = (x >= -20) & (x <= 19) & (y >= -30) & (y <= 28)
    np.testing.assert_array_equal(window == 0.5, on_sample)
    np.testing.assert_array_equal(window == 1.0, ~on_sample)
