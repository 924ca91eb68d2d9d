"""A data root that goes away in mid run and comes back: what is said of it, and that nothing takes the run up again."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rig import Rig, start_rig

from stream_service.testing.loopback import LoopbackEpics

N = 400


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture(scope="module")
def rig(ioc: Any, epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("rig")
    (folder / "root").mkdir()
    running = start_rig(ioc.prefix, epics, folder, service={"data_root": str(folder / "root")})
    yield running
    running.close()


def begin(rig: Rig, scan_id: str) -> None:
    """A run that has rows, and is to have many more."""
    assert rig.arm(scan_id, n_positions=N) == ""
    rig.beamline.put_all(
        cam1__ImageMode="Multiple", cam1__NumImages=N, cam1__AcquireTime=0.02, cam1__AcquirePeriod=0.05
    )
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    rig.service.wait_until(lambda: rig.service.get("Rows") >= 5)


def fails(rig: Rig) -> str:
    """What the run says that has ended so."""
    assert rig.wait_for_end() == "FAILED"
    rig.beamline.put("cam1:Acquire", 0)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Done")
    return str(rig.service.get("Message"))


def test_run_ends_in_the_truth_and_the_next_ones_are_not_held_up(rig: Rig) -> None:
    root, away = rig.folder / "root", rig.folder / "away"
    begin(rig, "moved")
    root.rename(away)
    assert f"it is {away}/moved_std.h5 now" in fails(rig)
    rig.service.wait_until(lambda: math.isnan(float(rig.service.get("DiskFree"))))
    away.rename(root)
    rig.service.wait_until(lambda: float(rig.service.get("DiskFree")) > 0)

    begin(rig, "deleted")
    shutil.rmtree(root, ignore_errors=True)  # what is rescued may lie in it by then
    message = fails(rig)
    (rescued,) = rig.folder.rglob("deleted_std.rescued*.h5")
    assert str(rescued) in message
    root.mkdir(exist_ok=True)

    assert rig.arm("after", n_positions=3) == ""
    rig.beamline.acquire(3)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")


@pytest.mark.further
def test_run_that_failed_with_its_data_root_is_not_taken_up_when_that_is_back(rig: Rig) -> None:
    root, away = rig.folder / "root", rig.folder / "away"
    begin(rig, "gone")
    root.rename(away)
    fails(rig)
    away.rename(root)
    assert list(root.glob(".ptychostream/*/gone-*.jsonl")), "its journal is back with it"
    assert rig.arm("next", n_positions=3) == ""
    rig.beamline.acquire(3)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.kill_and_start_again()
    assert (rig.service.get("ScanId"), rig.service.get("State")) == ("next", "COMPLETE")
    assert list(root.glob(".ptychostream/*/gone-*.jsonl")) == []
