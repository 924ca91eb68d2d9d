"""`check` listens to a detector that sends over ZMQ, and leaves the frames of a service that pulls alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from beamline_client import BeamlineClient
from rig import profile_for, start_rig
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.testing.loopback import LoopbackEpics, free_port

ENERGY = {"how": "timestamp", "unit": "eV", "continuous": False}


@pytest.fixture(scope="module")
def senders(start_ioc: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Prefix of a beamline, and the address of each dialect."""
    places = {dialect: f"tcp://127.0.0.1:{free_port()}" for dialect in ("adzmq", "simplon", "stream2")}
    dectris = ("--simplon", places["simplon"], "--stream2", places["stream2"], "--dcu-queue", "100000")
    ioc = start_ioc("--stack", "4", "--zmq", f"{places['adzmq']} PUB", *dectris)
    return ioc.prefix, places


@pytest.fixture
def beamline(senders: tuple[str, dict[str, str]]) -> Iterator[BeamlineClient]:
    with closing(BeamlineClient(senders[0])) as client:
        yield client
        client.put("cam1:Acquire", 0)


def profile_of(senders: tuple[str, dict[str, str]], transport: str, folder: Path, **detector: Any) -> Path:
    prefix, places = senders
    energy = {"channels": {"energy": ENERGY | {"pv": f"{prefix}Energy_RBV"}}} if transport != "adzmq" else {}
    marks = {"marks": "end"} if transport == "adzmq" else {}
    detector = {"frames": {transport: places[transport]}, "frame_time": marks} | detector
    return profile_for(prefix, "UNUSED:", folder, detector=detector, **energy)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("transport", ["adzmq", "simplon", "stream2"])
def test_frames_that_arrive_are_told(
    senders: tuple[str, dict[str, str]], beamline: BeamlineClient, tmp_path: Path, transport: str
) -> None:
    beamline.put_all(
        ZMQ1__EnableCallbacks=1, cam1__ImageMode="Continuous", cam1__AcquireTime=0.005, cam1__AcquirePeriod=0.02
    )
    before = beamline.get("cam1:ArrayCounter_RBV")
    beamline.put("cam1:Acquire", 1, wait=False)
    beamline.wait_until(lambda: beamline.get("cam1:ArrayCounter_RBV") > before)
    done = CliRunner().invoke(app, ["check", str(profile_of(senders, transport, tmp_path)), "--listen", "2"])
    assert done.exit_code == 0, done.stdout
    assert "128 rows x 160 columns of uint16" in done.stdout
    assert " frames/s, " in done.stdout and "none missing" in done.stdout


@pytest.mark.further
def test_frames_of_a_service_that_pulls_are_left_to_it(
    senders: tuple[str, dict[str, str]], epics: LoopbackEpics, tmp_path: Path
) -> None:
    prefix, places = senders
    energy_pv = f"{prefix}Energy_RBV"
    channels = {"energy": ENERGY | {"pv": energy_pv}}
    detector = {"frames": {"simplon": places["simplon"]}, "frame_time": {}}
    with closing(start_rig(prefix, epics, tmp_path, detector=detector, channels=channels)) as rig:
        done = CliRunner().invoke(app, ["check", str(tmp_path / "profile.yaml")])
        assert "not listened to: a service with the prefix" in done.stdout
        assert rig.arm("scan", n_positions=2) == ""
        rig.beamline.acquire(2)
        assert rig.wait_for_end() == "COMPLETE"
