"""A readback that is connected and silent, and a frame stamped an hour ahead: they cost no frame.

iocsim does both on command, through the real service; at 1 kHz with `--long`, which takes a machine that has nothing
else to do, and slower beside other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_scans import rows_of, wrong_rows
from rig import Rig, start_rig

from stream_service.core.exposure import Flag
from stream_service.testing.loopback import LoopbackEpics

SHAPE = 24, 32
FRAME_BYTES = 2 * SHAPE[0] * SHAPE[1]
WAITING_S = {50: 8.0, 1000: 1.5}
"""Time for whose frames there is memory, by their rate: in PVA's queue, the service's, and among those that wait for
readbacks. A service that is held up for longer flags rows by that alone."""


@pytest.fixture(params=[50, pytest.param(1000, marks=pytest.mark.long)])
def rate_hz(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path, rate_hz: int) -> Iterator[Rig]:
    ioc = start_ioc("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--stack", "4")
    detector = {"sensor_shape": list(SHAPE)}
    budget = {"frame_queue_MiB": WAITING_S[rate_hz] * rate_hz * FRAME_BYTES / 2**20, "pairing_timeout_s": 60.0}
    with closing(start_rig(ioc.prefix, epics, tmp_path, service=budget, detector=detector)) as made:
        yield made


def begin(rig: Rig, rate_hz: int) -> int:
    """Arm, and let the detector take frames while the stage rests; the first uniqueId."""
    first = rig.counter() + 1
    assert rig.arm("scan") == ""
    rig.beamline.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.5 / rate_hz, cam1__AcquirePeriod=1 / rate_hz)
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    return first


def wait_for_frame(rig: Rig, unique_id: float) -> None:
    rig.beamline.wait_until(lambda: rig.counter() >= unique_id)


def flags_of_all(rig: Rig, first: int) -> dict[int, int]:
    """Flags by uniqueId when no more is taken: of every frame, since none is lost; the rows without are right, and
    used, and those that were put right at the end, too."""
    rig.beamline.put("cam1:Acquire", 0)
    n_frames = rig.counter() + 1 - first
    rig.service.put("Stop", 1)
    rig.wait_for_end()
    assert (rig.service.get("State"), rig.service.get("FramesLost")) == ("COMPLETE", 0), rig.service.get("Message")
    with rig.open("scan") as file:
        ids = file["/entry/frames/unique_id"][:, 0]
        is_first = file["/entry/frames/replaces"][()] < 0
        assert sorted(ids[is_first].tolist()) == list(range(first, first + n_frames))
        flags, _ = rows_of(file, rig)
        assert not flags[~is_first].any()
        assert wrong_rows(file, rig) == []
    return dict(zip(ids[is_first].tolist(), flags[is_first].tolist(), strict=True))


@pytest.mark.further
def test_silent_readback_costs_no_frame_and_flags_the_rows_without_it(rig: Rig, rate_hz: int) -> None:
    first = begin(rig, rate_hz)
    rig.service.wait_until(lambda: rig.service.get("Rows") >= rate_hz)  # their positions were known
    rig.beamline.put("Sim:SilentPvs", "X.RBV")
    wait_for_frame(rig, rig.counter() + (0.5 + 2 * WAITING_S[rate_hz]) * rate_hz)
    rig.service.wait_until(lambda: "was not known in time" in rig.service.get("Message"))
    most_waiting = 2 * (WAITING_S[rate_hz] * rate_hz + 1)  # the frame that fills a budget is within it
    assert rig.service.get("QueueBytes") <= most_waiting * FRAME_BYTES
    rig.beamline.put("Sim:SilentPvs", "")
    speaks_since = rig.counter()
    wait_for_frame(rig, speaks_since + rate_hz)
    flags = flags_of_all(rig, first)
    flagged = np.array([unique_id for unique_id, flag in flags.items() if flag])
    assert {flags[unique_id] for unique_id in flagged.tolist()} == {int(Flag.UNBRACKETED)}
    assert flagged.tolist() == list(range(flagged[0], flagged[-1] + 1)), "those that left while it was silent"
    assert len(flagged) >= rate_hz
    assert first + 0.9 * rate_hz < flagged[0] and flagged[-1] <= speaks_since


@pytest.mark.further
def test_frame_stamped_an_hour_ahead_costs_no_frame_and_flags_no_other_row(rig: Rig, rate_hz: int) -> None:
    ahead = rig.counter() + 3 * rate_hz // 2
    rig.beamline.put("Sim:FrameClockStep", f"3600@{ahead}-{ahead}")
    first = begin(rig, rate_hz)
    wait_for_frame(rig, first + 3 * rate_hz)
    flags = flags_of_all(rig, first)
    assert [unique_id for unique_id, flag in flags.items() if flag] == [ahead]
