"""Waiting for verdicts and announcing repeats, against PVs in memory."""

from __future__ import annotations

import json
import threading

import pytest
from limits import HANG_S
from memory_pvs import MemoryPVs

from ptychostream_devices import RunVerdicts, StreamServiceDevice, StreamServiceError
from stream_service.settings.request import ScanRequest

REQUEST = ScanRequest(scan_id="scan_1", n_positions=3, extra_frames=4, frames_per_position=2)
AT_ONCE_S = 0.0


@pytest.fixture
def pvs() -> MemoryPVs:
    return MemoryPVs()


@pytest.fixture
def device(pvs: MemoryPVs) -> StreamServiceDevice:
    device = StreamServiceDevice(name="stream", pvs=pvs, arm_timeout_s=0, connect_timeout_s=0.05)
    device.stage().wait(HANG_S)
    device.prepare(REQUEST).wait(HANG_S)
    pvs.say(State="RECEIVING", RowsExpected=5)
    return device


def told(rows: int, announced: int = 0, *positions: int) -> str:
    return json.dumps({"rows": rows, "announced": announced, "lacking": len(positions), "positions": positions})


def test_verdicts_are_waited_for_until_all_rows_are_judged_together(
    device: StreamServiceDevice, pvs: MemoryPVs
) -> None:
    status = device.wait_for_verdicts(3, HANG_S)
    pvs.say(ToRepeat=told(2))
    assert not status.done
    pvs.say(RowsRejected=1, ToRepeat=told(3, 0, 1))
    status.wait(HANG_S)
    assert device.verdicts == RunVerdicts(n_rows=3, n_rejected=1, to_repeat=(1,), n_lacking=1)


def test_rows_of_lost_frames_are_not_waited_for(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    pvs.say(FramesLost=2, ToRepeat=told(2, 0, 0))
    device.wait_for_verdicts(3, HANG_S).wait(HANG_S)
    assert device.verdicts.to_repeat == (0,)


def test_what_is_known_after_the_time_is_up_is_what_there_is(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    pvs.say(ToRepeat=told(1))
    device.wait_for_verdicts(3, AT_ONCE_S).wait(HANG_S)
    assert device.verdicts.n_rows == 1


def test_waiting_fails_when_the_run_has_ended(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    status = device.wait_for_verdicts(3, HANG_S)
    pvs.say(Message="the disk is full", State="FAILED")
    with pytest.raises(StreamServiceError, match="FAILED: the disk is full"):
        status.wait(HANG_S)


def test_repeats_are_announced_once_the_service_knows_of_them(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    has_put = threading.Event()
    pvs.answers["Repeat"] = lambda _: has_put.set()
    status = device.announce_repeats([2, 0])
    assert has_put.wait(HANG_S)
    assert json.loads(str(pvs.puts[-2][1])) == {"scan_id": "scan_1", "positions": [2, 0]}
    assert pvs.puts[-1] == ("Repeat", 1)
    pvs.say(Repeat=1, ArmError="")
    pvs.say(Repeat=0)
    pvs.say(ToRepeat=told(3, 2, 2, 0))
    assert status.exception(HANG_S) is None


def test_repeats_that_are_refused_fail_in_the_words_of_the_service(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    pvs.answers["Repeat"] = lambda _: pvs.say(Repeat=1, ArmError="position 9 was not planned")
    with pytest.raises(StreamServiceError, match="position 9 was not planned"):
        device.announce_repeats([9]).wait(HANG_S)


def test_repeats_that_nobody_answers_fail(device: StreamServiceDevice, pvs: MemoryPVs) -> None:
    with pytest.raises(StreamServiceError, match="Repeat was not answered within"):
        device.announce_repeats([1]).wait(HANG_S)
