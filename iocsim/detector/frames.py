"""Sources of the camera's frames: simulated one by one, or taken from a stack made beforehand.

Every source answers the same question, "what does the camera deliver for this exposure?", and knows nothing of EPICS,
clocks or threads. A frame depends only on the arguments of the call, never on the calls before it (ReplayFrames, which
hands out recorded frames in their order, is the stated exception).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from iocsim.detector.camera import Camera
from iocsim.physics.deviation import STEADY, VIBRATION_M_PER_PX, Deviation, blade
from iocsim.physics.optics import Optics, zone_plate_probe
from iocsim.physics.sample import Sample, Specimen

ENERGY_STEPS_PER_EV = 10  # probe and sample are drawn per 0.1 eV: 1e-4 of 710 eV, 0.01 pixel at the window's edge
ENERGIES_KEPT = 8  # drawn samples in memory, about 4 MB each


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a frame, in the middle of its exposure."""

    x_m: float
    """Of the beam on the sample."""
    y_m: float
    energy_eV: float
    ring_current_mA: float
    shutter_open: bool
    deviation: Deviation = STEADY
    """Of the light from what a steady beamline would give; simulated frames only."""


class FrameSource(Protocol):
    """Protocol between the simulated detector and whoever makes its frames."""

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame, in the axes of the sensor as it is read out."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The one pixel type of every frame, native byte order."""
        ...

    def frame(self, index: int, exposure_s: float, there: Conditions) -> NDArray[Any]:
        """One frame, `raw_shape`, `dtype`, C order; the caller must not write into it.

        `index` >= 0 numbers the exposures since the simulator started and seeds the noise.
        """
        ...


@dataclass(frozen=True, slots=True)
class Flux:
    """Photons on the sample: proportional to exposure time and ring current."""

    photons_per_frame: float = 5e6
    """In one exposure of `reference_exposure_s` at `reference_ring_current_mA`."""
    reference_exposure_s: float = 0.02
    reference_ring_current_mA: float = 200.0

    def photons(self, exposure_s: float, ring_current_mA: float) -> float:
        """Photons on the sample during one exposure; never negative."""
        exposures = exposure_s / self.reference_exposure_s
        return max(self.photons_per_frame * exposures * ring_current_mA / self.reference_ring_current_mA, 0.0)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Arrays kept for one energy."""

    sample: Sample
    probe_spectrum: NDArray[np.complex64]
    """Transform of the probe, zero frequency first; times a phase ramp it is the probe shifted."""


class SimulatedFrames:
    """Far-field diffraction of a zone-plate probe through a specimen, recorded by a camera.

    The beam lies between the pixels of the sample as often as not: the window of the sample is the nearest one, and
    the probe is shifted by the remainder with a phase ramp on its spectrum. That is exact for this probe, whose
    spectrum ends inside the detector.
    """

    def __init__(self, optics: Optics, specimen: Specimen, camera: Camera, flux: Flux | None = None) -> None:
        self.optics = optics
        self.camera = camera
        self._specimen = specimen
        self._flux = flux or Flux()
        self._settings: dict[int, _Setting] = {}
        ny, nx = optics.shape
        self._ramp_y = (-2j * np.pi * np.fft.fftfreq(ny))[:, np.newaxis]
        self._ramp_x = (-2j * np.pi * np.fft.fftfreq(nx))[np.newaxis, :]

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every raw frame."""
        return self.camera.raw_shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of every raw frame."""
        return self.camera.dtype

    def frame(self, index: int, exposure_s: float, there: Conditions) -> NDArray[Any]:
        """One raw frame; without beam (shutter closed, or no current) a dark frame."""
        deviation = there.deviation
        n_photons = self._flux.photons(exposure_s, there.ring_current_mA) if there.shutter_open else 0.0
        expected = None
        if n_photons > 0:
            expected = self._exposed(there)
            if deviation.overexposure:
                full_well = self.camera.spec.saturation_ADU / self.camera.spec.gain_ADU_per_photon
                n_photons = deviation.overexposure * full_well / float(expected.max())
            expected *= n_photons * deviation.flux
        noise = self.camera.noise_of(index)
        return self.camera.expose(expected, exposure_s, noise, drifted_ADU=deviation.dark_ADU)

    def diffraction(
        self, x_m: float, y_m: float, energy_eV: float, deviation: Deviation = STEADY
    ) -> NDArray[np.float32]:
        """Share of the incident photons that each pixel gets, (ny, nx), stored axes; sums to what is not absorbed.

        Of the deviation blade and pointing count: what swings is a mean of several of these.
        """
        setting = self._setting(energy_eV)
        window, rest_y, rest_x = setting.sample.window(x_m, y_m, self.optics.shape)
        ramp = np.exp(rest_y * self._ramp_y).astype(np.complex64)
        ramp = ramp * np.exp(rest_x * self._ramp_x).astype(np.complex64)
        spectrum = setting.probe_spectrum
        if deviation.blocked:
            spectrum = spectrum * np.sqrt(self._blade(spectrum, deviation))
        exit_wave = np.fft.ifft2(spectrum * ramp)
        exit_wave *= window
        shift_y, shift_x = deviation.pointing_yx_px
        if shift_y or shift_x:
            exit_wave *= self._tilt(shift_y, shift_x)
        far_field = np.fft.fft2(exit_wave, norm="ortho")
        pattern = np.fft.fftshift(far_field.real**2 + far_field.imag**2).astype(np.float32, copy=False)
        _clear_margin(pattern, shift_y)
        _clear_margin(pattern.T, shift_x)
        return pattern

    def _exposed(self, there: Conditions) -> NDArray[np.float32]:
        """The mean over what swings during the exposure."""
        deviation = there.deviation
        swings = deviation.swings_yx_px()
        pattern = np.zeros(self.optics.shape, np.float32)
        for y_px, x_px in swings:
            pattern += self.diffraction(
                there.x_m + VIBRATION_M_PER_PX * x_px,
                there.y_m + VIBRATION_M_PER_PX * y_px,
                there.energy_eV,
                deviation.moved(y_px, x_px),
            )
        pattern /= len(swings)
        return pattern

    def _blade(self, spectrum: NDArray[np.complex64], deviation: Deviation) -> NDArray[np.float32]:
        """What the blade lets pass of the pupil, zero frequency first."""
        light = np.fft.fftshift(spectrum.real**2 + spectrum.imag**2)
        return np.fft.ifftshift(blade(light, deviation.blocked, deviation.blade_side))

    def _tilt(self, shift_y: float, shift_x: float) -> NDArray[np.complex64]:
        """The phase on the exit wave that moves the pattern by (y, x) pixels."""
        ny, nx = self.optics.shape
        rows = np.exp(2j * np.pi * shift_y / ny * np.arange(ny)).astype(np.complex64)
        columns = np.exp(2j * np.pi * shift_x / nx * np.arange(nx)).astype(np.complex64)
        return rows[:, np.newaxis] * columns

    def sample_at(self, energy_eV: float) -> Sample:
        """The sample as drawn for this energy's pixel."""
        return self._setting(energy_eV).sample

    def _setting(self, energy_eV: float) -> _Setting:
        step = round(energy_eV * ENERGY_STEPS_PER_EV)
        setting = self._settings.get(step)
        if setting is None:
            if step <= 0:
                raise ValueError(f"energy_eV = {energy_eV}: it must be positive")
            optics = self.optics.at_energy(step / ENERGY_STEPS_PER_EV)
            probe = zone_plate_probe(optics).astype(np.complex64)
            spectrum = np.fft.fft2(probe).astype(np.complex64, copy=False)
            setting = _Setting(self._specimen.draw(optics), spectrum)
            while len(self._settings) >= ENERGIES_KEPT:
                del self._settings[next(iter(self._settings))]
            self._settings[step] = setting
        return setting


