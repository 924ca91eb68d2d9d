"""Progress where nobody looks on: whole lines now and then, on standard error; standard output has the result alone."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.cli.progress import CLOSEST_S, LINE_S, Progress
from stream_service.compilation import NOTICE
from stream_service.testing.example_file import write_example
from stream_service.testing.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


def test_a_line_comes_after_so_many_seconds(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("frame", "scan_std.h5", clock=clock) as progress:
        for second in range(32):
            clock.now_s = float(second)
            progress.update(second, 1000, more="1 frames/s")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [f"scan_std.h5: {n} of 1000 frames, 1 frames/s" for n in (10, 20, 30)]
    assert LINE_S == 10


def test_a_line_comes_with_every_tenth_of_the_work(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("iteration", "DM", clock=clock) as progress:
        for n in range(101):
            progress.update(n, 100)
            clock.now_s += CLOSEST_S / 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"DM: {n} of 100 iterations" for n in range(10, 101, 10)]


def test_fast_work_says_nothing(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("frame", clock=clock) as progress:
        for n in range(101):
            clock.now_s += CLOSEST_S / 1000
            progress.update(n, 100)
    assert capsys.readouterr().err == ""


def test_work_without_an_end_is_told_too(clock: ManualClock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("row", clock=clock) as progress:
        progress.update(0, None, what="scanning")
        clock.now_s = LINE_S
        progress.update(1, None, what="scanning")
    assert capsys.readouterr().err == "scanning: 1 row\n"


def ingest(folder: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "stream_service.cli", "ingest", "hdf5", str(folder / "in.h5")]
    return [*command, "--output", str(folder / "out.h5"), *options]


def test_standard_output_has_the_result_alone(tmp_path: Path) -> None:
    write_example(tmp_path / "in.h5", 4)
    done = subprocess.run(ingest(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 frames stored" in done.stdout
    assert "/entry (standard file), 4 frames" in done.stdout
    progress = rf"out\.h5: \d of 4 frames, \d+ frames/s|note: {NOTICE}"
    others = [line for line in done.stderr.splitlines() if not re.fullmatch(progress, line)]
    assert others == [], "but for what a machine says that compiles the kernels meanwhile"
    forced = subprocess.run(ingest(tmp_path, "--force"), capture_output=True, env=os.environ | {"FORCE_COLOR": "1"})
    assert not any(control in forced.stdout + forced.stderr for control in (b"\r", b"\x1b[?25l"))


@pytest.mark.further
def test_an_error_leaves_standard_output_empty(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["entry/data"] = np.ones((3, 4, 4), np.uint16)
        file["entry/pos"] = np.zeros((3, 2))
    done = subprocess.run(ingest(tmp_path), capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_a_person_who_looks_on_sees_a_bar(tmp_path: Path) -> None:
    write_example(tmp_path / "in.h5", 4)
    primary, secondary = pty.openpty()
    command = ingest(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=secondary, env=os.environ | {"TERM": "xterm"}) as run:
        os.close(secondary)
        shown = b""
        while True:
            try:
                piece = os.read(primary, 1 << 12)
            except OSError:  # the other side is closed
                break
            shown += piece
        assert run.stdout is not None
        said = run.stdout.read()
    os.close(primary)
    assert run.returncode == 0
    assert "━".encode() in shown
    assert b"4 of 4 frames stored" in said and b"\r" not in said and b"\x1b" not in said
