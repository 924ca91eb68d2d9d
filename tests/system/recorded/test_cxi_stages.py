"""A standard file is a valid CXI file at every stage of its life, and its readers' examples run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.ptycho.ptypy.closed_copy import closed_copy
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    write_example,
)

OFFICIAL = "PTYCHOSTREAM_CXI_VALIDATOR"
"""Environment variable with the path of validate_cxi.py, of the CXI file format's public repository."""


def complete(path: Path) -> None:
    write_example(path, 6)


def grouped(path: Path) -> None:
    write_example(path, 6, frames_per_row=3)


def empty(path: Path) -> None:
    with StandardFile.create(path, example_header(6)) as file:
        file.write_ledger(replace_counts(0, not_exposed=6))
        file.set_state("ABORTED", "aborted before the first frame", START_NS + 1)


def aborted(path: Path) -> None:
    with StandardFile.create(path, example_header(6)) as file:
        append_example_rows(file, 0, 4)
        file.write_ledger(replace_counts(4, not_exposed=2))
        file.set_state("ABORTED", "aborted by the operator", START_NS + 1)


def masked(path: Path) -> None:
    bits = np.zeros((6, 8), np.uint32)
    bits[0, 1], bits[5, 7] = 0x4, 0x200
    write_example(path, 6, mask=(bits != 0).astype(np.uint8), pixel_mask=bits)


def replace_counts(n_stored: int, **counts: int) -> Any:
    whole = example_ledger(6)
    status = np.array([1] * n_stored + [5] * (6 - n_stored), np.uint8)
    received = np.array([1] * n_stored + [0] * (6 - n_stored), np.uint16)
    return replace(whole, status=status, n_received=received, counts=dict(whole.counts) | {"stored": n_stored} | counts)


STAGES = [complete, grouped, masked, aborted, empty]


@pytest.mark.parametrize("write", STAGES)
def test_every_kind_of_finished_file_follows_our_own_rules(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "scan_std.h5")
    findings = validate_file(tmp_path / "scan_std.h5")
    assert [str(finding) for finding in findings if finding.level == "error"] == []


@pytest.fixture
def copy_of_a_growing_file(tmp_path: Path) -> Path:
    """Copied while its writer has it open: the copy is as good as what the writer had flushed."""
    with StandardFile.create(tmp_path / "scan_std.h5", example_header(6)) as file:
        append_example_rows(file, 0, 4)
        file.flush()
        shutil.copyfile(tmp_path / "scan_std.h5", tmp_path / "copy_std.h5")
    return tmp_path / "copy_std.h5"


def test_the_copy_of_a_growing_file_is_read_with_swmr_and_valid(copy_of_a_growing_file: Path) -> None:
    findings = validate_file(copy_of_a_growing_file)
    assert [str(finding) for finding in findings if finding.level == "error"] == []
    assert any("is being written or was not closed" in finding.message for finding in findings)
    scan = ScanFile.read(copy_of_a_growing_file)
    assert scan.is_growing and scan.n_rows == 4


def test_a_growing_file_gives_a_closed_one_for_programs_that_open_no_other(
    copy_of_a_growing_file: Path, tmp_path: Path
) -> None:
    scan = closed_copy(ScanFile.read(copy_of_a_growing_file), tmp_path / "rows.h5")
    assert not scan.is_growing
    with h5py.File(scan.path) as file:
        assert file["/entry/data"].shape[0] == 4