def _clear_margin(pattern: NDArray[np.float32], shift: float) -> None:
    """Empty the rows that a transform takes from the other side of the detector, where a moved pattern has gone out."""
    whole = round(shift)
    if whole > 0:
        pattern[:whole] = 0.0
    elif whole < 0:
        pattern[whole:] = 0.0


class StackFrames:
    """A stack of raw frames played round and round: no physics per call, for the highest rates."""

    def __init__(self, stack: NDArray[Any], dark: NDArray[Any] | None = None) -> None:
        """`stack` is (frame, y, x) in raw axes; `dark` is what a closed shutter gives, zeros when None."""
        if stack.ndim != 3 or not stack.size:
            raise ValueError(f"a stack must be (frame, y, x) with at least one frame, not of shape {stack.shape}")
        self._stack = np.ascontiguousarray(stack)
        self._dark = np.zeros_like(self._stack[0]) if dark is None else np.ascontiguousarray(dark)
        if self._dark.shape != self.raw_shape or self._dark.dtype != self.dtype:
            raise ValueError(
                f"the dark frame is {self._dark.shape} {self._dark.dtype}, "
                f"the frames of the stack are {self.raw_shape} {self.dtype}"
            )

    @classmethod
    def from_source(
        cls,
        source: FrameSource,
        positions_m: Iterable[tuple[float, float]],
        exposure_s: float,
        energy_eV: float,
        ring_current_mA: float,
    ) -> Self:
        """The frames of `source` at the given beam positions, x then y, in metres, and one of its dark frames."""
        frames = [
            source.frame(index, exposure_s, Conditions(x_m, y_m, energy_eV, ring_current_mA, shutter_open=True))
            for index, (x_m, y_m) in enumerate(positions_m)
        ]
        closed = Conditions(0.0, 0.0, energy_eV, ring_current_mA, shutter_open=False)
        dark = source.frame(len(frames), exposure_s, closed)
        return cls(np.stack(frames), dark)

    @classmethod
    def noise(cls, raw_shape: tuple[int, int], dtype: DTypeLike, n_frames: int, seed: int) -> Self:
        """`n_frames` different frames of random numbers, for measuring throughput alone."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed])))
        # 100 is below the largest value of every integer type, and compresses about as badly as real frames do
        return cls(rng.integers(0, 100, (n_frames, *raw_shape)).astype(dtype))

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        _, rows, columns = self._stack.shape
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of every frame."""
        return self._stack.dtype

    def frame(self, index: int, exposure_s: float, there: Conditions) -> NDArray[Any]:
        """Frame `index` modulo the length of the stack, a view; the dark frame when the shutter is closed."""
        return self._stack[index % len(self._stack)] if there.shutter_open else self._dark
