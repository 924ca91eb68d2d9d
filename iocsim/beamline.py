"""The simulated beamline put together from a few numbers: optics, specimen, camera and source of frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iocsim.camera import Camera, Flip, Rotate
from iocsim.frames import FrameSource
from iocsim.optics import Optics
from iocsim.sample import Sample
from iocsim.truth import Truth


@dataclass(frozen=True, slots=True)
class BeamlineConfig:
    """What the command line of iocsim chooses; the defaults are a soft X-ray beamline at the iron L3 edge."""

    shape: tuple[int, int] = (128, 160)
    """Rows and columns of the frame in stored axes (before the camera is turned)."""
    energy_eV: float = 710.0
    det_dist_m: float | None = None
    """None: 0.1 m x min(shape) / 128, so that the bright cone covers the same share of any sensor."""
    pixel_m: float = 75e-6
    zone_plate_diameter_m: float = 120e-6
    outermost_zone_width_m: float = 40e-9
    central_stop_m: float = 45e-6
    defocus_m: float | None = None
    """None: 16 um x min(shape) / 128, so that the probe covers the same share of the window."""
    photons_per_frame: float = 2e6
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
    stack_frames: int = 256
    """Length of the precomputed stack when `frames` is not "simulated"."""
    replay: Path | None = None
    """A CXI or `/entry` file: its frames, positions, energy and geometry take the place of the simulated ones."""


@dataclass(frozen=True, slots=True)
class Beamline:
    """The parts of a beamline; with a replayed file there is no optics, sample or camera of ours."""

    config: BeamlineConfig
    frames: FrameSource
    energy_eV: float
    det_dist_m: float
    pixel_m: float
    optics: Optics | None
    sample: Sample | None
    camera: Camera | None

    def new_truth(self) -> Truth:
        """An empty record that already knows object, probe, optics, references and seed."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files that are still open."""


def make_beamline(config: BeamlineConfig) -> Beamline:
    """Build the beamline; raises ValueError (ReplayError for a file) with one sentence that says what to change."""
    raise NotImplementedError
