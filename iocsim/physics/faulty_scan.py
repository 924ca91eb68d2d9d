"""A whole simulated scan in memory, faulty and labelled, without an IOC: what quality is measured against.

The frames are those that the IOC would send: same optics, sample, camera, drifts and faults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.frames import Conditions
from iocsim.physics.beamline import BeamlineConfig, fermat_positions_m, make_beamline
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import ALL_KINDS, FaultKind, FrameFaults, faults_among
from iocsim.physics.optics import Optics

Trajectory = Literal["fermat", "raster"]
Contrast = Literal["strong", "weak"]

CONTRAST = {"strong": 1.0, "weak": 0.15}
STEP_M = 0.15e-6  # with the probe of 0.7 um an overlap of six tenths: what a ptychography scan has
PHOTONS_PER_PIXEL = 5e6 / 128**2  # as bright on any sensor as the beamline's own frames are on theirs
EMPTY_SHARE = 0.2  # of a healthy sample that has empty regions and thick edges


@dataclass(frozen=True, slots=True)
class FaultyScan:
    """A scan as it was sent, with what is wrong with its frames. Row i is the frame with the uniqueId i + 1."""

    frames: NDArray[Any]
    """(n, ny, nx), raw."""
    x_m: NDArray[np.float64]
    """Beam on the sample."""
    y_m: NDArray[np.float64]
    energy_eV: NDArray[np.float64]
    """What the energy's readback said: off the requested one where the energy was wrong."""
    kinds: NDArray[np.str_]
    """(n,): the kind of fault, empty for a sound frame."""
    magnitudes: NDArray[np.float64]
    """(n,): in the unit of the kind, NaN for a sound frame."""
    dark: NDArray[np.float32]
    flat: NDArray[np.float32]
    mask: NDArray[np.uint8]
    """1 = bad."""
    object: NDArray[np.complex64]
    object_pixel_yx_m: tuple[float, float]
    object_origin_yx_m: tuple[float, float]
    """Position of element [0, 0]."""
    optics: Optics
    exposure_s: float
    saturation_ADU: float

    @property
    def is_faulty(self) -> NDArray[np.bool_]:
        """(n,)."""
        return self.kinds != ""


def faulty_scan(
    trajectory: Trajectory = "fermat",
    contrast: Contrast = "strong",
    n_positions: int = 600,
    shape: tuple[int, int] = (128, 128),
    seed: int = 1,
    *,
    fault_share: float = 0.02,
    kinds: Sequence[FaultKind | str] = ALL_KINDS,
    fault_ids: Mapping[FaultKind, frozenset[int]] | None = None,
    healthy: bool = True,
    step_m: float = STEP_M,
    config: BeamlineConfig | None = None,
) -> FaultyScan:
    """Expose a scan; of n frames round(fault_share x n) are faulty, the kinds as evenly as that goes.

    `fault_ids` says instead which uniqueIds (1 to n) have which fault. `healthy`: with the drifts of a healthy
    beamline, and a sample with empty regions and thick edges. `config` gives what is not named here.
    Raises ValueError.
    """
    x_m, y_m = np.array(positions_m(trajectory, n_positions, step_m)).T
    reach_m = 2 * max(np.abs(x_m).max(), np.abs(y_m).max()) + 1e-6  # more than a vibration
    beamline = make_beamline(
        replace(
            config or BeamlineConfig(photons_per_frame=PHOTONS_PER_PIXEL * min(shape) ** 2),
            shape=shape,
            seed=seed,
            scan_range_x_m=reach_m,
            scan_range_y_m=reach_m,
            contrast=CONTRAST[contrast],
            empty_share=EMPTY_SHARE if healthy else 0.0,
            thick_edges=healthy,
        )
    )
    camera, sample = beamline.camera, beamline.sample
    assert camera is not None and sample is not None and beamline.optics is not None  # simulated ones have them
    settings = beamline.config
    ids = faults_among(n_positions, fault_share, kinds, seed) if fault_ids is None else fault_ids
    faults = FrameFaults(seed, ids=ids)
    drifts = Drifts.healthy(seed) if healthy else Drifts()
    source = FaultyFrames(beamline.frames, beamline.sensor, lambda: faults, lambda: drifts)
    exposure_s = settings.reference_exposure_s
    there = Conditions(0.0, 0.0, settings.energy_eV, settings.reference_ring_current_mA, shutter_open=True)
    places = [replace(there, x_m=x, y_m=y) for x, y in zip(x_m, y_m, strict=True)]
    taken = source.take_all(places, exposure_s)
    return FaultyScan(
        taken.frames,
        x_m,
        y_m,
        taken.energy_eV,
        taken.kinds,
        taken.magnitudes,
        dark=camera.dark_reference(exposure_s),
        flat=camera.flat_reference(exposure_s),
        mask=camera.bad_pixel_mask(),
        object=sample.transmission,
        object_pixel_yx_m=(sample.pixel_y_m, sample.pixel_x_m),
        object_origin_yx_m=(sample.origin_y_m, sample.origin_x_m),
        optics=beamline.optics,
        exposure_s=exposure_s,
        saturation_ADU=camera.spec.saturation_ADU,
    )


def positions_m(trajectory: Trajectory, n_positions: int, step_m: float = STEP_M) -> list[tuple[float, float]]:
    """Positions (x, y) about (0, 0), as dense on either trajectory; a raster goes along x, line by line, one way."""
    if trajectory == "fermat":
        return fermat_positions_m(n_positions, step_m)
    pitch_m = step_m * math.sqrt(math.pi)
    columns = math.ceil(math.sqrt(n_positions))
    rows = math.ceil(n_positions / columns)
    return [
        (pitch_m * (k % columns - (columns - 1) / 2), pitch_m * (k // columns - (rows - 1) / 2))
        for k in range(n_positions)
    ]
