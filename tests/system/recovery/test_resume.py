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


def unfinished(rig: Rig) -> list[Path]:
    """What a run leaves beside its file, until it has ended."""
    return [*rig.folder.glob("*_interrupted_*"), *rig.folder.glob(".ptychostream/*/*")]


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
