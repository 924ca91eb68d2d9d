"""A plan learns that the service's run has ended, also while it waits for a device that will never answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from limits import HANG_S
from memory_pvs import REQUEST, MemoryPVs

from ptychostream_devices.status import JobStatus
from ptychostream_devices.stream_service_device import StreamServiceDevice, StreamServiceError
from ptychostream_plans.stubs import check_stream, stream_service_wrapper

GONE = "the detector did not answer any more"


class QuickDetector:
    """It takes a frame in 10 ms."""

    name = "detector"
    parent = None

    def trigger(self) -> JobStatus:
        return JobStatus("expose", lambda _: time.sleep(0.01))


class DeadDetector:
    """Its trigger never ends: the IOC is gone."""

    name = "detector"
    parent = None

    def __init__(self) -> None:
        self.is_triggered = threading.Event()
        self._never = threading.Event()

    def trigger(self) -> JobStatus:
        self.is_triggered.set()
        return JobStatus("expose", lambda _: self._never.wait(HANG_S) and None)


@pytest.fixture
def pvs() -> MemoryPVs:
    made = MemoryPVs()
    made.connect(0)
    return made


@pytest.fixture
def service(pvs: MemoryPVs) -> StreamServiceDevice:
    return StreamServiceDevice(name="stream", pvs=pvs, quiet_s=0.1, end_timeout_s=HANG_S)


@pytest.fixture
def engine() -> Iterator[RunEngine]:
    yield RunEngine({}, context_managers=[])


def expose(detector: Any) -> MsgGenerator[None]:
    yield from bps.trigger(detector, group="exposure", wait=True)


@pytest.mark.parametrize("state", ["INCOMPLETE", "FAILED", "ABORTED"])
def test_plan_that_waits_for_a_dead_detector_fails_when_the_run_has_ended(pvs, service, engine, state):
    detector = DeadDetector()

    def ends() -> None:
        detector.is_triggered.wait(HANG_S)
        pvs.say(State="RECEIVING")
        pvs.say(EndReason=GONE, Message="2 of 3 frames stored", State=state)

    threading.Thread(target=ends).start()
    with pytest.raises(StreamServiceError, match=f"ended {state}: {GONE}"):
        engine(stream_service_wrapper(expose(detector), service, REQUEST))
    assert engine.state == "idle"


def test_each_wait_of_a_good_plan_is_silent(pvs, service, engine, caplog):
    def plan() -> MsgGenerator[None]:
        for _ in range(3):
            yield from expose(QuickDetector())
        pvs.say(State="COMPLETE")

    engine(stream_service_wrapper(plan(), service, REQUEST))
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_run_that_is_complete_before_its_plan_disturbs_nothing(pvs, service, engine):
    def plan() -> MsgGenerator[str]:
        pvs.say(State="COMPLETE")
        yield from bps.sleep(0.2)
        return "done"

    assert engine(stream_service_wrapper(plan(), service, REQUEST)) is not None
    assert "Abort" not in pvs.commands


def test_end_that_the_plan_asked_for_is_no_failure(pvs, service, engine):
    def end(_: Any) -> None:
        pvs.say(EndReason="stopped by the plan or the operator", State="INCOMPLETE")

    pvs.answers["Stop"] = end

    def plan() -> MsgGenerator[None]:
        yield from bps.sleep(0.01)

    engine(stream_service_wrapper(plan(), service, REQUEST))
    assert pvs.commands == ["Arm", "Stop"]


def test_guard_of_an_earlier_run_says_nothing_of_the_next(pvs, service):
    service.prepare(REQUEST).wait(HANG_S)
    guard = service.guard()
    pvs.say(State="RECEIVING")
    service.prepare(REQUEST).wait(HANG_S)
    assert guard.exception(HANG_S) is None


def test_service_that_is_gone_for_good_fails_the_guard(pvs):
    service = StreamServiceDevice(name="stream", pvs=pvs, return_timeout_s=0)
    service.prepare(REQUEST).wait(HANG_S)
    guard = service.guard()
    pvs.is_connected = False
    error = guard.exception(HANG_S)
    assert isinstance(error, StreamServiceError) and "no longer answers" in str(error)


def test_plan_goes_on_when_the_service_has_come_back_and_taken_up_its_run(pvs, service, engine):
    detector, away = QuickDetector(), []

    def comes_back() -> None:
        pvs.say(Resuming=1)
        pvs.is_connected = True
        away.append(service.check().done)
        pvs.say(Resuming=0)

    def plan() -> MsgGenerator[None]:
        pvs.say(State="RECEIVING")
        pvs.is_connected = False
        threading.Timer(0.05, comes_back).start()
        yield from check_stream(service)
        assert away == [False]
        yield from expose(detector)
        pvs.say(State="COMPLETE")

    engine(stream_service_wrapper(plan(), service, REQUEST))
    assert pvs.commands == ["Arm"]


def test_loss_that_is_seen_before_the_client_library_tells_of_it_is_waited_out(pvs):
    """Channels are disconnected one after another, and each before its callback."""
    service = StreamServiceDevice(name="stream", pvs=pvs)
    service.prepare(REQUEST).wait(HANG_S)
    guard = service.guard()
    pvs._is_connected = False  # no callback yet
    pvs.say(State="RECEIVING")  # what wakes the guard
    with pytest.raises(TimeoutError):
        guard.exception(0.2)
    pvs.is_connected = True
    pvs.say(State="COMPLETE")
    assert guard.exception(HANG_S) is None


def test_service_that_comes_back_without_taking_up_its_run_fails_the_plan(pvs, engine):
    service = StreamServiceDevice(name="stream", pvs=pvs, quiet_s=0.1, return_timeout_s=0.2)

    def plan() -> MsgGenerator[None]:
        pvs.is_connected = False
        pvs.say(Resuming=1, Message="resuming scan_1: the detector does not answer")
        pvs.is_connected = True
        yield from check_stream(service)

    with pytest.raises(StreamServiceError, match=r"does not go on with its run .*: the detector does not answer"):
        engine(stream_service_wrapper(plan(), service, REQUEST))


def test_guard_that_fails_while_a_failed_plan_aborts_interrupts_nothing(pvs, service, engine):
    aborted = []

    def plan() -> MsgGenerator[None]:
        yield from bps.null()
        raise RuntimeError("the stage is stuck")

    def abort() -> JobStatus:
        def work(_: JobStatus) -> None:
            pvs.say(EndReason=GONE, State="FAILED")  # the guard hears of it, and fails
            time.sleep(0.2)
            aborted.append(True)

        return JobStatus("abort", work)

    service.abort = abort
    with pytest.raises(RuntimeError, match="the stage is stuck"):
        engine(stream_service_wrapper(plan(), service, REQUEST))
    assert aborted == [True]
