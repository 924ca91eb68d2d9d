"""`python -m ptychostream_plans.scan` as the demo runs it: a child that reports, fails and ends in order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beamline_client import BeamlineClient
from fake_service import served
from limits import HANG_S
from typer.testing import CliRunner

from ptychostream_plans.scan import app
from stream_service.testing.loopback import LoopbackEpics, process_environment


@dataclass(frozen=True, slots=True)
class Command:
    """The command, on one beamline."""

    ioc_prefix: str
    service_prefix: str
    environment: dict[str, str]
    raw_folder: Path

    def start(self, *options: str, ioc: str | None = None, service: str | None = None) -> subprocess.Popen[str]:
        """Start a scan with short exposures."""
        arguments = ["--ioc", ioc or self.ioc_prefix, "--service", service or self.service_prefix]
        arguments += ["--raw-dir", str(self.raw_folder)]
        return subprocess.Popen(
            [sys.executable, "-m", "ptychostream_plans.scan", *arguments, "--exposure-s", "0.002", *options],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, **prefixes: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*options, **prefixes)
        out, err = process.communicate(timeout=HANG_S)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def beamline(start_ioc: Any) -> Iterator[BeamlineClient]:
    client = BeamlineClient(start_ioc("--shape", "24,32", "--stack", "8").prefix)
    yield client
    client.close()


@pytest.fixture(scope="module")
def service(epics: LoopbackEpics) -> Iterator[BeamlineClient]:
    with served(epics) as prefix:
        client = BeamlineClient(prefix)
        yield client
        client.close()


@pytest.fixture
def command(epics: LoopbackEpics, beamline: BeamlineClient, service: BeamlineClient, tmp_path: Path) -> Command:
    service.put("Fake:Reset", 1)
    return Command(beamline.prefix, service.prefix, process_environment(epics.client_environment()), tmp_path)


@pytest.mark.further
def test_progress_is_one_json_object_a_line(command, service):
    code, out, _ = command.run("--json", "--points", "3", "--scan-id", "told", "--frames-per-position", "2")
    start, *points, stop = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert (start["event"], start["scan_id"], start["n_points"]) == ("start", "told", 3)
    assert start["raw_file"] == str(command.raw_folder / "told_raw.h5")
    assert [(point["event"], point["n"], point["of"]) for point in points] == [("point", n, 3) for n in (1, 2, 3)]
    assert (stop["event"], stop["uid"], stop["exit_status"]) == ("stop", start["uid"], "success")
    assert (stop["stream"]["state"], stop["stream"]["rows"]) == ("COMPLETE", 3)
    assert (command.raw_folder / "told_raw.h5").exists()


def test_positions_of_a_file_are_scanned_and_told_in_words(command):
    np.save(command.raw_folder / "positions.npy", [(1e-6, 0.0, 0.0), (0.0, -2e-6, 0.0)])
    code, out, _ = command.run("--positions", str(command.raw_folder / "positions.npy"), "--scan-id", "worded")
    start, first, second, stop = out.splitlines()
    assert code == 0
    assert start.startswith("scan worded: 2 positions")
    assert first == "position 1 of 2: x -1.000 µm, y 0.000 µm"
    assert second == "position 2 of 2: x 0.000 µm, y 2.000 µm"
    assert stop.endswith("success, 2 rows, COMPLETE: /nowhere//worded_std.h5")


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_interrupted_scan_aborts_the_service_and_stops_the_detector(command, beamline, service, how):
    process = command.start("--json", "--points", "5000")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "point":
            break
    process.send_signal(how)
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "the scan was interrupted"
    assert json.loads(out.splitlines()[-1])["exit_status"] == "abort"
    assert service.get("State") == "ABORTED"
    assert service.get("Fake:Commands") == "Arm Abort"
    assert beamline.get("cam1:Acquire_RBV") == "Done"
    assert beamline.get("HDF1:Capture_RBV") == "Done"


@pytest.mark.further
def test_refusal_of_the_service_is_one_sentence_and_exit_code_1(command, service):
    service.put("Fake:ArmError", "the disk is full")
    code, out, err = command.run("--json", "--points", "2")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "scan failed: the disk is full"
    assert "Traceback" not in err


@pytest.mark.further
def test_service_that_is_not_there_is_named(command):
    code, _, err = command.run("--points", "2", service="NOWHERE:")
    assert code == 1
    assert "nothing answers at NOWHERE:" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_beamline_that_is_not_there_is_named(command):
    code, _, err = command.run("--points", "2", "--timeout-s", "0.5", ioc="NOWHERE:")
    assert code == 1
    assert "the beamline at NOWHERE: did not answer within 0.5 s" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_file_without_positions_is_a_wrong_option(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("x_m,y_m\n1e-6\n")
    done = CliRunner().invoke(app, ["--positions", str(path)])
    assert done.exit_code == 2
    assert f"{path}, line 2" in done.stderr
