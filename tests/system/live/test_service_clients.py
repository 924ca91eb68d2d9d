"""The daemon among clients that do not behave: none of them harms a run, and the log tells of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import caproto
import numpy as np
import pytest
from limits import HANG_S
from p4p.client.thread import Context
from raw_ca_client import RawCaClient
from rig import Rig, Rigs, start_rig

from stream_service.publishers import pva_server
from stream_service.publishers.pva_images import PvaImages
from stream_service.publishers.pva_server import PvaServer
from stream_service.settings.status_table import STATUS
from stream_service.testing.loopback import LoopbackEpics, process_environment
from stream_service.text.utf8 import text_in_waveform

REQUEST_MIB = 4
MOST_MIB = 200
"""More than the daemon had before: 80 MiB were measured. Without bounds all is kept for each client: 512 MiB."""
N_SILENT, N_PUTS = 16, 8
DESCRIPTORS, AWHILE_S = 64, 0.2
FEW = 6
"""Descriptors that connections leave, but for those in a server's queue; the daemon tells of less than 8."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


def memory_mib(rig: Rig) -> float:
    """Peak memory of the daemon."""
    status = Path(f"/proc/{rig.child.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def log_of(rig: Rig) -> str:
    return rig.child.log.read_text()


def n_open(rig: Rig) -> int:
    """Descriptors that the daemon has open."""
    return len(os.listdir(f"/proc/{rig.child.process.pid}/fd"))


def long_request(number: int) -> str:
    text = json.dumps({"scan_id": f"scan{number}", "n_positions": 5})
    return text + " " * ((REQUEST_MIB << 20) - len(text) - 1)


def test_clients_that_do_not_read_cost_little_memory_and_no_frame(rig: Rig, epics: LoopbackEpics) -> None:
    assert rig.arm("before", n_positions=5) == ""
    rig.beamline.acquire(5)
    assert rig.wait_for_end() == "COMPLETE"
    before_mib = memory_mib(rig)
    with ExitStack() as silent:
        clients = [silent.enter_context(RawCaClient(epics.ca_ports["service"])) for _ in range(N_SILENT)]
        for client in clients:
            client.subscribe(client.open(f"{rig.service.prefix}Request"))
        for number in range(N_PUTS):
            rig.service.put("Request", long_request(number))
        rig.service.put("Arm", 1)
        assert rig.service.get("ArmError") == ""
        rig.beamline.acquire(5)
        assert rig.wait_for_end() == "COMPLETE"
        assert memory_mib(rig) - before_mib < MOST_MIB, f"{memory_mib(rig):.0f} MiB, {before_mib:.0f} before"
        rig.service.wait_until(lambda: "it does not read, and" in log_of(rig))
    assert "Traceback" not in log_of(rig)
    assert rig.child.end() == 0  # what it still logs of those clients is not for the next test


@pytest.mark.further
def test_subscribers_that_read_are_left_alone(rig: Rig, epics: LoopbackEpics) -> None:
    with RawCaClient(epics.ca_ports["service"], buffer=1 << 20) as reader:
        reader.subscribe(reader.open(f"{rig.service.prefix}Request"))
        for number in range(N_PUTS):
            reader.wait_for(caproto.EventAddResponse)
            rig.service.put("Request", long_request(number))
        assert len(reader.wait_for(caproto.EventAddResponse).data) > (REQUEST_MIB << 20) - 100
    assert "closed the connection" not in log_of(rig)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("server", ["ca", "pva"])
def test_idle_connections_leave_a_run_its_descriptors(
    ioc: Any, rigs: Rigs, epics: LoopbackEpics, tmp_path: Path, server: str
) -> None:
    rigs.close()
    port = {"ca": epics.ca_ports, "pva": epics.pva_ports}[server]["service"]
    with closing(start_rig(ioc.prefix, epics, tmp_path, descriptors=DESCRIPTORS)) as rig, ExitStack() as idle:
        assert rig.arm("before") == ""  # its channels connect: where libca finds no descriptor, it may end the process
        rig.service.put("Abort", 1)
        while "descriptors" not in log_of(rig):
            assert rig.child.exit_code is None
            time.sleep(0.01)
            if n_open(rig) < DESCRIPTORS - FEW:
                with suppress(OSError):  # a server that is held up lets it wait
                    idle.enter_context(closing(socket.create_connection(("127.0.0.1", port), AWHILE_S)))
        assert rig.arm("among_idle", n_positions=20) == ""
        rig.beamline.acquire(20)
        assert rig.wait_for_end() == "COMPLETE"
        with rig.open("among_idle") as file:
            assert len(file["/entry/data"]) == 20
        assert "Traceback" not in log_of(rig)


def test_images_come_back_when_there_are_descriptors_again(
    rigs: Rigs, epics: LoopbackEpics, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs.close()
    for name, value in epics.server_environment("service").items():
        monkeypatch.setenv(name, value)
    left = 100
    monkeypatch.setattr(pva_server, "n_left", lambda: left)
    monkeypatch.setattr(pva_server, "AWAY_S", 0.0)
    images = PvaImages(("Image",))
    with closing(PvaServer("PvaAgain:", images.channels, images.backlog)) as server:
        images.post("Image", np.ones((2, 3), np.float32))
        left = 1
        server.make_room()
        left = 100
        server.make_room()
        with Context("pva", nt=False) as pva:  # one that was there before would look again after ten seconds only
            again: Any = pva.get("PvaAgain:Image", timeout=HANG_S)
        assert again["value"].tolist() == [1.0] * 6


def test_put_of_arm_is_complete_when_arming_is_decided(rig: Rig) -> None:
    """As scripts do it, `caput -c`, `caget`: the answer is that of this arming, and not of the last."""
    for number in range(3):
        rig.service.put("Request", json.dumps({"scan_id": f"decided{number}", "nonsense": number}))
        rig.service.put("Arm", 1)
        assert "nonsense" in rig.service.get("ArmError")
        rig.service.put("Request", json.dumps({"scan_id": f"decided{number}"}))
        rig.service.put("Arm", 1)
        assert (rig.service.get("ArmError"), rig.service.get("State"), rig.service.get("Arm")) == ("", "ARMED", 0)
        rig.service.put("Abort", 1)
        assert (rig.service.get("State"), rig.service.get("Abort")) == ("ABORTED", 0)


def test_updates_come_before_the_completion_they_belong_to(rig: Rig) -> None:
    heard = rig.service.watch("ArmError")
    for number in range(3):
        rig.service.put("Request", f"{{ {number}")
        n_before = len(heard)
        rig.service.put("Arm", 1)
        assert len(heard) > n_before, "the same refusal again is heard, too"
        assert "the request is wrong" in text_in_waveform(heard[-1].value)


def test_status_is_told_with_units_and_as_one_json_object(rig: Rig, epics: LoopbackEpics) -> None:
    assert rig.arm("told", n_positions=2) == ""
    command = [sys.executable, "-m", "stream_service.cli", "status", "--prefix", rig.service.prefix]
    environment = process_environment(epics.client_environment())
    shown, as_json = (
        subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=True)
        for options in ((), ("--json",))
    )
    values = json.loads(as_json.stdout)
    assert list(values) == [*STATUS, "alarms"]
    names = ("State", "ScanId", "FramesExpected", "RowsPerSecond")
    assert [values[name] for name in names] == ["ARMED", "told", 2, 0.0]
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0] == ["State", "ARMED"]
    assert ["FramesExpected", "2", "frames"] in lines
    assert ["RowsPerSecond", "0.0", "1/s"] in lines
    rig.service.put("Abort", 1)


