"""A beamline that misbehaves, fault by fault: in the file is what was exposed, and nothing in it is wrong unsaid.

What was exposed, where and when, is told by the beamline's own record; the pixels are those that its file writer got.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from exposed import TOLERANCE_M, Exposed, StoredRows, check_pixels, fly, halt
from rig import Rig, Rigs
from transports import ledger, status_of

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus

pytestmark = pytest.mark.recovery

N, PERIOD_S = 24, 0.03
QUIET: dict[str, Any] = {
    "Sim__DropFraction": 0.0, "Sim__DropIds": "", "Sim__DuplicateFraction": 0.0, "Sim__DuplicateIds": "",
    "Sim__FarIds": "", "Sim__CorruptIds": "", "Sim__TruncatedIds": "", "Sim__Delay": "", "Sim__Reorder": 0,
    "Sim__StopIds": "", "Sim__FrameClockFreeze": "", "Sim__FrameClockStep": "", "Sim__FrameClockDrift": 0.0,
    "Sim__FrameClockOffset": 0.0, "Sim__MotorClockOffset": 0.0, "Sim__MotorClockFreeze": "",
    "Sim__PositionNan": "", "Sim__ReadbackDelay": 0.0, "Sim__MotorPollPeriod": 0.0, "Sim__MotorPollJitter": 0.0,
    "Sim__LatePvs": "X.RBV,Y.RBV", "Sim__CopyStamp": 0.0, "Sim__Hdf1OldFile": 0, "HDF1__EnableCallbacks": 1,
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
    has_pixels: bool = True
    """The file writer got the frames."""
    sets_file_up: Callable[[int], dict[str, Any]] = lambda before: {}
    """Like `pvs`, before the file writer is told to capture."""
    counts_from: int | None = None
    """uniqueId of the frame before the run; none: as it comes."""
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
    "counter reset, and loss just before it": Fault(
        lambda b: {"Sim__CounterReset": f"0@{b + 10}", "Sim__DropIds": ids(b, 8, 9)}
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
    "PVA and CA cut": Fault(
        lambda b: {"Sim__CutPva": f"0.5@{b + 8}", "Sim__CutCa": f"0.6@{b + 8}", "Sim__DropIds": ids(b, 4)},
        may_leave_out=True,
    ),
    "frame clock stands, and loss in it": Fault(
        lambda b: {"Sim__FrameClockFreeze": f"{b + 9}-{b + 12}", "Sim__DropIds": ids(b, 4, 10, 11, N)},
        may_leave_out=True,
        flag=Flag.NO_TIME,
    ),
    "frame clock stands, and loss before it": Fault(
        lambda b: {"Sim__FrameClockFreeze": f"{b + 9}-{b + 12}", "Sim__DropIds": ids(b, 8)}, may_leave_out=True
    ),
    "the same for one frame": Fault(
        lambda b: {"Sim__FrameClockFreeze": f"{b + 9}", "Sim__DropIds": ids(b, 8)}, may_leave_out=True
    ),
    "frame clock set back, and loss around it": Fault(
        lambda b: {"Sim__FrameClockStep": f"-5@{b + 12}", "Sim__DropIds": ids(b, 4, 11, 12, 13, N)}, may_leave_out=True
    ),
    "frame clock drifts, and loss": Fault(lambda b: {"Sim__FrameClockDrift": 100.0, "Sim__DropIds": ids(b, *LOST)}),
    "counter runs over, and loss before it": Fault(
        lambda b: {"Sim__DropIds": ids(b, 4, 9)}, counts_from=2**31 - 1 - 12
    ),
    "counter runs over at the first frame": Fault(counts_from=2**31 - 1),
    "copies with another stamp": Fault(
        lambda b: {"Sim__DuplicateIds": ids(b, 5, 9, 17), "Sim__CopyStamp": -0.2, "Sim__DropIds": ids(b, 10)},
    ),
    "copies with a later stamp": Fault(
        lambda b: {"Sim__DuplicateIds": ids(b, 5, 9, 17), "Sim__CopyStamp": 0.2, "Sim__DropIds": ids(b, 10)},
    ),
    "HDF1's disk fails, and loss": Fault(
        lambda b: {"Sim__DropIds": ids(b, 5, 6, 15, 16), "Sim__Hdf1FailIds": ids(b, 12)}, "INCOMPLETE", lost=(15, 16)
    ),
    "an old file in the way, and loss": Fault(
        lambda b: {"Sim__DropIds": ids(b, 5, 6)}, sets_file_up=lambda b: {"Sim__Hdf1OldFile": b + N}
    ),
    "an old file in the place of ours, and loss": Fault(
        lambda b: {"Sim__DropIds": ids(b, 5, 6), "HDF1__EnableCallbacks": 0},
        "INCOMPLETE",
        sets_file_up=lambda b: {"Sim__Hdf1OldFile": b + N},
        lost=(5, 6),
        has_pixels=False,
        says="is not used",
    ),
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
    moving = {"pv": f"{ioc.prefix}EnergyDone", "moving_when": 0}
    energy = {"how": "timestamp", "pv": f"{ioc.prefix}Energy_RBV", "unit": "eV", "moving": moving}
    rig = rigs.beside(
        ioc.prefix,
        service={"drain_s": 2.0},
        raw_file={"timeout_s": 4.0, "plugin": ""},
        channels={"energy": energy},
    )
    rig.beamline.put_all(**QUIET, Pva1__EnableCallbacks=1, HDF1__Capture=0)
    rig.beamline.wait_for("HDF1:Capture_RBV", "Done")
    return rig


def count_from(rig: Rig, unique_id: int) -> None:
    """The next frame has the id after this one."""
    rig.beamline.put("cam1:ArrayCounter", unique_id)
    rig.beamline.wait_until(lambda: rig.counter() == unique_id)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_stored_is_what_was_exposed(rig: Rig, name: str) -> None:
    fault, scan = TABLE[name], f"f{list(TABLE).index(name)}"
    halt(rig)
    if fault.counts_from is not None:
        count_from(rig, fault.counts_from)
    elif rig.counter() < 0:  # it has run over
        count_from(rig, 0)
    n_before, before = len(rig.truth()["unique_id"]), rig.counter()
    rig.beamline.put_all(**fault.sets_file_up(before))
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
        if raw is not None and fault.has_pixels:
            check_pixels(file, raw)
    assert state == fault.state, message
    assert fault.says in message
    others = [flag for flag in rows.left_out if flag != Flag.UNCERTAIN]  # polls of a simulator that has no time
    assert fault.may_leave_out or not others, others
    assert all(not fault.flag or flag & fault.flag for flag in others), others


def test_clock_that_stands_while_the_counter_is_reset_is_said_and_not_guessed(rig: Rig) -> None:
    """The first frames of the new counting have id and stamp of others: copies have those, too."""
    halt(rig)
    count_from(rig, 0)
    raw = rig.record("undecided", N)
    assert rig.arm("undecided", n_positions=N, raw_file=str(raw)) == ""
    rig.beamline.put_all(Sim__FrameClockFreeze=f"1-{N}", Sim__CounterReset="0@10")
    fly(rig, N, PERIOD_S)
    halt(rig)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    assert state == "INCOMPLETE"
    assert "9 ignored with the id and the time of others" in message and "cannot be told" in message
    with rig.open("undecided") as file:
        rows, account = StoredRows.of(file), ledger(file)
        assert sorted(rows.final) == [(0, unique_id) for unique_id in range(1, N - 9 + 1)]
        assert not rows.keep.any()
        assert sum(bool(flag & Flag.NO_TIME) for flag in rows.left_out) >= len(rows.final) - 1, "the first may be one"
        assert account["stored"] + account["duplicates"] == account["expected"] == N
        check_pixels(file, raw)


def test_group_of_which_a_readback_is_no_number_is_left_out_and_the_others_are_right(rig: Rig) -> None:
    n, k = 5, 3
    halt(rig)
    n_before, before = len(rig.truth()["unique_id"]), rig.counter()
    raw = rig.record("groups", n * k)
    assert rig.arm("groups", n_positions=n, frames_per_position=k, raw_file=str(raw)) == ""
    rig.beamline.put_all(Sim__PositionNan=ids(before, 4), Sim__DropIds=ids(before, 6, 8))
    for place in range(n):
        rig.beamline.put("X", 3.0 * place)
        rig.beamline.acquire(k)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    exposed = Exposed.since(rig, n_before)
    with rig.open("groups") as file:
        ids_of_rows = file["/entry/frames/unique_id"][()]
        order, flags = np.argsort(ids_of_rows[:, 0]), file["/entry/frames/flags"][()]
        assert ids_of_rows[order].reshape(-1).tolist() == [unique_id for _, unique_id in exposed.identities]
        assert [Flag(int(flag)) for flag in flags[order]] == [Flag.NONE, Flag.INVALID, Flag.NONE, Flag.NONE, Flag.NONE]
        assert file["/entry/keep"][()][order].tolist() == [1, 0, 1, 1, 1]
        there_m = exposed.x_m.reshape(n, k).mean(axis=1)
        is_right = np.abs(file["/entry/posx_m"][()][order] - there_m) < TOLERANCE_M
        assert is_right.tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("late_s", [0.3, 1.5])
def test_energy_of_a_step_scan_is_that_of_each_step(rig: Rig, late_s: float) -> None:
    """Its readback comes after the frame, long after the record has shown it to those who ask."""
    halt(rig)
    n_before, scan = len(rig.truth()["unique_id"]), f"energy_{late_s:g}"
    assert rig.arm(scan, n_positions=5) == ""
    began_eV = rig.beamline.get("Energy_RBV")
    rig.beamline.put_all(Sim__LatePvs="Energy_RBV", Sim__ReadbackDelay=late_s)
    for step in range(5):
        rig.beamline.put("Energy", began_eV + 0.5 * step)
        rig.beamline.acquire(1)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.beamline.put("Energy", began_eV)
    exposed = Exposed.since(rig, n_before)
    assert np.ptp(exposed.energy_eV) == pytest.approx(2.0)
    with rig.open(scan) as file:
        rows = exposed.check(file, 5, rig.service.get("Message"))
        assert not rows.flags.any()
