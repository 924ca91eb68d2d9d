"""A simulated scan without EPICS: raw frames as a turned camera delivers them, in `/entry` schema, and the truth."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from typer.testing import CliRunner

from iocsim.detector.frames import Conditions
from iocsim.physics.beamline import BeamlineConfig, fermat_positions_m, make_beamline
from stream_service.cli.main import app

EXPOSURE_S = 0.02
RING_CURRENT_MA = 200.0
STEP_M = 0.2e-6
SCAN_RANGE_M = 7e-6


@dataclass(frozen=True)
class SimulatedScan:
    """Raw file and truth of a scan along a Fermat spiral."""

    raw: Path
    truth: Path

    def ingest(self, output: Path, *options: str) -> Path:
        """The standard file of it, with the simulated beamline's optics and these options."""
        ingest_hdf5(self.raw, output, "--profile", "sim", *options)
        return output


def simulate_scan(folder: Path, n_rows: int, *, name: str = "scan", **changes: Any) -> SimulatedScan:
    """Expose `n_rows` frames; `changes` are those of `BeamlineConfig` (shape, rotate, flip, defocus_m, ...)."""
    beamline = make_beamline(BeamlineConfig(scan_range_x_m=SCAN_RANGE_M, scan_range_y_m=SCAN_RANGE_M, **changes))
    assert beamline.camera is not None
    raw, truth = folder / f"{name}_raw.h5", folder / f"{name}_truth.npz"
    beamline.new_truth().save(truth)
    positions_m = fermat_positions_m(n_rows, STEP_M)
    with h5py.File(raw, "w") as file:
        entry = file.create_group("entry")
        frames = entry.create_dataset("data", (n_rows, *beamline.frames.raw_shape), beamline.frames.dtype)
        for index, (x_m, y_m) in enumerate(positions_m):
            conditions = Conditions(x_m, y_m, beamline.energy_eV, RING_CURRENT_MA, True)
            frames[index] = beamline.frames.frame(index, EXPOSURE_S, conditions)
        entry["pos"] = np.array(positions_m)
        entry["energy_eV"] = beamline.energy_eV
        entry["det_dist_m"] = beamline.det_dist_m
        entry["pixel_m"] = beamline.pixel_m
        entry["exposure_s"] = EXPOSURE_S
        entry["mask"] = beamline.camera.bad_pixel_mask()
        entry["dark"] = beamline.camera.dark_reference(EXPOSURE_S)
        entry["flat"] = beamline.camera.flat_reference(EXPOSURE_S)
    return SimulatedScan(raw, truth)


def ingest_hdf5(raw: Path, output: Path, *options: str) -> None:
    """The command, in this process: of use where only the file it makes is looked at."""
    arguments = ["ingest", "hdf5", "--input", str(raw), "--output", str(output), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{' '.join(arguments)}\n{done.output}\n{done.exception!r}"


def run_ptychostream(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it; fails with what it said unless it succeeds."""
    command = [sys.executable, "-m", "stream_service.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done
