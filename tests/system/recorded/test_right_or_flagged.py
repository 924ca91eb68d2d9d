"""Through the real service: a stored position is within 3 nm of the true one, or its row is flagged.

The stage posts as a recorded motor record does (polled at 10 Hz, old stamps included), named by MOVN and by DMOV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import h5py
import pytest
from judged_scans import SCANS, ingest, rows_of, wrong_rows
from rig import Rig, start_rig

from stream_service.testing.loopback import LoopbackEpics


@pytest.fixture(scope="module", params=["MOVN", "DMOV"])
def rig(
    request: pytest.FixtureRequest,
    start_ioc: Callable[..., Any],
    epics: LoopbackEpics,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Rig]:
    ioc = start_ioc("--shape", "24,32", "--stack", "4", "--motor-poll", "0.1")
    folder = tmp_path_factory.mktemp(request.param.lower())
    field = {"MOVN": 1, "DMOV": 0}[request.param]
    channels = {
        axis.lower(): {
            "how": "timestamp",
            "pv": f"{ioc.prefix}{axis}.RBV",
            "unit": "um",
            "moving": {"pv": f"{ioc.prefix}{axis}.{request.param}", "moving_when": field},
        }
        for axis in "XY"
    }
    running = start_rig(ioc.prefix, epics, folder, detector={"sensor_shape": [24, 32]}, channels=channels)
    yield running
    running.close()


def assert_right_or_flagged(rig: Rig, scan_id: str, share_used: float) -> None:
    with rig.open(scan_id) as file:
        flags, off_m = rows_of(file, rig)
        assert wrong_rows(file, rig) == [], f"{off_m} {flags}"
        assert (flags == 0).mean() >= share_used, flags
    with h5py.File(ingest(rig, scan_id)) as file:
        assert wrong_rows(file, rig) == []
        assert (file["/entry/frames/flags"][()] == 0).mean() >= share_used


@pytest.mark.further(but=2)
@pytest.mark.parametrize(("kind", "share_used"), [("step", 1.0), ("fly", 0.5)])
def test_rows_are_true_or_flagged_live_and_by_recorded_readbacks(rig: Rig, kind: str, share_used: float) -> None:
    SCANS[kind](rig, kind)
    assert_right_or_flagged(rig, kind, share_used)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["step", "fly"])
def test_rows_are_true_or_flagged_in_twenty_scans(rig: Rig, kind: str) -> None:
    for number in range(20):
        scan_id = f"{kind}{number}"
        SCANS[kind](rig, scan_id)
        assert_right_or_flagged(rig, scan_id, 0.5)
