"""Scans through a rig, and how far their stored positions are from iocsim's own record."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from rig import Rig

TOLERANCE_M = 3e-9
SPEED_UM_S = 2.0
N_STEPS, N_FLY = 12, 60


def step_scan(rig: Rig, scan_id: str, n_points: int = N_STEPS) -> None:
    rig.record(scan_id, n_points)
    assert rig.arm(scan_id, n_positions=n_points) == ""
    dice = np.random.default_rng(len(scan_id))
    for x_um, y_um in dice.uniform(-1, 1, (n_points, 2)):
        rig.beamline.put("X", x_um)
        rig.beamline.put("Y", y_um)
        rig.beamline.acquire(1, exposure_s=0.01)
    assert rig.wait_for_end() == "COMPLETE"


def fly_scan(rig: Rig, scan_id: str, n_frames: int = N_FLY) -> None:
    """One line at constant speed; the first frames are taken at rest and in the ramp."""
    rig.record(scan_id, n_frames)
    assert rig.arm(scan_id, n_positions=n_frames) == ""
    rig.beamline.put("X", -1.0)
    rig.beamline.put("X.VELO", SPEED_UM_S)
    rig.beamline.put("X", 6.0, wait=False)
    rig.beamline.acquire(n_frames, exposure_s=0.01, period_s=0.02)
    rig.beamline.put("X.STOP", 1)
    rig.beamline.put("X.VELO", 20.0)
    assert rig.wait_for_end() == "COMPLETE"


SCANS: dict[str, Callable[[Rig, str], None]] = {"step": step_scan, "fly": fly_scan}


def rows_of(file: h5py.File, rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Flags, and how far the stored position is from the true one, of every row."""
    truth = rig.truth()
    where = np.searchsorted(truth["unique_id"], file["/entry/frames/unique_id"][:, 0])
    true_m = np.column_stack([truth["x_m"][where], truth["y_m"][where]])
    off_m = np.abs(file["/entry/pos"][()] - true_m).max(axis=1)
    flags = file["/entry/frames/flags"][()]
    assert ((flags == 0) == (file["/entry/keep"][()] == 1)).all()
    return flags, off_m


def wrong_rows(file: h5py.File, rig: Rig) -> list[int]:
    flags, off_m = rows_of(file, rig)
    return np.flatnonzero((flags == 0) & (off_m > TOLERANCE_M)).tolist()


def ingest(rig: Rig, scan_id: str) -> Path:
    """The detector's own file with the readbacks that the live run recorded."""
    output = rig.folder / f"{scan_id}_again.h5"
    rig.beamline.wait_for("HDF1:Capture_RBV", "Done")
    command = ["ingest", "hdf5", "--input", str(rig.folder / f"{scan_id}_raw.h5"), "--output", str(output)]
    command += ["--profile", str(rig.folder / "profile.yaml")]
    command += ["--readbacks", str(rig.folder / f"{scan_id}_std.h5")]
    done = subprocess.run(
        [sys.executable, "-m", "stream_service.cli", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output
