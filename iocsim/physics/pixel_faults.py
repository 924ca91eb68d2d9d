"""Faults of the light, done to the pixels of frames that are given: recorded ones, or a stack.

Intensity is taken away photon by photon, so that Poisson statistics stay; the pattern moves by whole pixels; a blade
casts its shadow on the detector, as it does behind the optics. A wrong energy would be another pattern: it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iocsim.physics.deviation import Deviation, blade
from iocsim.physics.frame_faults import ALL_KINDS, FaultKind
from iocsim.unique_ids import FaultError, seed_of

GIVEN_KINDS = tuple(kind for kind in ALL_KINDS if kind is not FaultKind.WRONG_ENERGY)
"""Kinds that given frames can be made to show."""
SHADOW_PENUMBRA_PX = 2.0  # half width of the shadow's edge
NOISE_STREAM = 7  # of the random streams of one seed, see `frame_faults`


@dataclass(frozen=True, slots=True)
class Sensor:
    """What has to be known of the camera that gave the frames."""

    saturation_ADU: float
    dark_ADU: NDArray[Any] | float = 0.0
    """What it reads without light, in the axes of the frames."""
    gain_ADU_per_photon: float = 1.0


def disturbed(frame: NDArray[Any], deviation: Deviation, sensor: Sensor, key: tuple[int, int]) -> NDArray[Any]:
    """A frame as the deviation would have made it; `key` (seed, uniqueId) seeds the photon noise."""
    seed, unique_id = key
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, NOISE_STREAM, seed_of(unique_id)])))
    counts_photons = frame.dtype.kind in "ui"
    gain = sensor.gain_ADU_per_photon
    light = frame - np.asarray(sensor.dark_ADU, np.float64)
    if deviation.vibration_px:
        swings = deviation.swings_yx_px()
        light = np.mean([_moved(light, *swing) for swing in swings], axis=0)
        if counts_photons:
            light = gain * rng.poisson(np.maximum(light, 0.0) / gain)
    light = _moved(light, *deviation.pointing_yx_px)
    passes = np.full(frame.shape, min(deviation.flux, 1.0))
    if deviation.blocked:
        lit = np.maximum(light, 0.0)
        passes *= blade(lit, deviation.blocked, deviation.blade_side, SHADOW_PENUMBRA_PX)
    if passes.min() < 1.0:
        if counts_photons:
            photons = np.maximum(np.rint(light / gain), 0.0).astype(np.int64)
            light = light - gain * (photons - rng.binomial(photons, passes))
        else:
            light = light * passes
    if deviation.overexposure and light.max() > 0.0:
        light = light * (deviation.overexposure * sensor.saturation_ADU / light.max())
    made = light + sensor.dark_ADU
    if not counts_photons:
        return np.minimum(made, sensor.saturation_ADU).astype(frame.dtype)
    lowest = float(np.iinfo(frame.dtype).min)
    return np.clip(np.rint(made), lowest, sensor.saturation_ADU).astype(frame.dtype)


def largest_value(frames: NDArray[Any]) -> float:
    """The largest value that a camera of unknown depth can read: that of its type, or what it was seen to read."""
    if frames.dtype.kind in "ui" and frames.dtype.itemsize <= 2:
        return float(np.iinfo(frames.dtype).max)
    return float(frames.max())


def refuse_wrong_energy(kinds: Sequence[FaultKind] | Mapping[FaultKind, Any]) -> None:
    """Raises FaultError if it is among them."""
    if FaultKind.WRONG_ENERGY in kinds:
        raise FaultError(
            f"{FaultKind.WRONG_ENERGY} cannot be made of frames that are given: use {', '.join(GIVEN_KINDS)}, or "
            "simulate the frames one by one"
        )


def _moved(light: NDArray[np.float64], shift_y: float, shift_x: float) -> NDArray[np.float64]:
    """The pattern elsewhere by whole pixels, dark where nothing is known."""
    for axis, shift in ((0, shift_y), (1, shift_x)):
        whole = round(shift)
        if whole:
            light = np.roll(light, whole, axis)
            margin = slice(None, whole) if whole > 0 else slice(whole, None)
            light[(margin,) if axis == 0 else (slice(None), margin)] = 0.0
    return light
