"""A beamline that misbehaves, fault by fault: in the file is what was exposed, and nothing in it is wrong unsaid.

What was exposed, where and when, is told by the beamline's own record; the pixels are those that its file writer got.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pytest
from rig import Rig, Rigs
from transports import ledger, status_of

from stream_service.core.exposure import Flag
from stream_service.core.ledger import FrameStatus
from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery

N, PERIOD_S, GAIN = 24, 0.03, 4
SPEED_UM_S, RUN_UP_UM = 4.0, 2.0
TOLERANCE_M = 3e-9
"""`position_tolerance_m` of the profile."""
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
    n_flagged: int | None = 0
    """Rows without a trustworthy position at the least; None: any number."""
    flag: Flag = Flag.NONE
    """Which those have."""
    says: str = ""
    """In the message of the run."""
    goes_on: bool = False
    """The plan takes what is left of its frames after the fault."""


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
    "PVA cut": Fault(lambda b: {"Sim__CutPva": f"0.5@{b + 8}"}, n_flagged=None),
    "CA cut": Fault(lambda b: {"Sim__CutCa": f"0.5@{b + 8}"}, n_flagged=None),
    "counter reset": Fault(lambda b: {"Sim__CounterReset": f"0@{b + 10}"}),
    "counter reset, and loss around it": Fault(
        lambda b: {"Sim__CounterReset": f"0@{b + 10}", "Sim__DropIds": f"{ids(b, 4, 8)},3,5"}
    ),
    "IOC restarts": Fault(lambda b: {"Sim__Restart": f"0.5@{b + 10}"}, n_flagged=None, goes_on=True),
    "detector stops early": Fault(
        lambda b: {"Sim__StopIds": ids(b, 15)}, "INCOMPLETE", n_exposed=15, says="9 never exposed"
    ),
    "stops early, and the last frames lost": Fault(
        lambda b: {"Sim__StopIds": ids(b, 15), "Sim__DropIds": ids(b, 14, 15)}, "INCOMPLETE", n_exposed=15
    ),
    "frame clock stands": Fault(
        lambda b: {"Sim__FrameClockFreeze": f"{b + 9}-{b + 12}"}, n_flagged=4, flag=Flag.NO_TIME
    ),
    "frame clock set back": Fault(lambda b: {"Sim__FrameClockStep": f"-5@{b + 12}"}, n_flagged=10),
    "readbacks late and jittered": Fault(
        lambda b: {"Sim__MotorPollPeriod": 0.05, "Sim__MotorPollJitter": 0.01, "Sim__ReadbackDelay": 0.3},
        n_flagged=None,
    ),
    "readbacks stall": Fault(lambda b: {"Sim__ReadbackStall": f"1@{b + 6}"}, n_flagged=None),
    "no numbers": Fault(lambda b: {"Sim__PositionNan": ids(b, 5, 6)}, n_flagged=1, flag=Flag.INVALID),
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


def fly(rig: Rig, n: int) -> None:
    """Take frames while the stage goes on."""
    rig.beamline.put("X.VELO", SPEED_UM_S)
    rig.beamline.put("X", 60.0, wait=False)
    began_um = rig.beamline.get("X.RBV")
    rig.beamline.wait_until(lambda: rig.beamline.get("X.RBV") > began_um + RUN_UP_UM)
    rig.beamline.acquire(n, exposure_s=0.01, period_s=PERIOD_S)


def halt(rig: Rig) -> None:
    rig.beamline.put("X.STOP", 1)
    rig.beamline.put("X.VELO", 200.0)
    rig.beamline.put("X", -20.0)


def truth_of(rig: Rig, n_before: int) -> dict[str, np.ndarray]:
    """What was exposed, but for the frames before."""
    rig.truth()
    with np.load(rig.folder / "truth.npz") as archive:
        return {name: archive[name][n_before:] for name in ("unique_id", "epoch", "x_m", "y_m")}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_stored_is_what_was_exposed(rig: Rig, name: str) -> None:
    fault, scan = TABLE[name], f"f{list(TABLE).index(name)}"
    halt(rig)
    n_before, before = len(rig.truth()["unique_id"]), rig.counter()
    raw = rig.record(scan, N) if fault.has_raw_file else None
    assert rig.arm(scan, n_positions=N, **({"raw_file": str(raw)} if raw else {})) == ""
    rig.beamline.put_all(**fault.pvs(before))
    fly(rig, N)
    if fault.goes_on:
        rig.beamline.wait_until(lambda: rig.beamline.get("cam1:Acquire_RBV") == "Done")
        left = N - (len(rig.truth()["unique_id"]) - n_before)
        rig.beamline.put("Pva1:EnableCallbacks", 1)
        fly(rig, left)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Done")
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    halt(rig)
    truth = truth_of(rig, n_before)
    assert len(truth["unique_id"]) == fault.n_exposed
    with rig.open(scan) as file:
        check(file, truth, fault, message)
        check_pixels(file, raw)
        assert state == fault.state, message
        assert fault.says in message


def check(file: h5py.File, truth: dict[str, np.ndarray], fault: Fault, message: str) -> None:
    """Identity, account and positions, by what was exposed."""
    epochs = truth["epoch"] - truth["epoch"][0]
    exposed = list(zip(epochs.tolist(), truth["unique_id"].tolist(), strict=True))
    rows = list(
        zip(*(file[f"/entry/frames/{name}"][()].reshape(-1).tolist() for name in ("epoch", "unique_id")), strict=True)
    )
    replaced = set(file["/entry/frames/replaces"][()].tolist())
    final = [row for place, row in enumerate(rows) if place not in replaced]
    lost = [exposed[place - 1] for place in fault.lost]
    assert sorted(final) == sorted(set(exposed) - set(lost)), message
    assert status_of(file, FrameStatus.LOST) == lost, message
    account = ledger(file)
    settled = ("stored", "backfilled", "lost", "incomplete", "not_exposed")
    assert sum(account.get(status, 0) for status in settled) == account["expected"] == N
    assert account.get("not_exposed", 0) == N - fault.n_exposed
    flags, keep = (file[f"/entry/{name}"][()] for name in ("frames/flags", "keep"))
    is_current = np.array([place not in replaced for place in range(len(rows))])
    flagged = is_current & (keep == 0)
    if fault.n_flagged is not None:
        assert np.count_nonzero(flagged) >= fault.n_flagged
    if fault.n_flagged == 0:
        assert not flagged.any(), [str(Flag(int(flag))) for flag in flags[flagged]]
    if fault.flag:
        assert (flags[flagged] & fault.flag != 0).all(), [str(Flag(int(flag))) for flag in flags[flagged]]
    uncertainty_m = np.nan_to_num(file["/entry/frames/position_uncertainty_m"][()])
    places = {identity: place for place, identity in enumerate(exposed)}
    for place, identity in enumerate(rows):
        if keep[place]:
            there_m = np.array([truth["x_m"][places[identity]], truth["y_m"][places[identity]]])
            off_m = np.abs(file["/entry/pos"][place] - there_m).max()
            assert off_m <= TOLERANCE_M + uncertainty_m[place], (identity, off_m)
    assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []


def check_pixels(file: h5py.File, raw: Any) -> None:
    """Of every row whose frame the file writer got as well."""
    if raw is None:
        return
    with h5py.File(raw, swmr=True) as other:
        there_ids = other["/entry/instrument/NDAttributes/NDArrayUniqueId"][()].tolist()
        n_frames = min(len(there_ids), len(other["/entry/data/data"]))
        places: dict[int, int] = {}
        for place, unique_id in enumerate(there_ids[:n_frames]):
            places.setdefault(unique_id, place)
        epochs, rows = (file[f"/entry/frames/{name}"][()].reshape(-1).tolist() for name in ("epoch", "unique_id"))
        compared = 0
        for row, (epoch, unique_id) in enumerate(zip(epochs, rows, strict=True)):
            if epoch == 0 and unique_id in places:
                pixels = other["/entry/data/data"][places[unique_id]].astype(np.float32) / np.float32(GAIN)
                np.testing.assert_array_equal(file["/entry/data"][row], pixels)
                compared += 1
        assert compared > 3
