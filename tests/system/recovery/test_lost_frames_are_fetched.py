"""What the stream has lost is fetched from the file that NDFileHDF5 writes; the beamline tells what was exposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from rig import Rig, Rigs
from transports import ledger

from stream_service.core.ledger import FrameStatus
from stream_service.standard_file.rules.validate import validate_file

pytestmark = pytest.mark.recovery


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--stack", "16")


@pytest.fixture
def rig(ioc: Any, rigs: Rigs) -> Rig:
    rig = rigs.beside(ioc.prefix, service={"drain_s": 1.0}, raw_file={"timeout_s": 2.0, "plugin": ""})
    rig.beamline.put("Sim:DropIds", "")
    return rig


def drop(rig: Rig, *nth: int) -> None:
    """Lose these of the frames to come, counted from 1."""
    before = rig.counter()
    rig.beamline.put("Sim:DropIds", ",".join(str(before + n) for n in nth))


def check_rows(rig: Rig, file: h5py.File, n: int, k: int = 1) -> None:
    """The rows are of the last `n` frames that the beamline has exposed, all of them, where it was then."""
    truth = {name: column[-n:] for name, column in rig.truth().items()}
    ids = file["/entry/frames/unique_id"][()]
    assert sorted(map(tuple, ids.tolist())) == list(map(tuple, truth["unique_id"].reshape(-1, k).tolist()))
    order = np.argsort(ids[:, 0])
    assert (file["/entry/frames/flags"][()] == 0).all() and (file["/entry/keep"][()] == 1).all()
    for name in ("x_m", "y_m"):
        there_m = truth[name].reshape(-1, k).mean(axis=1)
        np.testing.assert_allclose(file[f"/entry/pos{name}"][()][order], there_m, atol=2e-9)
    assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []


def expose(rig: Rig, n_positions: int, k: int = 1) -> None:
    """A step scan."""
    for n in range(n_positions):
        rig.beamline.put("X", 3.0 * n)
        rig.beamline.acquire(k)


def test_lost_frames_come_back_from_a_closed_file(rig: Rig) -> None:
    raw, n = rig.record("closed", 8), 8
    drop(rig, 1, 4, 5, 8)
    assert rig.arm("closed", n_positions=n, raw_file=str(raw)) == ""
    expose(rig, n)
    rig.service.put("Stop", 1)
    assert rig.wait_for_end() == "COMPLETE", rig.service.get("Message")
    with rig.open("closed") as file:
        check_rows(rig, file, n)
        assert ledger(file) == {"expected": 8, "stored": 4, "backfilled": 4}
        status = dict(zip(file["/entry/ledger/unique_id"][()].tolist(), file["/entry/ledger/status"][()], strict=True))
        assert list(status.values()) == [
            FrameStatus.BACKFILLED if n in (1, 4, 5, 8) else FrameStatus.STORED for n in range(1, 9)
        ]
    assert "8 of 8 frames stored in 8 rows, 4 of them fetched from the raw file" in rig.service.get("Message")
