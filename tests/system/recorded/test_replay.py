"""A real scan out of the IOC over PVA, and offline: both give the source's values, and the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from demonstration import run_demo

DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
P25 = DATA / "petra3_p25_nearfield.cxi"

pytestmark = pytest.mark.skipif(not P25.exists(), reason=f"the real scan {P25.name} is not in PTYCHOSTREAM_TEST_DATA")


def check_against_source(path: Path) -> None:
    with h5py.File(P25) as source, h5py.File(path) as file:
        assert np.array_equal(file["/entry/data"][()], source["/entry_1/data_1/data"][()])
        translation = source["/entry_1/data_1/translation"][()].astype(np.float64)
        np.testing.assert_allclose(file["/entry_1/sample_1/geometry_1/translation"][()], translation, atol=1e-9)
        np.testing.assert_allclose(file["/entry/pos"][()], -translation[:, :2], atol=1e-9)
        assert file["/entry/energy_eV"][()] == pytest.approx(12658, abs=1)
        assert file["/entry/det_dist_m"][()] == pytest.approx(1.12, rel=1e-6)
        assert file["/entry/pixel_m"][()] == pytest.approx(55e-6, rel=1e-6)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scan, ingested."""
    made = tmp_path_factory.mktemp("offline") / "offline_std.h5"
    command = [
        sys.executable,
        "-m",
        "stream_service.cli",
        "ingest",
        "hdf5",
        "--input",
        str(P25),
        "--output",
        str(made),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made


def test_ingested_scan_equals_the_source(offline: Path) -> None:
    check_against_source(offline)


@pytest.mark.further  # test_same_scan has the ways of a simulated scan
def test_replayed_scan_equals_the_source_and_the_ingested_one(offline: Path, tmp_path: Path) -> None:
    demo = run_demo(tmp_path, "--replay", str(P25))
    assert demo.exit_code == 0, demo.output
    check_against_source(demo.standard)
    with h5py.File(offline) as file, h5py.File(demo.standard) as live:
        for path in ("/entry/data", "/entry/mask", "/entry/keep", "/entry/frames/n_frames", "/entry/frames/flags"):
            assert np.array_equal(file[path][()], live[path][()]), path
