"""An arming that is too slow, interrupted, or whose client dies leaves no armed run: stock bluesky, the real service.

It is slow because of a reference that takes seconds to read; given time it would succeed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus, MsgGenerator, RunEngineInterrupted
from limits import HANG_S
from rig import Rig, start_rig

from ptychostream_devices import StreamServiceDevice
from ptychostream_plans.stubs import stream_service_wrapper
from stream_service.settings.request import RequestedReferences, ScanRequest
from stream_service.testing.loopback import LoopbackEpics

CLIENT = """
import sys
from ptychostream_devices import StreamServiceDevice
from stream_service.settings.request import ScanRequest
stream = StreamServiceDevice(sys.argv[1], name="stream")
stream.stage().wait(300)
stream.prepare(ScanRequest.model_validate_json(sys.argv[2])).wait(300)
"""
Interrupt = Callable[[RunEngine], object]


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    prefix = start_ioc("--shape", "32,48", "--stack", "8").prefix
    running = start_rig(prefix, epics, tmp_path_factory.mktemp("arming"))
    yield running
    running.close()


@pytest.fixture
def slow(rig: Rig) -> ScanRequest:
    return ScanRequest(scan_id="slow", n_positions=3, references=RequestedReferences(dark=rig.slow_reference()))


def make_device(rig: Rig, **settings: Any) -> StreamServiceDevice:
    return StreamServiceDevice(rig.service.prefix, name="stream", connect_timeout_s=HANG_S, **settings)


def scan(device: StreamServiceDevice, request: ScanRequest) -> MsgGenerator:
    """The part of every plan that concerns the service, without frames."""

    def frames() -> MsgGenerator[None]:
        yield from bps.null()

    return bpp.stage_wrapper(stream_service_wrapper(frames(), device, request), [device])


def assert_nothing_is_left(rig: Rig) -> None:
    """No run was armed, and the next can be."""
    rig.service.wait_for("Arm", 0)
    rig.service.wait_for("Health", "READY")
    assert rig.service.get("ScanId") != "slow"
    rig.service.wait_until(lambda: not rig.readers())
    assert rig.arm("next", n_positions=1) == ""
    rig.service.put("Abort", 1)


def test_arming_that_takes_too_long_for_the_plan_leaves_no_run(rig: Rig, slow: ScanRequest) -> None:
    device = make_device(rig, arm_timeout_s=1.0)
    with pytest.raises(FailedStatus, match="did not come back to 0 within 1 s"):
        RunEngine({}, context_managers=[])(scan(device, slow))
    assert_nothing_is_left(rig)


def abort(engine: RunEngine) -> None:
    engine.abort()


def stop(engine: RunEngine) -> None:
    engine.stop()


def halt(engine: RunEngine) -> None:
    engine.halt()


@pytest.mark.further(but=1)
@pytest.mark.parametrize("do", [abort, stop, halt])
def test_plan_that_is_ended_while_it_arms_leaves_no_run(rig: Rig, slow: ScanRequest, do: Interrupt) -> None:
    engine = RunEngine({}, context_managers=[])

    def when_arming() -> None:
        rig.hold_reader()
        engine.request_pause()

    watching = threading.Thread(target=when_arming)
    watching.start()
    with pytest.raises(RunEngineInterrupted):
        engine(scan(make_device(rig), slow))
    watching.join()
    assert engine.state == "paused"
    do(engine)
    assert engine.state == "idle"
    assert_nothing_is_left(rig)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_client_that_ends_while_it_arms_leaves_no_run(rig: Rig, slow: ScanRequest, how: signal.Signals) -> None:
    command = [sys.executable, "-c", CLIENT, rig.service.prefix, slow.model_dump_json()]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL) as client:
        rig.hold_reader()
        client.send_signal(how)
    rig.service.wait_for("Arm", 0)
    assert "the client that armed has gone" in str(rig.service.get("ArmError"))
    assert_nothing_is_left(rig)


def test_second_client_that_gives_up_leaves_the_run_of_the_first_alone(rig: Rig, slow: ScanRequest) -> None:
    first, second = make_device(rig), make_device(rig, arm_timeout_s=0.0)
    for device in (first, second):
        device.stage().wait(HANG_S)
    first.prepare(ScanRequest(scan_id="theirs", n_positions=1)).wait(HANG_S)
    assert second.prepare(slow).exception(HANG_S) is not None
    second.abort().wait(HANG_S)
    second.unstage().wait(HANG_S)
    assert (rig.service.get("State"), rig.service.get("ScanId")) == ("ARMED", "theirs")
    rig.beamline.acquire(1)
    first.complete().wait(HANG_S)
    assert rig.service.get("State") == "COMPLETE"
    assert_nothing_is_left(rig)
