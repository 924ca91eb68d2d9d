"""Auto mode: scans that nobody announced, and plans beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S
from rig import Rig, Rigs

from stream_service.standard_file import validate_file

GRACE_S = HANG_S
"""Between two frames of a step scan, however long the machine is held up in between."""
SHORT_GRACE_S = 0.5


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc()


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    """A daemon that waits for the detector."""
    rig = rigs.beside(ioc.prefix, service={"auto": True, "grace_s": GRACE_S})
    rig.service.wait_for("Standby", 1)
    return rig


def files(rig: Rig) -> set[Path]:
    return set(rig.folder.glob("*_std.h5"))


def step_scan(rig: Rig, n_points: int) -> tuple[int, Path]:
    """A scan by hand: a position, a start of the detector, and so on, and a stop; the id before it, and its file."""
    before, old = rig.counter(), files(rig)
    runs = rig.service.get("RunNumber")
    for point in range(n_points):
        rig.beamline.put("X", 0.2 * point)
        rig.beamline.acquire(1)
    rig.service.wait_until(lambda: rig.service.get("RunNumber") == runs + 1)
    rig.service.wait_until(lambda: rig.service.get("FramesReceived") == n_points)
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "COMPLETE"
    (made,) = files(rig) - old
    return before, made


def test_software_step_scan_is_one_run(rig: Rig) -> None:
    before, path = step_scan(rig, 6)
    with h5py.File(path) as file:
        assert file["/entry/frames/unique_id"][:, 0].tolist() == list(range(before + 1, before + 7))
        np.testing.assert_allclose(np.ptp(file["/entry/posx_m"]), 1e-6, atol=5e-9)
    assert path.name.startswith("auto_2") and rig.service.get("ScanId") in path.name
    assert [finding for finding in validate_file(path) if finding.level == "error"] == []


def test_next_scan_is_the_next_run(rig: Rig) -> None:
    first_before, first = step_scan(rig, 2)
    rig.service.wait_for("Standby", 1)
    second_before, second = step_scan(rig, 3)
    assert second_before == first_before + 2 and first != second
    with h5py.File(second) as file:
        assert len(file["/entry/data"]) == 3


def test_plan_takes_the_place_of_the_run_that_waits(rig: Rig) -> None:
    old, runs = files(rig), rig.service.get("RunNumber")
    assert rig.arm("planned", n_positions=4) == ""
    assert rig.service.get("Standby") == 0
    rig.beamline.acquire(4)
    assert rig.wait_for_end() == "COMPLETE"
    assert files(rig) - old == {rig.folder / "planned_std.h5"}
    assert rig.service.get("RunNumber") == runs + 1
    rig.service.wait_for("Standby", 1)
    assert (rig.service.get("ScanId"), rig.service.get("State")) == ("planned", "COMPLETE")


def test_plan_need_not_wait_until_a_snapshot_is_over(rig: Rig) -> None:
    old, runs = files(rig), rig.service.get("RunNumber")
    rig.beamline.acquire(1)
    rig.service.wait_until(lambda: rig.service.get("RunNumber") == runs + 1)
    assert rig.arm("after_snapshot", n_positions=2) == ""
    rig.beamline.acquire(2)
    assert rig.wait_for_end() == "COMPLETE"
    made = {path.name.split("_")[0]: path for path in files(rig) - old}
    assert set(made) == {"auto", "after"}
    for path, n_rows in ((made["auto"], 1), (made["after"], 2)):
        with h5py.File(path) as file:
            assert len(file["/entry/data"]) == n_rows
            assert file["/entry/run/state"][()] == b"COMPLETE"


@pytest.mark.further
def test_scan_ends_when_the_detector_has_rested(ioc: Any, rigs: Rigs) -> None:
    rig = rigs.beside(ioc.prefix, service={"auto": True, "grace_s": SHORT_GRACE_S})
    rig.service.wait_for("Standby", 1)
    rig.beamline.acquire(1)
    assert rig.wait_for_end() == "COMPLETE"
    assert "auto" in {path.name.split("_")[0] for path in files(rig)}
