"""However an ingest ends, there is a whole file under the name that was asked for, or what was there before."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

N, SIZE = 40, 256


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "scan.h5"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"] = np.random.default_rng(1).poisson(5, (N, SIZE, SIZE)).astype(np.uint16)
        entry["pos"] = np.random.default_rng(2).normal(0, 1e-6, (N, 2))
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"], entry["exposure_s"] = 710.0, 0.1, 1e-5, 0.01
    return path


def command(source: Path, output: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "stream_service.cli", "ingest", "hdf5", "--input", str(source)]
    return [*base, "--output", str(output), *options]


def at_most(n_bytes: int) -> None:
    """A file may not be larger: what a full disk does, without one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, share: float) -> None:
    limit = int(share * N * SIZE * SIZE * 4)
    done = subprocess.run(
        command(source, tmp_path / "out.h5"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: at_most(limit),
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error:" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_an_existing_file_survives_a_failed_replacement(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    output.write_text("precious")
    done = subprocess.run(
        command(source, output, "--force"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: at_most(1 << 20),
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 1
    assert output.read_text() == "precious"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_ingest_leaves_no_half_file(source: Path, tmp_path: Path, how: signal.Signals) -> None:
    output = tmp_path / "out.h5"
    process = subprocess.Popen(command(source, output), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline_s = time.monotonic() + 30
    while process.poll() is None and not any(tmp_path.iterdir()):
        assert time.monotonic() < deadline_s
    process.send_signal(how)
    said, _ = process.communicate(timeout=30)
    if process.returncode == 0:  # it was faster
        pytest.skip("the ingest had ended before it was interrupted")
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
