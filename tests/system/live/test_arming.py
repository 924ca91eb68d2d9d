"""Arming beside a living and a dead IOC: the service answers meanwhile, and nothing is left of what was given up."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from raw_ca_client import RawCaClient
from rig import Rig, Rigs

from stream_service.core.run import EndReason
from stream_service.testing.loopback import LoopbackEpics

ANSWER_S = 0.5
"""Within which Stop and Abort answer whatever is being armed, on a machine that is not held up just then."""
ATTEMPTS = 20
"""A machine is not held up as often as that."""
ARMED_TIMEOUT_S = 1.0
AWAY_S = 10.0
"""After which CA alone searches again every 5 s or more seldom."""
WARM_CYCLES = 10
N_CYCLES = pytest.mark.parametrize("n_cycles", [10, pytest.param(200, marks=pytest.mark.long)])
MORE_KIB = 2048
"""Of memory for as many armings after those, few or many: all threads of the daemon share one heap, which levels off,
and grows by steps, when it happens to."""
ROUNDS = 3


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc()


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


@pytest.fixture
def dead_rig(ioc: Any, rigs: Rigs) -> Rig:
    """Its channel x is on a PV that nobody serves."""
    return rigs.beside(ioc.prefix, channels={"x": {"how": "timestamp", "pv": "NOBODY:X", "unit": "um", "gap_s": 0.25}})


def begin_to_arm(rig: Rig, scan_id: str) -> None:
    """Put Arm, and see that the service waits for PVs."""
    rig.service.put("Request", json.dumps({"scan_id": scan_id}))
    rig.service.put("Arm", 1, wait=False)
    rig.service.wait_until(lambda: "waiting for PVs" in str(rig.service.get("Message")))


def seconds_of(action: Callable[[], object]) -> float:
    began_s = time.monotonic()
    action()
    return time.monotonic() - began_s


def resources(rig: Rig) -> tuple[int, int, int]:
    """Threads, descriptors and KiB of memory of the daemon, without files that are mapped."""
    process = Path(f"/proc/{rig.child.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return int(status["Threads"]), len(os.listdir(process / "fd")), int(status["RssAnon"].split()[0])


@pytest.mark.further(but=1)
@pytest.mark.parametrize("command", ["Stop", "Abort"])
def test_arming_that_waits_for_a_dead_ioc_is_given_up_at_once(dead_rig: Rig, command: str) -> None:
    rig, took_s = dead_rig, HANG_S
    for n in range(ATTEMPTS):
        begin_to_arm(rig, f"scan{n}")
        took_s = seconds_of(lambda: rig.service.put(command, 1))
        rig.service.wait_for("Arm", 0)
        said = f"the arming of scan{n} was given up, because {command} was put while it was armed"
        assert rig.service.get("ArmError") == said
        assert (rig.service.get("State"), rig.service.get("Health")) == ("IDLE", "READY")
        if took_s < ANSWER_S:
            break
    assert took_s < ANSWER_S
    assert "no value from x (NOBODY:X)" in rig.arm("unaided")


def test_heart_beats_while_the_service_arms(dead_rig: Rig) -> None:
    rig = dead_rig
    begin_to_arm(rig, "waits")
    beats = rig.service.watch("Heartbeat")
    rig.service.wait_until(lambda: len(beats) >= 3)
    assert rig.service.get("Arm") == 1 and rig.service.get("Health") == "BUSY"
    rig.service.put("Abort", 1)


def test_arming_of_a_client_that_goes_away_leaves_no_run(dead_rig: Rig, epics: LoopbackEpics) -> None:
    rig = dead_rig
    rig.service.put("Request", json.dumps({"scan_id": "orphan"}))
    client = RawCaClient(epics.ca_ports["service"])
    client.put(client.open(f"{rig.service.prefix}Arm"), 1, notify=True)
    rig.service.wait_for("Arm", 1)
    client.socket.close()
    rig.service.wait_for("Arm", 0)
    assert "the client that armed has gone" in str(rig.service.get("ArmError"))


def assert_nothing_is_left(rig: Rig, cycle: Callable[[str], object], n_cycles: int) -> None:
    for n in range(WARM_CYCLES):
        cycle(f"warm{n}")
    threads, descriptors, _ = resources(rig)
    growths_KiB = []
    for attempt in range(ROUNDS):
        _, _, memory_KiB = resources(rig)
        for n in range(n_cycles):
            cycle(f"scan{attempt}_{n}")
        rig.service.wait_until(lambda: resources(rig)[0] <= threads and resources(rig)[1] <= descriptors)
        growths_KiB.append(resources(rig)[2] - memory_KiB)
        if growths_KiB[-1] < MORE_KIB:
            return
    pytest.fail(f"armings cost memory each time: {growths_KiB} KiB")


def abort(rig: Rig) -> None:
    rig.service.put("Abort", 1)
    rig.service.wait_for("Health", "READY")


@pytest.mark.further
@N_CYCLES
def test_armings_beside_a_dead_ioc_that_are_aborted_leave_nothing_behind(dead_rig: Rig, n_cycles: int) -> None:
    def cycle(name: str) -> None:
        begin_to_arm(dead_rig, name)
        abort(dead_rig)

    assert_nothing_is_left(dead_rig, cycle, n_cycles)


@N_CYCLES
def test_armings_that_are_aborted_leave_nothing_behind(rig: Rig, n_cycles: int) -> None:
    def cycle(name: str) -> None:
        assert rig.arm(name, n_positions=1) == ""
        abort(rig)

    assert_nothing_is_left(rig, cycle, n_cycles)


def test_put_without_callback_is_armed_for_whoever_sent_it(rig: Rig, epics: LoopbackEpics) -> None:
    rig.service.put("Request", json.dumps({"scan_id": "caput", "n_positions": 1}))
    heard = rig.service.watch("Arm")  # which is 1 for a moment only
    client = RawCaClient(epics.ca_ports["service"])
    client.put(client.open(f"{rig.service.prefix}Arm"), 1, notify=False)
    rig.service.wait_until(lambda: any(event.value == 1 for event in heard))
    client.socket.close()
    rig.service.wait_for("State", "ARMED")
    assert rig.service.get("ScanId") == "caput"
    rig.service.put("Abort", 1)


@pytest.mark.long
def test_ioc_that_was_away_after_a_run_is_found_at_once_by_the_next_arming(
    rig: Rig, start_ioc: Callable[..., Any], ioc: Any
) -> None:
    """The detector's counter is watched for a while after a run: it must not keep the channel, for which CA searches
    ever more seldom."""
    assert rig.arm("before", n_positions=1) == ""
    rig.beamline.acquire(1)
    assert rig.wait_for_end() == "COMPLETE"
    rig.beamline.close()
    ioc.stop(signal.SIGKILL)
    time.sleep(AWAY_S)
    start_ioc(prefix=ioc.prefix)
    assert rig.arm("after", n_positions=1) == ""
    rig.beamline.acquire(1)
    assert rig.wait_for_end() == "COMPLETE"


@pytest.mark.further(but=1)
@pytest.mark.parametrize("how", ["Stop", "Abort", "SIGTERM"])
def test_arming_that_is_given_up_leaves_no_process_that_reads(rig: Rig, how: str) -> None:
    rig.service.put("Request", json.dumps({"scan_id": "long", "references": {"dark": rig.slow_reference()}}))
    rig.service.put("Arm", 1, wait=False)
    child = rig.hold_reader()
    if how == "SIGTERM":
        rig.child.process.terminate()
    else:
        rig.service.put(how, 1)
    rig.service.wait_until(lambda: not Path(f"/proc/{child}").exists())
    if how == "SIGTERM":
        assert rig.child.process.wait(HANG_S) == 0
    else:
        rig.service.wait_for("Arm", 0)
        assert f"because {how} was put while it was armed" in str(rig.service.get("ArmError"))


def test_armed_run_that_nobody_begins_ends_with_its_reason(ioc: Any, rigs: Rigs) -> None:
    rig = rigs.beside(ioc.prefix, service={"armed_timeout_s": ARMED_TIMEOUT_S})
    assert rig.arm("forgotten", n_positions=3) == ""
    assert rig.wait_for_end() == "INCOMPLETE"
    assert rig.service.get("EndReason") == EndReason.NOT_BEGUN
    assert "no file" in str(rig.service.get("Message")) and not list(rig.folder.glob("forgotten*"))
    assert rig.arm("next", n_positions=1) == ""
