"""The file of a writer that is killed with -9, through `ptychostream repair` as an operator runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.errors import PtychostreamError
from stream_service.standard_file import validate_file
from stream_service.testing.example_file import example_pixels

SHAPE = (64, 80)
WRITER = r"""
import os, sys, time
from stream_service.standard_file import StandardFile
from stream_service.standard_file.write.growing_rows import GrowingRows
from stream_service.testing.example_file import append_example_rows, example_header

announce = GrowingRows.announce
def dying(rows):
    if sys.argv[2] == "before the keys" and rows.n_written == 37:
        print("dying", flush=True)
        os.kill(os.getpid(), 9)
    announce(rows)
GrowingRows.announce = dying

file = StandardFile.create(sys.argv[1], example_header(100, frame_shape=(64, 80), pixel_m=75e-6, det_dist_m=0.05))
file.set_state("RECEIVING")
for start, stop in ((0, 1), (1, 20), (20, 37)):
    append_example_rows(file, start, stop)
    file.flush()
append_example_rows(file, 37, 42)
print("flushed 37", flush=True)
while sys.argv[2] == "lives":  # as the daemon does between two frames
    file._beat()
    time.sleep(0.1)
time.sleep(3600)
"""


def ptychostream(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_service.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "1000"},
        check=False,
    )


@pytest.fixture
def writer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that writes `scan7_std.h5` and has flushed 37 rows; killed at the end at the latest."""
    started = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "scan7_std.h5"), request.param], stdout=subprocess.PIPE, text=True
    )
    with started:
        assert started.stdout is not None and started.stdout.readline() in ("flushed 37\n", "dying\n")
        yield started
        started.kill()


def check_rows(path: Path, n_rows: int) -> None:
    with h5py.File(path) as file:  # any program can open it
        data: Any = file["/entry/data"]
        assert data.shape[0] == n_rows
        np.testing.assert_array_equal(data[()], [example_pixels(row, SHAPE) for row in range(n_rows)])


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("writer", "n_rows"), [("after a flush", 37), ("before the keys", 20)], indirect=["writer"], ids=lambda value: value
)
def test_the_file_of_a_killed_writer_is_put_in_order(
    writer: subprocess.Popen[str], n_rows: int, tmp_path: Path
) -> None:
    writer.kill()
    assert writer.wait(HANG_S) == -9
    path = tmp_path / "scan7_std.h5"
    whole = path.read_bytes()
    read = ptychostream("export", path, "--tike", "--output", tmp_path / "before.h5")
    assert read.returncode == 0 and f"the {n_rows} rows that its live keys announce are read" in read.stderr
    done = ptychostream("repair", path)
    assert done.returncode == 0, done.stderr
    assert f"the writer died (state RECEIVING); ptychostream 0.1.0 kept {n_rows} of {n_rows} rows" in done.stdout
    assert (tmp_path / "scan7_std_unrepaired.h5").read_bytes() == whole
    check_rows(path, n_rows)
    validated = ptychostream("validate", path)
    assert validated.returncode == 0 and "is ABORTED" in validated.stdout
    again = ptychostream("export", path, "--tike", "--output", tmp_path / "after.h5")
    assert again.returncode == 0 and not again.stderr


@pytest.mark.further(but=1)
@pytest.mark.parametrize("writer", ["after a flush"], indirect=True)
@pytest.mark.parametrize(
    "share", [0.6, 0.1, *(pytest.param(share, marks=pytest.mark.long) for share in (0.95, 0.8, 0.4))]
)
def test_what_is_left_of_a_copy_is_kept(writer: subprocess.Popen[str], share: float, tmp_path: Path) -> None:
    writer.kill()
    writer.wait(HANG_S)
    path = tmp_path / "scan7_std.h5"
    os.truncate(path, int(path.stat().st_size * share))
    for command in (["export", path, "--tike", "--output", tmp_path / "o.h5"], ["orient", path], ["recipe", path]):
        refused = CliRunner().invoke(app, [str(word) for word in command]).exception
        assert isinstance(refused, PtychostreamError)
        assert "ptychostream repair" in str(refused) or (share < 0.2 and "copy it again" in str(refused))
    done = ptychostream("repair", path, "--output", tmp_path / "new_std.h5")
    if done.returncode:  # cut before the first row was whole
        assert "copy it again" in done.stderr and share < 0.5 and not (tmp_path / "new_std.h5").exists()
        return
    with h5py.File(tmp_path / "new_std.h5") as file:
        n_rows = len(np.asarray(file["/entry/pos"]))
    assert 0 < n_rows < 37 and f"kept {n_rows} of 37 rows; lost are the rows" in done.stdout
    check_rows(tmp_path / "new_std.h5", n_rows)
    assert [found for found in validate_file(tmp_path / "new_std.h5") if found.level == "error"] == []


@pytest.mark.parametrize("writer", ["lives"], indirect=True)
def test_a_writer_that_lives_keeps_its_file(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    refused = ptychostream("repair", tmp_path / "scan7_std.h5")
    assert refused.returncode == 1 and "is being written (its heartbeat counts on)" in refused.stderr
    assert writer.poll() is None and [file.name for file in tmp_path.iterdir()] == ["scan7_std.h5"]
