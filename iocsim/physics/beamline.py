"""The simulated beamline put together from a few numbers: optics, specimen, camera and source of frames."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iocsim.detector.camera import Camera, CameraSpec, Flip, Rotate
from iocsim.detector.frames import Flux, FrameSource, SimulatedFrames, StackFrames
from iocsim.physics.optics import Optics, zone_plate_probe
from iocsim.physics.pixel_faults import Sensor, largest_value
from iocsim.physics.sample import ChiralSpecimen, Sample
from iocsim.replay import ReplayFrames
from iocsim.truth import Truth

DEFAULT_SHORT_SIDE_PX = 128  # the sensor for which the distances below are meant
DEFAULT_DET_DIST_M = 0.1
DEFAULT_DEFOCUS_M = 16e-6
LARGEST_SCAN_RANGE_M = 40e-6
ENERGY_RANGE = (0.6, 2.0)  # of the nominal energy: the cone stays on the sensor, the sample's grid in memory
STACK_STEP_M = 0.2e-6  # of the Fermat spiral along which a stack is exposed
GOLDEN_ANGLE_RAD = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, slots=True)
class BeamlineConfig:
    """Parameters of the simulated beamline; the defaults are a soft X-ray beamline at the iron L3 edge."""

    shape: tuple[int, int] = (128, 160)
    """Rows and columns of the frame in stored axes (before the camera is turned)."""
    energy_eV: float = 710.0
    det_dist_m: float | None = None
    """None: 0.1 m x min(shape) / 128, so that the bright-field cone covers the same share of any sensor."""
    pixel_m: float = 75e-6
    zone_plate_diameter_m: float = 120e-6
    outermost_zone_width_m: float = 40e-9
    central_stop_m: float = 45e-6
    defocus_m: float | None = None
    """None: 16 um x min(shape) / 128, so that the probe covers the same share of the window."""
    photons_per_frame: float = 5e6
    """Photons on the sample in one exposure of `reference_exposure_s` at `reference_ring_current_mA`."""
    reference_exposure_s: float = 0.02
    reference_ring_current_mA: float = 200.0
    seed: int = 1
    rotate: Rotate = 0
    flip: Flip = "none"
    dtype: str = "uint16"
    scan_range_x_m: float = 10e-6
    scan_range_y_m: float = 10e-6
    frames: Literal["simulated", "stack", "noise"] = "simulated"
    """"stack": real frames exposed beforehand along a Fermat spiral, played round and round, wherever the stage is;
    "noise": random numbers, for measuring throughput alone."""
    stack_frames: int = 256
    """Length of the precomputed stack when `frames` is not "simulated"."""
    contrast: float = 1.0
    """Of the sample: 1 is strong, 0.15 weak."""
    empty_share: float = 0.0
    """Share of the sample's area that is bare membrane."""
    thick_edges: bool = False
    """The sample is thick at the border of what is empty."""
    replay: Path | None = None
    """A CXI or `/entry` file: its frames, positions, energy and geometry take the place of the simulated ones."""
    probe_moves: bool = False
    """The translation of a replayed CXI file is where the probe is, not the motion of the sample."""

    def optics(self) -> Optics:
        """The optics these numbers describe; not checked."""
        scale = min(self.shape) / DEFAULT_SHORT_SIDE_PX
        return Optics(
            shape=self.shape,
            energy_eV=self.energy_eV,
            det_dist_m=DEFAULT_DET_DIST_M * scale if self.det_dist_m is None else self.det_dist_m,
            pixel_m=self.pixel_m,
            zone_plate_diameter_m=self.zone_plate_diameter_m,
            outermost_zone_width_m=self.outermost_zone_width_m,
            central_stop_m=self.central_stop_m,
            defocus_m=DEFAULT_DEFOCUS_M * scale if self.defocus_m is None else self.defocus_m,
        )


@dataclass(frozen=True, slots=True)
class Beamline:
    """The parts of a beamline; with a replayed file there is no optics, sample or camera of ours."""

    config: BeamlineConfig
    frames: FrameSource
    energy_eV: float
    det_dist_m: float
    pixel_m: float
    optics: Optics | None = None
    sample: Sample | None = None
    camera: Camera | None = None
    replay: ReplayFrames | None = None
    """The same object as `frames` when a file is replayed: its positions and mask."""
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def energy_limits_eV(self) -> tuple[float, float]:
        """The lowest and highest energy the monochromator of this beamline should be let go to."""
        return ENERGY_RANGE[0] * self.energy_eV, ENERGY_RANGE[1] * self.energy_eV

    @property
    def frames_are_given(self) -> bool:
        """They are not simulated one by one: the light of an exposure can be changed in its pixels only."""
        return not isinstance(self.frames, SimulatedFrames)

    @property
    def sensor(self) -> Sensor:
        """What the faults of frames have to know of the camera."""
        if self.camera is not None:
            spec = self.camera.spec
            return Sensor(spec.saturation_ADU, self._arrays["dark"], spec.gain_ADU_per_photon)
        if self.replay is not None:
            return Sensor(self.replay.largest_value)
        return Sensor(largest_value(np.ones(1, self.frames.dtype)))

    def new_truth(self) -> Truth:
        """An empty record that already knows object, probe, optics, references and seed."""
        config = asdict(self.config) | {"replay": None if self.config.replay is None else str(self.config.replay)}
        facts = {
            "config": config,
            "energy_eV": self.energy_eV,
            "det_dist_m": self.det_dist_m,
            "pixel_m": self.pixel_m,
            "optics": None if self.optics is None else asdict(self.optics),
            "camera": None if self.camera is None else asdict(self.camera.spec),
        }
        return Truth(self._arrays, facts)

    def close(self) -> None:
        """Let go of files that are still open."""
        if self.replay is not None:
            self.replay.close()


