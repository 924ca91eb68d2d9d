"""The command `iocsim`: help, refusals, references."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient
from typer.testing import CliRunner

from iocsim.cli import app
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, process_environment


def run(epics: LoopbackEpics, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iocsim", *arguments],
        env=process_environment(epics.server_environment("ioc") | {"COLUMNS": "200", "NO_COLOR": "1"}),
        capture_output=True,
        text=True,
    )


def test_help_shows_an_example(epics: LoopbackEpics):
    result = run(epics, "--help")
    assert result.returncode == 0
    assert "iocsim --prefix SIM: --shape 256,256" in result.stdout


@pytest.mark.further(but=7)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shape", "12"], "NY,NX"),
        (["--rotate", "45"], "--rotate 45"),
        (["--flip", "x"], "--flip x"),
        (["--drop-ids", "1,a"], "'a' is no uniqueId"),
        (["--replay", "/no/such/file.cxi"], "/no/such/file.cxi"),
        (["--references", "/tmp/refs.txt"], ".npz or .h5"),
        (["--drop", "2"], "--drop 2 cannot be: give a number from 0 to 1"),
        (["--reorder", "-3"], "--reorder -3 cannot be"),
        (["--motor-poll", "-1"], "--motor-poll -1 cannot be"),
        (["--frame-clock-offset", "nan"], "--frame-clock-offset nan cannot be"),
        (["--motor-clock-step", "inf@3"], "--motor-clock-step 'inf@3' is no clock step"),
        (["--far-ids", "7-3"], "--far-ids '7-3' is no range"),
        (
            ["--faults", "/no/such/file"],
            "cannot be read (No such file or directory): give a YAML file",
        ),
        (["--faults", "/"], "--faults / cannot be read (Is a directory): give a YAML file"),
        (["--truth", "/no/such/folder/truth.npz"], "--truth /no/such/folder/truth.npz: there is no folder"),
        (["--references", "/"], "--references / is a folder"),
        (["--zmq", "tcp://127.0.0.1:5555 REP"], "is no address"),
        (["--simplon", "tcp://127.0.0.1:9999 PULL"], "is no address"),
        (["--simplon-detail", "some"], "--simplon-detail some: use none, basic or all"),
        (["--simplon-encoding", "zip"], "--simplon-encoding zip: use none, lz4 or bslz4"),
        (["--stream2-channels", "3"], "--stream2-channels 3: use 1 or 2"),
        (["--dcu-queue", "0"], "--dcu-queue 0"),
        (["--zmq-curve", "/no/such/file"], "/no/such/file"),
        (["--zmq-server-key", "server.key"], "give --zmq-curve, too"),
        (["--fault-share", "-1"], "--fault-share -1"),
        (["--fault-kinds", "earthquake"], "'earthquake' is no kind of fault: use beam_dump"),
        (["--fault-ids", "100-120"], "write KIND:IDS"),
        (["--stack", "2", "--fault-ids", "wrong_energy:3"], "wrong_energy cannot be made of frames that are given"),
        (["--stack", "2", "--healthy"], "--healthy is for frames that are simulated"),
        (["--contrast", "0"], "contrast = 0"),
        (["--empty", "1"], "empty_share = 1"),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_code_2(arguments: list[str], words: str):
    shape = () if "--shape" in arguments else ("--shape", "32,48")
    result = CliRunner().invoke(app, [*shape, *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.further(but=1)
@pytest.mark.parametrize("name", ["EPICS_CA_SERVER_PORT", "EPICS_PVAS_SERVER_PORT"])
def test_a_port_that_another_server_has_is_refused(name: str):
    network = LoopbackEpics.reserve(["ioc"])
    with socket.socket() as other:
        other.bind((LOOPBACK, int(network.server_environment("ioc")[name])))
        other.listen()
        result = run(network, "--shape", "32,48", "--stack", "1")
    assert result.returncode == 2
    assert name in result.stderr


def test_an_address_of_zmq_that_is_taken_is_refused():
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        address = f"tcp://{LOOPBACK}:{other.getsockname()[1]}"
        result = CliRunner().invoke(app, ["--shape", "32,48", "--stack", "1", "--stream2", address])
    assert result.exit_code == 2
    assert f"cannot be bound to {address}" in result.stderr


@pytest.mark.further(but=1)
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_references_are_in_the_axes_of_the_raw_frames(start_ioc: Callable, tmp_path: Path, suffix: str):
    path = tmp_path / f"references{suffix}"
    ioc = start_ioc("--shape", "32,48", "--rotate", "90", "--references", path)
    assert "48x32 uint16" in ioc.ready_line
    if suffix == ".npz":
        with np.load(path) as file:
            shapes = {name: file[name].shape for name in file.files}
    else:
        with h5py.File(path) as file:
            shapes = {name: item.shape for name, item in file.items()}
    assert shapes == {"dark": (48, 32), "flat": (48, 32), "mask": (48, 32)}


def test_it_ends_sooner_than_it_starts(start_ioc: Callable):
    """Both take longer on a slow machine; that one of them is held up is not so twice."""
    starts_s, ends_s = [], []
    for _ in range(2):
        began_s = time.monotonic()
        ioc = start_ioc("--shape", "32,48", "--stack", "1")
        starts_s.append(time.monotonic() - began_s)
        began_s = time.monotonic()
        assert ioc.stop() == 0
        ends_s.append(time.monotonic() - began_s)
    assert min(ends_s) < min(starts_s)


@pytest.mark.further
def test_killed_beamline_starts_again_at_once_on_the_same_ports(start_ioc: Callable) -> None:
    """Clients were connected, and frames were on their way."""
    killed = start_ioc("--shape", "32,48", "--stack", "2")
    client = BeamlineClient(killed.prefix)
    client.put_all(Pva1__EnableCallbacks=1, cam1__ImageMode="Continuous", cam1__AcquireTime=0.002)
    client.put("cam1:Acquire", 1, wait=False)
    client.wait_until(lambda: client.get("cam1:ArrayCounter_RBV") > 2)
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    again = BeamlineClient(start_ioc("--shape", "32,48", "--stack", "2").prefix)
    again.acquire(1)
    assert again.get("Pva1:ArrayCounter_RBV") == 1
    for one in (client, again):
        one.close()
