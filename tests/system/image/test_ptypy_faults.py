"""Rows that are rejected by their quality spoil an image less than rows that are kept. Needs PtyPy."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from object_truth import correlation, read_reconstruction, read_truth
from simulated_scan import ingest_hdf5, run_ptychostream

from iocsim.physics.faulty_scan import FaultyScan, faulty_scan

pytestmark = [pytest.mark.ptypy, pytest.mark.usefixtures("ptypy_python")]

N_ROWS, FAULT_SHARE, ITERATIONS = 200, 0.05, 100


@pytest.fixture
def scan() -> FaultyScan:
    """One row in twenty is faulty, of every kind."""
    return faulty_scan("fermat", "strong", N_ROWS, seed=5, fault_share=FAULT_SHARE, healthy=False)


def standard_file(scan: FaultyScan, folder: Path) -> Path:
    raw, output = folder / "raw.h5", folder / "kept_std.h5"
    with h5py.File(raw, "w") as file:
        entry = file.create_group("entry")
        entry["data"], entry["mask"] = scan.frames, scan.mask
        entry["dark"], entry["flat"] = scan.dark, scan.flat
        entry["pos"] = np.column_stack([scan.x_m, scan.y_m])
        entry["energy_eV"], entry["exposure_s"] = scan.optics.energy_eV, scan.exposure_s
        entry["det_dist_m"], entry["pixel_m"] = scan.optics.det_dist_m, scan.optics.pixel_m
    ingest_hdf5(raw, output, "--profile", "sim", "--sat", str(scan.saturation_ADU))
    return output


def likeness(file: Path, truth: Path) -> float:
    """Correlation of the object with the truth."""
    out = file.with_suffix(".cxi")
    run_ptychostream("reconstruct", str(file), "--out", str(out), "--iters", str(ITERATIONS))
    return correlation(*read_reconstruction(out), read_truth(truth))


def test_an_image_without_the_rejected_rows_is_nearer_to_the_truth(scan: FaultyScan, tmp_path: Path) -> None:
    truth = tmp_path / "truth.npz"
    np.savez(
        truth,
        object=scan.object,
        object_pixel_yx_m=scan.object_pixel_yx_m,
        object_origin_yx_m=scan.object_origin_yx_m,
    )
    kept = standard_file(scan, tmp_path)
    rejected = kept.with_name("rejected_std.h5")
    shutil.copyfile(kept, rejected)
    run_ptychostream("evaluate", str(rejected), "--apply", "--out", str(tmp_path / "quality"))
    with h5py.File(rejected) as file:
        is_kept = file["/entry/keep"][()] == 1
    print(f"{np.count_nonzero(scan.is_faulty)} faulty rows, {np.count_nonzero(~is_kept)} rejected")
    with_them, without_them = likeness(kept, truth), likeness(rejected, truth)
    print(f"correlation with the truth: {with_them:.4f} with the faulty rows, {without_them:.4f} without the rejected")
    assert without_them > with_them + 0.01
