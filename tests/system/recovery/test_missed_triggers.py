"""A PandA that misses triggers, or has some too many: each position is that of its frame, or its row says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exposed import TOLERANCE_M, Exposed, StoredRows, check_pixels
from rig import Rigs

from stream_service.core.exposure import Flag

pytestmark = pytest.mark.recovery

N = 14
TIMES = "/PCAP.TS_TRIG.Value"
STEPS_UM = (2.0, 14.0, 3.0, 9.0, 2.0, 20.0, 5.0, 11.0, 3.0, 17.0, 4.0, 8.0, 2.0, 12.0)
"""Moves of uneven length take uneven times."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    missed: tuple[int, ...] = ()
    """Places in the run, from 1."""
    spurious: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    has_times: bool = True
    is_told: bool = True
    """The rows are used, but for those of missed triggers."""
    may_leave_out: bool = False
    """Rows may be flagged: those that were not told before the end, or all, where moves take equal times by chance."""
    says: str = ""


TABLE = {
    "nothing": Fault(),
    "one missed": Fault(missed=(4,), says="1 frame has no entry in the arrays of x and y"),
    "one missed, one too many": Fault(missed=(3,), spurious=(7,), says="hardware missed its trigger"),
    "one too many, and loss beside it": Fault(spurious=(6,), lost=(5, 6), may_leave_out=True),
    "the first missed": Fault(missed=(1,), may_leave_out=True),
    "one missed, without times": Fault(missed=(4,), has_times=False, is_told=False, says="13 entries for 14 frames"),
    "one too many, without times": Fault(
        spurious=(4,), has_times=False, is_told=False, says="15 entries for 14 frames"
    ),
}


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--seed", "5")


def profile_of(ioc: Any, *, has_times: bool) -> dict[str, Any]:
    times = {"times": TIMES} if has_times else {"may_end_apart": False}
    channels = {
        axis: {"how": "index", "dataset": f"/INENC{n}.VAL.Mean", "unit": "um", **times}
        for n, axis in enumerate("xy", 1)
    }
    return {
        "channels": channels,
        "arrays_file": {"pv": f"{ioc.prefix}PANDA:DATA:HDF_FULL_FILE_PATH", "timeout_s": 20.0},
        "service": {"drain_s": 1.0},
        "raw_file": {"timeout_s": 4.0, "plugin": ""},
    }


@pytest.mark.further(but=4)
@pytest.mark.parametrize("name", TABLE)
def test_position_is_that_of_the_frame_or_flagged(ioc: Any, rigs: Rigs, tmp_path: Path, name: str) -> None:
    fault, scan = TABLE[name], f"t{list(TABLE).index(name)}"
    rig = rigs.beside(ioc.prefix, **profile_of(ioc, has_times=fault.has_times))
    before, n_before = rig.counter(), len(rig.truth()["unique_id"])
    places = {"DropIds": fault.lost, "PandaMissIds": fault.missed, "PandaSpuriousIds": fault.spurious}
    for pv, of_run in places.items():
        rig.beamline.put(f"Sim:{pv}", ",".join(str(before + place) for place in of_run))
    raw = rig.record(scan, N)
    rig.beamline.put("PANDA:DATA:HDF_DIRECTORY", str(tmp_path))
    rig.beamline.put("PANDA:DATA:HDF_FILE_NAME", f"{scan}_panda.h5")
    assert rig.arm(scan, n_positions=N, raw_file=str(raw)) == ""
    rig.beamline.put("PANDA:DATA:CAPTURE", "1")
    place_um = 0.0
    for step_um in STEPS_UM:
        place_um += step_um
        rig.beamline.put("X", place_um)
        rig.beamline.acquire(1)
    rig.beamline.put("PANDA:DATA:CAPTURE", "0")
    state, message = rig.wait_for_end(), rig.service.get("Message")
    assert state == "COMPLETE" and fault.says in message, message
    exposed = Exposed.since(rig, n_before)
    assert len(exposed) == N
    with rig.open(scan) as file:
        rows = StoredRows.of(file)
        assert sorted(rows.final) == exposed.identities, message
        check_pixels(file, raw)
        used = [unique_id - before for row, (_, unique_id) in enumerate(rows.identities) if rows.keep[row]]
        expected = {n for n in range(1, N + 1) if fault.is_told and n not in fault.missed}
        assert len(used) == len(set(used)) and expected.issuperset(used), message
        assert fault.may_leave_out or expected == set(used), message
        for row in np.flatnonzero(rows.keep).tolist():
            there = rows.identities[row][1] - before - 1
            assert abs(file["/entry/posx_m"][row] - exposed.x_m[there]) < TOLERANCE_M
        flags = file["/entry/frames/flags"][()][~rows.keep.astype(bool)]
        assert all(Flag(int(flag)) & (Flag.MISSING | Flag.UNMATCHED) for flag in flags)