def test_clients_are_told_units_and_the_alarm_of_the_run(rig: Rig) -> None:
    rows, message = rig.service.pv("RowsPerSecond"), rig.service.pv("Message")
    assert (rows.units, rows.precision) == ("1/s", 1)
    assert rig.service.pv("FramesLost").units == "frames"
    assert rig.arm("incomplete", n_positions=2) == ""
    rig.beamline.acquire(1)
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "INCOMPLETE"
    alarmed = {name for name in STATUS if rig.service.pv(name).get_with_metadata(timeout=HANG_S)["severity"]}
    assert alarmed - {"DiskFree"} == {"State", "Health", "Message"}
    assert "1 never exposed" in text_in_waveform(message.get(timeout=HANG_S))


def test_other_pvs_answer_while_a_put_waits_for_its_completion(rig: Rig, epics: LoopbackEpics) -> None:
    assert rig.arm("waited_for") == ""
    rig.beamline.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.01)
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    rig.service.wait_until(lambda: rig.service.get("Rows") > 3)
    with RawCaClient(epics.ca_ports["service"], buffer=1 << 20) as client:
        arm, error = client.open(f"{rig.service.prefix}Arm"), client.open(f"{rig.service.prefix}ArmError")
        for _ in range(2):  # each is answered in its turn
            client.put(arm, 1, notify=True)
            client.subscribe(error)
            client.wait_for(caproto.EventAddResponse)
        for _ in range(2):
            client.wait_for(caproto.WriteNotifyResponse)
    assert "run waited_for is still RECEIVING" in rig.service.get("ArmError")
    rig.service.put("Stop", 1)
    assert rig.service.get("State") in ("COMPLETE", "INCOMPLETE")
    rig.beamline.put("cam1:Acquire", 0)


def test_daemon_that_ends_answers_what_still_waits(rig: Rig, epics: LoopbackEpics) -> None:
    assert rig.arm("ends_with_it") == ""
    with RawCaClient(epics.ca_ports["service"], buffer=1 << 20) as client:
        client.put(client.open(f"{rig.service.prefix}Abort"), 1, notify=True)
        rig.child.process.terminate()
        client.wait_for(caproto.WriteNotifyResponse)
    assert rig.child.end() == 0
