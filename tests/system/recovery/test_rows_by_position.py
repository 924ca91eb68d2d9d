"""A detector that runs freely while the stage steps, over a network that loses and shuffles frames: rows by position.

How many frames each position gets is left to chance; where each was taken is told by the beamline's own record.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from exposed import SETTLED, halt
from rig import Rig, Rigs
from transports import ledger

from stream_service.core.exposure import Flag
from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery

SAME_M, STEP_UM = 20e-9, 0.5
STAYS = (3, 1, 5, 2, 4, 3)
"""At least so many frames at each place."""
MOST, PERIOD_S = 40, 0.03
"""A busy machine may let the stage wait for long."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--seed", "5", "--motor-poll", "0.02")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""})


def step(rig: Rig) -> None:
    """Take frames without a pause, and let the stage step when each place has its share."""
    rig.beamline.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.01, cam1__AcquirePeriod=PERIOD_S)
    rig.beamline.put("X.VELO", 20.0)
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    for n, stay in enumerate(STAYS):
        until = rig.counter() + stay + 1
        rig.beamline.wait_until(lambda until=until: rig.counter() >= until)
        if n < len(STAYS) - 1:
            rig.beamline.put("X", rig.beamline.get("X.VAL") + STEP_UM)
    rig.beamline.put("cam1:Acquire", 0, wait=False)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Done")


def final_rows(file: Any) -> list[tuple[list[int], bool, Flag]]:
    """uniqueIds, use and flags of the rows that no other replaces."""
    names = ("unique_id", "flags", "replaces")
    ids, flags, replaces = (file[f"/entry/frames/{name}"][()] for name in names)
    keep = file["/entry/keep"][()] != 0
    final = sorted(set(range(len(ids))) - set(replaces.tolist()))
    return [([n for n in ids[row].tolist() if n >= 0], bool(keep[row]), Flag(int(flags[row]))) for row in final]


@pytest.mark.further(but=1)
@pytest.mark.parametrize("has_raw_file", [True, False])
def test_each_row_is_of_one_position_and_every_frame_is_accounted_for(rig: Rig, has_raw_file: bool) -> None:
    halt(rig)
    n_before, scan = len(rig.truth()["unique_id"]), f"steps{int(has_raw_file)}"
    raw = rig.record(scan, 1000) if has_raw_file else None
    request = {"group_by": "position", "frames_per_position": MOST, **({"raw_file": str(raw)} if raw else {})}
    assert rig.arm(scan, **request) == ""
    rig.beamline.put_all(Sim__DropFraction=0.1, Sim__Reorder=4)
    step(rig)
    rig.beamline.put_all(Sim__DropFraction=0.0, Sim__Reorder=0)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    truth = {name: column[n_before:] for name, column in rig.truth().items()}
    x_of = dict(zip(truth["unique_id"].tolist(), truth["x_m"].tolist(), strict=True))
    with rig.open(scan) as file:
        rows, account = final_rows(file), ledger(file)
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []
    stored = sorted(n for row, _, _ in rows for n in row)
    assert len(set(stored)) == len(stored), message
    assert sum(account.get(status, 0) for status in SETTLED) == account["expected"] == len(x_of), message
    assert account.get("lost", 0) == len(set(x_of) - set(stored)), message
    used = [row for row, is_used, _ in rows if is_used]
    for row in used:
        assert np.ptp([x_of[n] for n in row]) <= SAME_M, (row, message)
    assert all(len(row) == 1 and flag & (Flag.MOVING | Flag.UNCERTAIN) for row, is_used, flag in rows if not is_used)
    row_of = {n: tuple(row) for row in used for n in row}
    for one, other in pairwise(sorted(row_of)):
        is_same = abs(x_of[one] - x_of[other]) <= SAME_M
        assert (row_of[one] == row_of[other]) == is_same, (one, other, message)
    if has_raw_file:
        assert (state, len(used)) == ("COMPLETE", len(STAYS)), message
        assert stored == sorted(x_of)
    else:
        assert state == ("COMPLETE" if stored == sorted(x_of) else "INCOMPLETE"), message