def official_findings(path: Path) -> str:
    """Findings of the official validator in a file."""
    validator = os.environ.get(OFFICIAL)
    if not validator:
        pytest.skip(f"{OFFICIAL} does not name the official validator (cxidb/CXI, validate_cxi.py)")
    done = subprocess.run([sys.executable, validator, str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("write", STAGES)
def test_the_official_validator_finds_nothing(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "scan_std.h5")
    assert "No errors or warnings found" in official_findings(tmp_path / "scan_std.h5")


def test_the_official_validator_finds_nothing_in_a_growing_file(copy_of_a_growing_file: Path, tmp_path: Path) -> None:
    """It opens closed files only: HDF5's own tool clears the mark that a writer is at work."""
    if shutil.which("h5clear") is None:
        pytest.skip("h5clear (hdf5-tools) is not here, which lets any program open the copy of a growing file")
    subprocess.run(["h5clear", "--status", "--increment=0", str(copy_of_a_growing_file)], check=True)
    assert "No errors or warnings found" in official_findings(copy_of_a_growing_file)


@pytest.fixture(scope="module")
def cxi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cxi") / "ptycho_scan_001.cxi"
    bits = np.zeros((6, 8), np.uint32)
    bits[2, 3] = 0x4
    write_example(path, 12, mask=(bits != 0).astype(np.uint8), pixel_mask=bits)
    return path


def test_the_seeds_hierarchy_is_there_with_its_attributes(cxi: Path) -> None:
    with h5py.File(cxi) as file:
        classes = {
            "/entry_1": "NXentry",
            "/entry_1/instrument_1": "NXinstrument",
            "/entry_1/instrument_1/detector_1": "NXdetector",
            "/entry_1/sample_1": "NXsample",
            "/entry_1/data_1": "NXdata",
        }
        assert {path: file[path].attrs["NX_class"] for path in classes} == classes
        detector = file["/entry_1/instrument_1/detector_1"]
        n, ny, nx = 12, 6, 8
        assert detector["data"].shape == (n, ny, nx) and detector["data"].dtype == np.float32
        for name in ("distance", "x_pixel_size", "y_pixel_size", "saturation_value"):
            assert detector[name].shape == () and detector[name].dtype == np.float64
        assert detector["corner_position"].shape == (3,)
        assert detector["mask"].shape == (ny, nx) and detector["mask"].dtype == np.uint8
        specific = detector["detectorSpecific"]
        assert specific["pixel_mask"].dtype == np.uint32
        for name in ("countrate_correction_applied", "flatfield_applied"):
            assert specific[name].dtype == np.int32
        assert file["/entry_1/sample_1"].attrs["name"] == "example"
        translation = file["/entry_1/sample_1/geometry_1/translation"]
        assert translation.shape == (n, 3) and translation.attrs["units"] == "m"
        assert isinstance(file.get("/entry_1/data_1/data", getlink=True), h5py.SoftLink)
        assert file["/entry/frames/energy_eV"].shape == file["/entry/frames/exposure_s"].shape == (n,)
        assert file["/entry/energy_eV"].shape == file["/entry/exposure_s"].shape == ()


def test_loading_examples_of_beamline_scripts_run(cxi: Path) -> None:
    """As in the scripts of the beamline; where the specification has joules the one line more says so."""
    with h5py.File(cxi, "r") as f:
        names: list[str] = []
        f.visititems(lambda name, obj: names.append(name))
        assert "entry/data" in names, "the same bytes as detector_1/data: visititems names each object once"

        patterns = f["/entry_1/instrument_1/detector_1/data"][:]
        positions = f["/entry_1/sample_1/geometry_1/translation"][:]
        pos_x = positions[:, 0] * 1e6
        det = f["/entry_1/instrument_1/detector_1"]
        assert det["distance"][()] == 0.12 and det["x_pixel_size"][()] == 11e-6
        energy = f["/entry_1/instrument_1/source_1/energy"]
        energy_eV = energy[()]
        assert energy.attrs["units"] == "J"
        energy_eV = energy_eV / 1.602176634e-19  # the one line: CXI has joules
        assert energy_eV == pytest.approx(f["/entry_1/instrument_1/beam_1/incident_beam_energy"][()])
        wavelength = 1.23984198e-6 / energy_eV
        assert wavelength * 1e10 == pytest.approx(17.4626, abs=1e-3)

        mask = det["mask"][:]
        patterns_masked = patterns * (1 - mask)[np.newaxis, :, :]
        assert patterns_masked[:, 2, 3].tolist() == [0.0] * 12
        assert np.array_equal(patterns_masked[:, 0, 0], patterns[:, 0, 0])
        np.testing.assert_allclose(-pos_x * 1e-6, f["/entry/posx_m"][()])  # translation is the motion of the sample