def make_beamline(config: BeamlineConfig) -> Beamline:
    """Build the beamline; raises ValueError (ReplayError for a file) with one sentence that says what to change."""
    if config.replay is not None:
        return _replayed(config, config.replay)
    if len(config.shape) != 2 or min(config.shape) < 16:
        raise ValueError(f"shape = {config.shape}: a sensor needs at least 16 rows and 16 columns")
    if config.stack_frames < 1:
        raise ValueError(f"stack_frames = {config.stack_frames}: a stack needs at least one frame")
    if not all(0 < length_m <= LARGEST_SCAN_RANGE_M for length_m in (config.scan_range_x_m, config.scan_range_y_m)):
        raise ValueError(
            f"scan_range_x_m = {config.scan_range_x_m:g} and scan_range_y_m = {config.scan_range_y_m:g} must lie "
            f"between 0 and {LARGEST_SCAN_RANGE_M:g}: the whole sample is kept in memory"
        )
    if config.photons_per_frame <= 0 or config.reference_exposure_s <= 0 or config.reference_ring_current_mA <= 0:
        raise ValueError(
            "photons_per_frame, reference_exposure_s and reference_ring_current_mA must be positive, not "
            f"{config.photons_per_frame}, {config.reference_exposure_s}, {config.reference_ring_current_mA}"
        )
    if not 0 < config.contrast < math.inf:
        raise ValueError(f"contrast = {config.contrast:g}: it must be above 0, and 1 is strong")
    if not 0 <= config.empty_share < 1:
        raise ValueError(f"empty_share = {config.empty_share:g}: it lies between 0 and below 1")
    optics = config.optics()
    camera = Camera(CameraSpec.for_dtype(config.shape, config.dtype, config.seed, config.rotate, config.flip))
    if config.frames == "noise":
        noise = StackFrames.noise(camera.raw_shape, camera.dtype, config.stack_frames, config.seed)
        return Beamline(config, noise, config.energy_eV, optics.det_dist_m, optics.pixel_m)
    optics.check()
    flux = Flux(config.photons_per_frame, config.reference_exposure_s, config.reference_ring_current_mA)
    specimen = ChiralSpecimen(
        config.seed,
        config.scan_range_x_m,
        config.scan_range_y_m,
        config.contrast,
        config.empty_share,
        config.thick_edges,
    )
    simulated = SimulatedFrames(optics, specimen, camera, flux)
    frames: FrameSource = simulated
    if config.frames == "stack":
        frames = StackFrames.from_source(
            simulated,
            fermat_positions_m(config.stack_frames, STACK_STEP_M),
            config.reference_exposure_s,
            config.energy_eV,
            config.reference_ring_current_mA,
        )
    sample = simulated.sample_at(config.energy_eV)
    arrays = {
        "object": sample.transmission,
        "object_pixel_yx_m": np.array([sample.pixel_y_m, sample.pixel_x_m]),
        "object_origin_yx_m": np.array([sample.origin_y_m, sample.origin_x_m]),
        "probe": zone_plate_probe(optics),
        "dark": camera.dark_reference(config.reference_exposure_s),
        "flat": camera.flat_reference(config.reference_exposure_s),
        "mask": camera.bad_pixel_mask(),
    }
    return Beamline(
        config, frames, config.energy_eV, optics.det_dist_m, optics.pixel_m, optics, sample, camera, None, arrays
    )


def fermat_positions_m(n_positions: int, step_m: float) -> list[tuple[float, float]]:
    """Positions (x, y) along a Fermat spiral about (0, 0), one per `step_m` squared x pi of area."""
    return [
        (
            step_m * math.sqrt(k) * math.cos(k * GOLDEN_ANGLE_RAD),
            step_m * math.sqrt(k) * math.sin(k * GOLDEN_ANGLE_RAD),
        )
        for k in range(n_positions)
    ]


def _replayed(config: BeamlineConfig, path: Path) -> Beamline:
    if config.contrast != 1.0 or config.empty_share or config.thick_edges:
        raise ValueError(f"{path} is replayed: contrast, empty regions and thick edges are those of its own sample")
    frames = ReplayFrames(path, config.rotate, config.flip, probe_moves=config.probe_moves)
    arrays: dict[str, NDArray[Any]] = {"recorded_positions_xy_m": frames.positions_m}
    if frames.mask is not None:
        arrays["mask"] = frames.mask
    return Beamline(
        config=config,
        frames=frames,
        energy_eV=frames.energy_eV,
        det_dist_m=frames.det_dist_m,
        pixel_m=frames.pixel_m,
        replay=frames,
        _arrays=arrays,
    )
