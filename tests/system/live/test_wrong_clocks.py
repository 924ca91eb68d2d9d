"""Wrong clocks, made by iocsim on command: through the real service, flagged and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from judged_scans import N_FLY, fly_scan, rows_of, wrong_rows
from rig import Rig, start_rig

from stream_service.core.clock import DEFAULT_LIMIT_S
from stream_service.testing.loopback import LoopbackEpics


@pytest.fixture(scope="module")
def polled_rig(
    start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """Motors are polled as a motor record polls them. One service takes all scans: what it heard of a wrong clock must
    not spoil the next one."""
    ioc = start_ioc("--shape", "24,32", "--stack", "4", "--motor-poll", "0.1")
    folder = tmp_path_factory.mktemp("clocks")
    service = {"clock_limit_s": DEFAULT_LIMIT_S}
    with closing(start_rig(ioc.prefix, epics, folder, service=service, detector={"sensor_shape": [24, 32]})) as rig:
        yield rig


@pytest.mark.further(but=5)
@pytest.mark.parametrize(
    ("pv", "value"),
    [
        ("FrameClockOffset", 0.5),
        ("FrameClockOffset", -2.0),
        ("MotorClockOffset", 0.5),
        ("MotorClockOffset", -0.5),
        ("FrameClockStep", "2.0@{middle}"),
        ("FrameClockStep", "-2.0@{middle}"),
        ("MotorClockStep", "-2.0@{middle}"),
        ("MotorClockStep", "2.0@{middle}"),
        ("FrameClockFreeze", "{middle}-{later}"),
        ("MotorClockFreeze", "{middle}-{last}"),
    ],
)
def test_wrong_clock_flags_rows_and_is_told(polled_rig: Rig, pv: str, value: float | str) -> None:
    rig, first = polled_rig, polled_rig.counter() + 1
    if isinstance(value, str):
        value = value.format(middle=first + 30, later=first + 40, last=first + N_FLY)
    scan_id = f"fly{first}"
    rig.beamline.put(f"Sim:{pv}", value)
    try:
        fly_scan(rig, scan_id)
    finally:
        rig.beamline.put(f"Sim:{pv}", "" if isinstance(value, str) else 0.0)
    with rig.open(scan_id) as file:
        flags, off_m = rows_of(file, rig)
        assert wrong_rows(file, rig) == [], f"{np.round(off_m * 1e9)} {flags}"
        assert flags[file["/entry/frames/unique_id"][:, 0] >= first + 30].any()  # rows without a time wait for none
    assert "rows are flagged" in rig.service.get("Message")
    if "Offset" in pv:
        assert "service.clock_limit_s" in rig.service.get("Message")
        ahead_s = float(value) if pv.startswith("Motor") else -float(value)
        with rig.open(scan_id) as file:
            # Measured by receipts, so that what holds messages up counts: what two right clocks may seem to differ by.
            assert file["/entry/readbacks/x/clock_offset_s"][()] == pytest.approx(ahead_s, abs=DEFAULT_LIMIT_S)
