"""The reconstruction of a whole simulated beamline, while it scans and afterwards. Needs PtyPy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from object_truth import correlation, read_reconstruction, read_truth
from p4p.client.thread import Context
from simulated_scan import run_ptychostream, simulate_scan

from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.testing.loopback import LoopbackEpics, process_environment

pytestmark = pytest.mark.ptypy

DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))
RECONSTRUCT = ("-m", "stream_service.cli", "reconstruct", "demo_std.h5")
SCAN = """
import sys
from pathlib import Path
import stream_service.service.demo as demo
demo.EXPOSURE_S = 0.25  # a minute for the scan, at the usual number of photons
photons = 5e6 * 0.02 / demo.EXPOSURE_S
demo.Demo(Path(sys.argv[1]), int(sys.argv[2]), None, ("--photons", str(photons))).run(lambda progress: None)
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A Python process in a folder, with what it says in a pipe."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def follow(folder: Path, *options: str) -> subprocess.Popen[str]:
    return start(folder, *RECONSTRUCT, "--follow", *options)


def end_of_run_s(folder: Path) -> float:
    with h5py.File(folder / "demo_std.h5") as file:
        return float(file["/entry/run/end_timestamp_ns"][()]) / 1e9


@pytest.mark.usefixtures("ptypy_python")
def test_a_scan_is_reconstructed_while_it_runs(tmp_path: Path) -> None:
    network = LoopbackEpics.reserve(["recon"])
    following = subprocess.Popen(
        [sys.executable, *RECONSTRUCT, "--follow", "--iters", "60", "--publish", "R:"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=process_environment(network.server_environment("recon")) | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    scan = start(tmp_path, "-c", SCAN, str(tmp_path), "200")
    ended_s: list[float] = []
    waiting = threading.Thread(target=lambda: ended_s.append(following.wait() * 0 + time.time()))
    waiting.start()
    sizes = set()
    with Context("pva", conf=network.client_environment(), useenv=False, nt=False) as pva:
        while waiting.is_alive():
            found = pva.get("R:ObjectPhase", timeout=2.0, throw=False)
            if not isinstance(found, Exception):
                sizes.add(tuple(dimension["size"] for dimension in found["dimension"]))
            time.sleep(0.5)
    said, _ = following.communicate()
    scan.communicate()
    assert scan.returncode == 0
    assert following.returncode == 0, said
    assert "COMPLETE with 200 of 200 rows" in said
    assert "PtyPy saw every row of it while it ran" in said
    assert len(sizes) > 2, "the object was shown as it grew"
    assert ended_s[0] - end_of_run_s(tmp_path) < 60
    found = correlation(*read_reconstruction(tmp_path / "demo_recon.cxi"), read_truth(tmp_path / "demo_truth.npz"))
    assert found >= 0.98


@pytest.mark.usefixtures("ptypy_python")
def test_an_aborted_scan_ends_it_and_says_so(tmp_path: Path) -> None:
    following = follow(tmp_path, "--iters", "40", "--publish", "")
    scan = start(tmp_path, "-c", SCAN, str(tmp_path), "200")
    while not (tmp_path / "demo_std.h5").exists():
        assert scan.poll() is None
        time.sleep(0.2)
    time.sleep(15)  # of the scan's minute
    scan.send_signal(signal.SIGINT)
    scan.communicate()
    said, _ = following.communicate()
    assert following.returncode == 1, said
    assert "the run is ABORTED with" in said
    found = correlation(*read_reconstruction(tmp_path / "demo_recon.cxi"), read_truth(tmp_path / "demo_truth.npz"))
    assert found > 0.9


@pytest.mark.usefixtures("ptypy_python")
def test_a_file_without_optics_is_reconstructed(tmp_path: Path) -> None:
    scan = simulate_scan(tmp_path, 120, shape=(128, 128))
    file = tmp_path / "scan_std.h5"
    run_ptychostream("ingest", "hdf5", "--input", str(scan.raw), "--output", str(file))
    with h5py.File(file) as opened:
        assert "optics" not in opened["/entry/process"]
    done = run_ptychostream("reconstruct", str(file), "--iters", "100")
    assert "estimated from the mean frame" in done.stdout + done.stderr
    assert correlation(*read_reconstruction(tmp_path / "scan_recon.cxi"), read_truth(scan.truth)) >= 0.95


def test_the_seeds_command_runs_and_leaves_the_data_alone(ptypy_python: PtypyPython, tmp_path: Path) -> None:
    if ptypy_python.executable != sys.executable:
        pytest.skip("for this example PtyPy and ptychostream must be in one Python")
    scan = simulate_scan(tmp_path, 30, shape=(96, 96))
    file = scan.ingest(tmp_path / "scan_std.h5")
    before = file.read_bytes()
    example = Path(__file__).resolve().parents[3] / "examples" / "ptypy_recipe_hdf5.py"
    command = [sys.executable, str(example), "--data", str(file), "--engine", "DM", "--iters", "10"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.read_bytes() == before
    assert list((tmp_path / "recon").glob("*.ptyr"))


@pytest.mark.usefixtures("ptypy_python")
def test_refined_positions_stand_beside_the_measured_ones(tmp_path: Path) -> None:
    scan = simulate_scan(tmp_path, 40, shape=(96, 96))
    with h5py.File(scan.raw, "r+") as raw:  # as a stage that is 40 nm off
        raw["/entry/pos"][...] += np.random.default_rng(1).normal(0, 40e-9, (40, 2))
    file = scan.ingest(tmp_path / "scan_std.h5")
    run_ptychostream("reconstruct", str(file), "--iters", "40", "--refine-positions", "--modes", "2")
    with h5py.File(tmp_path / "scan_recon.cxi") as found:
        geometry = found["/entry_1/sample_1/geometry_1"]
        moved_m = geometry["translation_refined"][()] - geometry["translation"][()]
        assert moved_m.shape == (40, 3)
        # by whole pixels of the object, at most 3.5 along an axis; with so few rows PtyPy sometimes moves none
        assert np.abs(moved_m[:, :2]).max() < 1e-7 and not moved_m[:, 2].any()
        assert found["/entry_1/instrument_1/source_1/illumination"].shape[0] == 2


@pytest.mark.usefixtures("ptypy_python")
def test_the_real_near_field_scan_goes_to_a_falling_error(tmp_path: Path) -> None:
    data = DATA / "petra3_p25_nearfield.cxi"
    if not data.exists():
        pytest.skip(f"{data} is not here: a real scan, not part of the project")
    file = tmp_path / "p25_std.h5"
    run_ptychostream("ingest", "hdf5", "--input", str(data), "--output", str(file))
    done = run_ptychostream("reconstruct", str(file), "--near-field", "--iters", "40")
    assert "cone beam: magnification 30" in done.stdout + done.stderr, (
        "found by the motion of the in-line hologram: 307.8"
    )
    with h5py.File(tmp_path / "p25_recon.cxi") as found:
        errors = found["/entry_1/image_1/process_1/errors"][:, 1]
        assert errors[-1] < errors[0] / 3
        assert found["/entry_1/image_1/x_pixel_size"][()] == pytest.approx(178.7e-9, rel=0.01)
        data_1, mask = found["/entry_1/image_1/data"][()], found["/entry_1/image_1/mask"][()] > 0
        assert 0.8 < np.abs(data_1[mask]).mean() / np.median(np.abs(data_1[mask])) < 1.2
