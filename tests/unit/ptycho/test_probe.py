"""The probe of the optics against the analytic foci, and against the simulated beamline's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from iocsim.physics.optics import Optics as SimulatedOptics
from iocsim.physics.optics import zone_plate_probe
from stream_service.errors import ConfigError
from stream_service.ptycho.optics.probe import optics_probe
from stream_service.settings.optics import Optics

WAVELENGTH_M = 1.75e-9
SHAPE = (256, 320)
PIXEL_YX_M = (8e-9, 6e-9)
ZONE_PLATE = {"kind": "zone_plate", "zone_plate_diameter_m": 120e-6, "outermost_zone_width_m": 40e-9}
NA = WAVELENGTH_M / (2 * 40e-9)


def probe_of(**optics: Any) -> npt.NDArray[np.complex64]:
    return optics_probe(Optics.model_validate(optics), shape=SHAPE, pixel_yx_m=PIXEL_YX_M, wavelength_m=WAVELENGTH_M)


def bessel_j1(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By its integral (Abramowitz and Stegun 9.1.21)."""
    theta = (np.arange(2000) + 0.5) * np.pi / 2000
    return np.mean(np.cos(theta - v[..., None] * np.sin(theta)), axis=-1)


def jinc(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(v < 1e-9, 1.0, 2 * bessel_j1(v) / np.where(v < 1e-9, 1.0, v))


def axis_m(n: int, pixel_m: float) -> npt.NDArray[np.float64]:
    return (np.arange(n) - n // 2) * pixel_m


def normalised(intensity: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return intensity / intensity.max()


@pytest.mark.parametrize("stop_m", [None, 45e-6])
def test_zone_plate_in_focus_gives_the_airy_pattern(stop_m: float | None) -> None:
    intensity = normalised(np.abs(probe_of(**ZONE_PLATE, central_stop_m=stop_m)) ** 2)
    ratio = (stop_m or 0.0) / 120e-6
    for line, r_m in (
        (intensity[SHAPE[0] // 2], axis_m(SHAPE[1], PIXEL_YX_M[1])),
        (intensity[:, SHAPE[1] // 2], axis_m(SHAPE[0], PIXEL_YX_M[0])),
    ):
        v = 2 * np.pi * NA * np.abs(r_m) / WAVELENGTH_M
        airy = ((jinc(v) - ratio**2 * jinc(ratio * v)) / (1 - ratio**2)) ** 2
        near = np.abs(r_m) < 0.4e-6
        np.testing.assert_allclose(line[near], airy[near], atol=0.006)
    first_dark_m = 0.61 * WAVELENGTH_M / NA
    if stop_m is None:
        row = intensity[SHAPE[0] // 2, SHAPE[1] // 2 :]
        assert np.argmax(np.diff(row) > 0) * PIXEL_YX_M[1] == pytest.approx(first_dark_m, abs=PIXEL_YX_M[1])


def test_kb_pair_in_focus_gives_a_sinc_on_each_axis() -> None:
    focal_m, opening_m = (0.06, 0.1), (1.5e-3, 1.2e-3)
    intensity = normalised(np.abs(probe_of(kind="kb", focal_length_m=focal_m, aperture_m=opening_m)) ** 2)
    for line, r_m, across in (
        (intensity[SHAPE[0] // 2], axis_m(SHAPE[1], PIXEL_YX_M[1]), opening_m[0] / focal_m[0]),
        (intensity[:, SHAPE[1] // 2], axis_m(SHAPE[0], PIXEL_YX_M[0]), opening_m[1] / focal_m[1]),
    ):
        sinc = np.sinc(across * r_m / WAVELENGTH_M) ** 2
        near = np.abs(r_m) < 0.4e-6
        np.testing.assert_allclose(line[near], sinc[near], atol=0.006)


@pytest.mark.parametrize("defocus_m", [16e-6, -16e-6, 0.0])
def test_it_is_the_simulated_beamlines_probe_and_the_sign_of_the_defocus_counts(defocus_m: float) -> None:
    truth = SimulatedOptics(defocus_m=defocus_m)
    optics = Optics(
        kind="zone_plate",
        zone_plate_diameter_m=truth.zone_plate_diameter_m,
        outermost_zone_width_m=truth.outermost_zone_width_m,
        central_stop_m=truth.central_stop_m,
        defocus_m=defocus_m,
    )
    pixel = truth.sample_pixel_y_m, truth.sample_pixel_x_m

    def likeness(optics: Optics) -> float:
        probe = optics_probe(optics, shape=truth.shape, pixel_yx_m=pixel, wavelength_m=truth.wavelength_m)
        return float(abs(np.vdot(probe, zone_plate_probe(truth))))

    # simulated edges are hard, and those of a recipe are the share of a pixel that is inside: 0.9945
    assert likeness(optics) > 0.994
    if defocus_m:
        assert likeness(optics.model_copy(update={"defocus_m": -defocus_m})) < 0.5


def test_its_power_is_one_whatever_the_optics() -> None:
    for defocus_m in (0.0, 5e-6):
        assert np.sum(np.abs(probe_of(**ZONE_PLATE, defocus_m=defocus_m)) ** 2) == pytest.approx(1.0, rel=1e-5)


def test_an_order_sorting_aperture_that_cuts_the_cone_widens_the_focus() -> None:
    def width(**more: Any) -> float:
        row = np.abs(probe_of(**ZONE_PLATE, **more)[SHAPE[0] // 2]) ** 2
        return float(np.sum(row > row.max() / 2))

    wide_enough = {"osa_diameter_m": 60e-6, "osa_to_sample_m": 0.5e-3}
    narrow = {"osa_diameter_m": 10e-6, "osa_to_sample_m": 0.5e-3}
    assert width(**wide_enough) == width()
    assert width(**narrow) > 1.8 * width()


@pytest.mark.parametrize(
    ("optics", "words"),
    [
        ({"kind": "unknown"}, "not known"),
        ({"kind": "zone_plate"}, "zone_plate_diameter_m"),
        ({"kind": "zone_plate", "zone_plate_diameter_m": 1e-4}, "outermost_zone_width_m"),
        ({"kind": "kb", "focal_length_m": (0.1,)}, "two numbers each"),
        ({**ZONE_PLATE, "defocus_m": 1e-3}, "near-field"),
        ({**ZONE_PLATE, "osa_diameter_m": 1e-5}, "osa_to_sample_m"),
        ({**ZONE_PLATE, "osa_diameter_m": 1e-5, "osa_to_sample_m": 1e-6, "defocus_m": 2e-6}, "behind the focus"),
    ],
)
def test_optics_that_cannot_be_are_refused_in_words(optics: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        probe_of(**optics)
