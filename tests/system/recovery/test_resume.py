"""A daemon that is killed and started again goes on with its run: every row that was flushed is there, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rig import Rig, Rigs

from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    return rigs.beside(ioc.prefix)


@pytest.fixture
def fetching(ioc: Any, rigs: Rigs) -> Rig:
    """A daemon that looks into raw files."""
    return rigs.beside(ioc.prefix, service={"drain_s": 2.0}, raw_file={"timeout_s": 4.0, "plugin": ""})


def unfinished(rig: Rig) -> list[Path]:
    """What a run leaves beside its file, until it has ended."""
    return [*rig.folder.glob("*_interrupted_*"), *rig.folder.glob(".ptychostream/*/*.jsonl")]


def test_run_goes_on_when_its_service_was_killed(rig: Rig) -> None:
    n, before = 40, rig.counter()
    assert rig.arm("killed", n_positions=n) == ""
    number = rig.service.get("RunNumber")
    rig.beamline.acquire(n // 2)
    rig.service.wait_for("Rows", n // 2)
    rig.kill_and_start_again()
    assert (rig.service.get("ScanId"), rig.service.get("RunNumber")) == ("killed", number)
    rig.service.wait_for("Health", "BUSY")
    rig.service.wait_for("Rows", n // 2)
    rig.beamline.acquire(n - n // 2)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    rig.service.wait_until(lambda: unfinished(rig) == [])
    with rig.open("killed") as file:
        ids = file["/entry/frames/unique_id"][()].reshape(-1)
        assert sorted(ids.tolist()) == list(range(before + 1, before + n + 1))
        assert (file["/entry/keep"][()] == 1).all()
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []
        truth = rig.truth()
        order = np.argsort(ids)
        np.testing.assert_allclose(file["/entry/posx_m"][()][order], truth["x_m"][-n:], atol=2e-9)


def test_rows_exposed_in_motion_while_the_service_was_away_are_there_and_not_used(fetching: Rig) -> None:
    """Their frames are in the raw file; where the stage was meanwhile nobody knows."""
    rig, n = fetching, 10
    raw, before = rig.record("away", 3 * n), rig.counter()
    assert rig.arm("away", n_positions=3 * n, raw_file=str(raw)) == ""
    rig.beamline.put("X.VELO", 2.0)
    rig.beamline.put("X", rig.beamline.get("X.RBV") + 90.0, wait=False)
    rig.beamline.acquire(n, exposure_s=0.01, period_s=0.02)
    rig.service.wait_until(lambda: rig.service.get("Rows") > 0)
    rig.kill()
    rig.beamline.acquire(n, exposure_s=0.01, period_s=0.02)
    rig.start_again()
    rig.service.wait_for("Resuming", 0)
    rig.beamline.acquire(n, exposure_s=0.01, period_s=0.02)
    rig.service.put("Stop", 1)
    state, message = rig.wait_for_end(), rig.service.get("Message")
    rig.beamline.put("X.STOP", 1)
    truth = {name: column[-3 * n :] for name, column in rig.truth().items()}
    with rig.open("away") as file:
        ids, keep = file["/entry/frames/unique_id"][()].reshape(-1), file["/entry/keep"][()]
        assert sorted(ids.tolist()) == truth["unique_id"].tolist(), message
        places = ids - before - 1
        while_away = (places >= n) & (places < 2 * n)
        assert (keep[while_away] == 0).sum() >= n - 1 and (keep[places >= 2 * n] == 1).sum() >= n - 1, message
        used = keep == 1
        limits_m = 0.2e-6 + file["/entry/frames/position_uncertainty_m"][()][used]
        assert (np.abs(file["/entry/posx_m"][()] - truth["x_m"][places])[used] <= limits_m).all()
    assert state == "INCOMPLETE", message
    rig.service.wait_until(lambda: unfinished(rig) == [])
