"""A beamline that misbehaves, fault by fault: in the file is what was exposed, and nothing in it is wrong unsaid.

What was exposed, where and when, is told by the beamline's own record; the pixels are those that its file writer got.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from exposed import Exposed, check_pixels, fly, halt
from rig import Rig, Rigs
from transports import status_of

from stream_service.core.exposure import Flag
from stream_service.core.ledger import FrameStatus

pytestmark = pytest.mark.recovery

N, PERIOD_S = 24, 0.03
QUIET: dict[str, Any] = {
    "Sim__DropFraction": 0.0, "Sim__DropIds": "", "Sim__DuplicateFraction": 0.0, "Sim__DuplicateIds": "",
    "Sim__FarIds": "", "Sim__CorruptIds": "", "Sim__TruncatedIds": "", "Sim__Delay": "", "Sim__Reorder": 0,
    "Sim__StopIds": "", "Sim__FrameClockFreeze": "", "Sim__FrameClockStep": "", "Sim__FrameClockDrift": 0.0,
    "Sim__FrameClockOffset": 0.0, "Sim__MotorClockOffset": 0.0, "Sim__MotorClockFreeze": "",
    "Sim__PositionNan": "", "Sim__ReadbackDelay": 0.0, "Sim__MotorPollPeriod": 0.0, "Sim__MotorPollJitter": 0.0,
    "Sim__Hdf1RefuseIds": "", "Sim__Hdf1DropIds": "", "Sim__Hdf1FailIds": "",
}  # fmt: skip
"""Without a fault."""


def ids(before: int, *places: int) -> str:
    """uniqueIds by the place of the frame in the run, from 1."""
    return ",".join(str(before + place) for place in places)


@dataclass(frozen=True)
class Fault:
    """One row of the table: what is wrong, and what is to come of it."""

    pvs: Callable[[int], dict[str, Any]] = lambda before: {}
    """By the uniqueId of the frame before the run."""
    state: str = "COMPLETE"
    lost: tuple[int, ...] = ()
    """Places in the run, from 1, of frames that were exposed and are in no file."""
    has_raw_file: bool = True
    n_exposed: int = N
    may_leave_out: bool = False
    """Rows may be without a trustworthy position."""
    flag: Flag = Flag.NONE
    """Which those have; none: any."""
    says: str = ""
    """In the message of the run."""


LOST = (1, 2, 9, 10, 11, 17, N)
TABLE = {
    "nothing": Fault(),
    "loss by chance, copies, shuffled": Fault(
        lambda b: {"Sim__DropFraction": 0.15, "Sim__DuplicateFraction": 0.1, "Sim__Reorder": 8}
    ),
    "first and last frames lost": Fault(lambda b: {"Sim__DropIds": ids(b, *LOST)}),
    "the same without a raw file": Fault(
        lambda b: {"Sim__DropIds": ids(b, *LOST)}, "INCOMPLETE", lost=LOST, has_raw_file=False, says="missing ids"
    ),
    "garbage and half payloads": Fault(lambda b: {"Sim__CorruptIds": ids(b, 1, 8), "Sim__TruncatedIds": ids(b, 9, N)}),
    "a wrong id": Fault(lambda b: {"Sim__FarIds": ids(b, 7)}),
    "late frames": Fault(lambda b: {"Sim__Delay": f"5@{b + 3}-{b + 5},0.5s@{b + 12}"}),
    "PVA cut": Fault(lambda b: {"Sim__CutPva": f"0.5@{b + 8}"}, may_leave_out=True),
    "CA cut": Fault(lambda b: {"Sim__CutCa": f"0.5@{b + 8}"}, may_leave_out=True),
    "counter reset": Fault(lambda b: {"Sim__CounterReset": f"0@{b + 10}"}),
    "counter reset, and loss around it": Fault(
        lambda b: {"Sim__CounterReset": f"0@{b + 10}", "Sim__DropIds": f"{ids(b, 4, 8)},3,5"}
    ),
    "detector stops early": Fault(
        lambda b: {"Sim__StopIds": ids(b, 15)}, "INCOMPLETE", n_exposed=15, says="9 never exposed"
    ),
    "stops early, and the last frames lost": Fault(
        lambda b: {"Sim__StopIds": ids(b, 15), "Sim__DropIds": ids(b, 14, 15)}, "INCOMPLETE", n_exposed=15
    ),
    "frame clock stands": Fault(
        lambda b: {"Sim__FrameClockFreeze": f"{b + 9}-{b + 12}"}, may_leave_out=True, flag=Flag.NO_TIME
    ),
    "frame clock set back": Fault(lambda b: {"Sim__FrameClockStep": f"-5@{b + 12}"}, may_leave_out=True),
    "readbacks late and jittered": Fault(
        lambda b: {"Sim__MotorPollPeriod": 0.05, "Sim__MotorPollJitter": 0.01, "Sim__ReadbackDelay": 0.3},
        may_leave_out=True,
    ),
    "readbacks stall": Fault(lambda b: {"Sim__ReadbackStall": f"1@{b + 6}"}, may_leave_out=True),
    "no numbers": Fault(lambda b: {"Sim__PositionNan": ids(b, 5, 6)}, may_leave_out=True, flag=Flag.INVALID),
    "HDF1 refuses frames that are lost": Fault(
        lambda b: {"Sim__DropIds": ids(b, 5, 6, 7), "Sim__Hdf1RefuseIds": ids(b, 6)}, "INCOMPLETE", lost=(6,)
    ),
    "HDF1's queue is full": Fault(
        lambda b: {"Sim__DropIds": ids(b, 5, 6, 7), "Sim__Hdf1DropIds": ids(b, 5)}, "INCOMPLETE", lost=(5,)
    ),
}


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--seed", "3", "--motor-poll", "0.02")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    rig = rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""})
    rig.beamline.put_all(**QUIET, Pva1__EnableCallbacks=1)
    return rig


@pytest.mark.parametrize("name", TABLE)
def test_what_is_stored_is_what_was_exposed(rig: Rig, name: str) -> None:
    fault, scan = TABLE[name], f"f{list(TABLE).index(name)}"
    halt(rig)
    n_before, before = len(rig.truth()["unique_id"]), rig.counter()
    raw = rig.record(scan, N) if fault.has_raw_file else None
    assert rig.arm(scan, n_positions=N, **({"raw_file": str(raw)} if raw else {})) == ""
    rig.beamline.put_all(**fault.pvs(before))
    fly(rig, N, PERIOD_S)
    halt(rig)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    exposed = Exposed.since(rig, n_before)
    assert len(exposed) == fault.n_exposed
    with rig.open(scan) as file:
        rows = exposed.check(file, N, message)
        assert status_of(file, FrameStatus.LOST) == [exposed.identities[place - 1] for place in fault.lost], message
        if raw is not None:
            check_pixels(file, raw)
    assert state == fault.state, message
    assert fault.says in message
    others = [flag for flag in rows.left_out if flag != Flag.UNCERTAIN]  # polls of a simulator that has no time
    assert fault.may_leave_out or not others, others
    assert all(not fault.flag or flag & fault.flag for flag in others), others
