"""However an ingest ends, there is a whole file under the name that was asked for, or what was there before."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from limits import HANG_S

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


@pytest.fixture(scope="module")
def long_source(source: Path) -> Path:
    """Of 4,000 frames that are all alike, so that it is made in no time and takes seconds to ingest."""
    path = source.with_name("long.h5")
    chunk = zlib.compress(bytes(2 * SIZE * SIZE))
    with h5py.File(source) as short, h5py.File(path, "w") as file:
        short.copy("entry", file)
        del file["entry/data"], file["entry/pos"]
        shape = (4000, SIZE, SIZE)
        frames = file.create_dataset("entry/data", shape, np.uint16, chunks=(1, SIZE, SIZE), compression="gzip")
        for index in range(len(frames)):
            frames.id.write_direct_chunk((index, 0, 0), chunk)
        file["entry/pos"] = np.zeros((len(frames), 2))
    return path


def command(source: Path, output: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "stream_service.cli", "ingest", "hdf5", "--input", str(source)]
    return [*base, "--output", str(output), *options]


@pytest.fixture(scope="module")
def compiled(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Machine code is in the user's cache: with little room for files it could not go there."""
    output = tmp_path_factory.mktemp("compiled") / "out.h5"
    subprocess.run(command(source, output), capture_output=True, check=True)


def at_most(n_bytes: int) -> None:
    """A file may not be larger: what a full disk does, without one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


@pytest.mark.further(but=1)
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, share: float) -> None:
    limit = int(share * N * SIZE * SIZE * 4)
    done = subprocess.run(
        command(source, tmp_path / "out.h5"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: at_most(limit),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error:" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("compiled")
def test_an_existing_file_survives_a_failed_replacement(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    output.write_text("precious")
    done = subprocess.run(
        command(source, output, "--force"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: at_most(1 << 20),
    )
    assert done.returncode == 1
    assert output.read_text() == "precious"


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_interrupted_ingest_leaves_no_half_file(long_source: Path, tmp_path: Path, how: signal.Signals) -> None:
    output = tmp_path / "out.h5"
    process = subprocess.Popen(
        command(long_source, output),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline_s = time.monotonic() + HANG_S
    while process.poll() is None and not any(tmp_path.iterdir()):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)  # the command needs the processor, too
    process.send_signal(how)
    said, _ = process.communicate()
    assert process.returncode in (130, 128 + how) and "Traceback" not in said, said
    assert list(tmp_path.iterdir()) == []
