"""Frames over ZMQ that did not come at once: the lost are fetched from the raw file, a control unit keeps others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exposed import TOLERANCE_M, Exposed, check_pixels, fly, halt
from rig import Rig, Rigs
from transports import profile_of, status_of

from stream_service.core.frame_status import FrameStatus
from stream_service.testing.loopback import free_port

pytestmark = pytest.mark.recovery

N, PERIOD_S = 24, 0.03
LOST, DAMAGED = (1, 2, 9, 10, N), (14, 15)
"""Places in the run, from 1."""
SHAPE = (32, 40)


KEPT_LIMIT_S, KEPT_PERIOD_S = 5.0, 1.0


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {name: f"tcp://127.0.0.1:{free_port()}" for name in ("adzmq", "simplon")}


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any], ports: dict[str, str]) -> Any:
    senders = ("--zmq", f"{ports['adzmq']} PUB", "--simplon", ports["simplon"])
    return start_ioc("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--motor-poll", "0.02", *senders)


@pytest.fixture
def rig(ioc: Any, ports: dict[str, str], rigs: Rigs) -> Rig:
    settings = profile_of("adzmq", ioc.prefix, SHAPE, connect=ports["adzmq"])
    del settings["channels"]  # both axes by time
    rig = rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""}, **settings)
    rig.beamline.put("ZMQ1:EnableCallbacks", 1)
    return rig


@pytest.fixture
def pulling(ioc: Any, ports: dict[str, str], rigs: Rigs) -> Rig:
    """A daemon that takes frames older than `KEPT_LIMIT_S` for those of another clock."""
    settings = profile_of("simplon", ioc.prefix, SHAPE, connect=ports["simplon"])
    return rigs.beside(ioc.prefix, service={"drain_s": 2.0, "clock_limit_s": KEPT_LIMIT_S}, **settings)


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


def test_frames_that_were_kept_while_the_service_was_away_tell_nothing_of_the_clock(pulling: Rig) -> None:
    rig, n_before, n_kept, n_after = pulling, 2, 6, 3
    n, n_old = n_before + n_kept + n_after, len(pulling.truth()["unique_id"])
    assert rig.arm("kept", n_positions=n) == ""
    rig.beamline.put("X", 1.0)
    rig.beamline.acquire(n_before)
    rig.service.wait_for("Rows", n_before)
    rig.kill()
    rig.beamline.put("X", 2.0)
    rig.beamline.acquire(n_kept, period_s=KEPT_PERIOD_S)
    rig.start_again()
    rig.service.wait_for("Rows", n_before + n_kept)
    rig.beamline.put("X", 3.0)
    rig.beamline.acquire(n_after)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    assert state == "COMPLETE", message
    rig.truth()
    with rig.open("kept") as file, np.load(rig.folder / "truth.npz") as truth:
        order = np.argsort(file["/entry/frames/timestamp_ns"][()].reshape(-1))
        assert (file["/entry/keep"][()] == 1).all(), message
        np.testing.assert_allclose(file["/entry/posx_m"][()][order], truth["x_m"][n_old:], atol=TOLERANCE_M)
