"""Loss, copies and disorder, an IOC that restarts and a service that is killed, all in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from exposed import Exposed, check_pixels, fly, halt
from rig import Rig, Rigs
from transports import status_of

from stream_service.core.frame_status import FrameStatus

pytestmark = pytest.mark.recovery

N_BEFORE, N, PERIOD_S = 20, 60, 0.03


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--seed", "5", "--motor-poll", "0.02")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""})


def wait_for_the_restart(rig: Rig) -> None:
    """Until the service has noticed that the IOC is away, and has found it again, by CA and PVA."""
    rig.service.wait_until(lambda: "no answer" in rig.service.get("Message"))  # for as long as it is away
    halt(rig)
    rig.service.wait_until(lambda: "no answer" not in rig.service.get("Message"))


def test_rows_are_what_was_exposed_and_what_is_missing_is_named(rig: Rig) -> None:
    halt(rig)
    before = rig.counter()
    raw = rig.record("all", N)
    assert rig.arm("all", n_positions=N, raw_file=str(raw)) == ""
    rig.beamline.put_all(
        Sim__DropFraction=0.05, Sim__DuplicateFraction=0.02, Sim__Reorder=8, Sim__Restart=f"5@{before + N_BEFORE + 1}"
    )
    fly(rig, N, PERIOD_S)  # the series is over when the IOC restarts
    wait_for_the_restart(rig)
    rig.beamline.put("Pva1:EnableCallbacks", 1)
    n_rows = rig.service.get("Rows")
    fly(rig, N - N_BEFORE, PERIOD_S)
    rig.service.wait_until(lambda: rig.service.get("Rows") > n_rows)
    rig.kill_and_start_again()
    halt(rig)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    exposed = Exposed.since(rig, 0)
    assert len(exposed) == N and len({epoch for epoch, _ in exposed.identities}) == 2
    with rig.open("all") as file:
        exposed.check(file, N, message)
        check_pixels(file, raw)
        lost = status_of(file, FrameStatus.LOST)
        assert not [identity for identity in lost if identity[0] == 0], "the raw file has the first epoch"
    assert state == ("INCOMPLETE" if lost else "COMPLETE"), message
