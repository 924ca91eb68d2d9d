"""Write a small simulated scan in the `/entry` schema, as input for `ptychostream ingest hdf5`.

    python tests/synth_make_small_dataset.py [--output synth.h5] [--frames N] [--shape NY,NX]

The physics is iocsim's: a zone-plate probe on a chiral sample, positions on a Fermat spiral, photon noise, a real
camera's offset, hot and dead pixels. The camera hangs as cameras do: `--rotate 90 --flip v` brings its frames upright.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np

from iocsim.detector.camera import Camera, CameraSpec
from iocsim.detector.frames import Conditions, SimulatedFrames
from iocsim.physics.beamline import BeamlineConfig, fermat_positions_m
from iocsim.physics.sample import ChiralSpecimen

ROTATE, FLIP = 90, "v"
STEP_M = 0.5e-6
"""Of the spiral: a sixth of the probe's diameter, so that neighbours overlap well."""
EXPOSURE_S = 0.02
RING_CURRENT_MA = 200.0
N_REFERENCES = 8
"""Frames in the mean of the dark and of the flat: the builder is to be quick."""


def make_dataset(path: Path, n_frames: int, raw_shape: tuple[int, int]) -> None:
    """Write `n_frames` raw frames of `raw_shape` (rows, columns) and all that belongs to them."""
    positions_m = np.array(fermat_positions_m(n_frames, STEP_M))
    scan_range_m = 2 * float(np.abs(positions_m).max()) + STEP_M
    optics = BeamlineConfig(shape=(raw_shape[1], raw_shape[0])).optics()
    optics.check()
    camera = Camera(CameraSpec(optics.shape, rotate=ROTATE, flip=FLIP))
    source = SimulatedFrames(optics, ChiralSpecimen(1, scan_range_m, scan_range_m), camera)
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        frames = entry.create_dataset("data", (n_frames, *source.raw_shape), source.dtype)
        for index, (x_m, y_m) in enumerate(positions_m):
            frames[index] = source.frame(
                index, EXPOSURE_S, Conditions(x_m, y_m, optics.energy_eV, RING_CURRENT_MA, shutter_open=True)
            )
        entry["pos"] = positions_m
        entry["energy_eV"] = optics.energy_eV
        entry["det_dist_m"] = optics.det_dist_m
        entry["pixel_m"] = optics.pixel_m
        entry["exposure_s"] = EXPOSURE_S
        entry["mask"] = camera.bad_pixel_mask()
        entry["dark"] = camera.dark_reference(EXPOSURE_S, N_REFERENCES)
        entry["flat"] = camera.flat_reference(EXPOSURE_S, N_REFERENCES)


def shape_of(text: str) -> tuple[int, int]:
    """Two numbers from `NY,NX`."""
    words = text.split(",")
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is not rows and columns, such as 600,640")
    return int(words[0]), int(words[1])


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser(description="Write a small simulated scan, input for `ptychostream ingest hdf5`.")
    parser.add_argument("--output", type=Path, default=Path("synth.h5"), help="file to write (synth.h5)")
    parser.add_argument("--frames", type=int, default=25, help="frames, one for each position (25)")
    parser.add_argument(
        "--shape", type=shape_of, default=(600, 640), metavar="NY,NX", help="rows and columns (600,640)"
    )
    options = parser.parse_args()
    if options.frames < 1:
        parser.error(f"--frames {options.frames}: a scan has at least one")
    try:
        make_dataset(options.output, options.frames, options.shape)
    except ValueError as error:
        parser.error(str(error))
    print(f"{options.output}: {options.frames} frames of {options.shape[0]} x {options.shape[1]}")


if __name__ == "__main__":
    main()
