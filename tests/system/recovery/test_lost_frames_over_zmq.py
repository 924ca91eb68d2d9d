"""Frames over ADZMQ that the stream has lost are fetched from the raw file, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from exposed import Exposed, check_pixels, fly, halt
from rig import Rig, Rigs
from transports import profile_of, status_of

from stream_service.core.frame_status import FrameStatus
from stream_service.testing.loopback import free_port

pytestmark = pytest.mark.recovery

N, PERIOD_S = 24, 0.03
LOST, DAMAGED = (1, 2, 9, 10, N), (14, 15)
"""Places in the run, from 1."""
SHAPE = (32, 40)


@pytest.fixture
def rig(start_ioc: Callable, rigs: Rigs) -> Rig:
    address = f"tcp://127.0.0.1:{free_port()}"
    ioc = start_ioc("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--motor-poll", "0.02", "--zmq", f"{address} PUB")
    settings = profile_of("adzmq", ioc.prefix, SHAPE, connect=address)
    del settings["channels"]  # both axes by time
    rig = rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""}, **settings)
    rig.beamline.put("ZMQ1:EnableCallbacks", 1)
    return rig


def test_what_zmq_has_lost_is_fetched(rig: Rig) -> None:
    halt(rig)
    before = rig.counter()
    raw = rig.record("zmq", N)
    assert rig.arm("zmq", n_positions=N, raw_file=str(raw)) == ""
    rig.beamline.put_all(
        Sim__DropIds=",".join(str(before + place) for place in LOST),
        Sim__TruncatedIds=",".join(str(before + place) for place in DAMAGED),
    )
    fly(rig, N, PERIOD_S)
    halt(rig)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    assert state == "COMPLETE", message
    exposed = Exposed.since(rig, 0)
    with rig.open("zmq") as file:
        exposed.check(file, N, message)
        fetched = status_of(file, FrameStatus.BACKFILLED)
        assert [unique_id - before for _, unique_id in fetched] == sorted({*LOST, *DAMAGED})
        check_pixels(file, raw)
