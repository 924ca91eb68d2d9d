"""A readback that is connected and silent, and a frame stamped an hour ahead, at 1 kHz: they cost no frame.

iocsim does both on command, through the real service.
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
N_WAITING = 1500
"""Frames for which there is memory: they are PVA's queue, the service's, and those that may wait for readbacks."""


@pytest.fixture
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path: Path) -> Iterator[Rig]:
    ioc = start_ioc("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--stack", "4")
    detector = {"sensor_shape": list(SHAPE)}
    budget = {"frame_queue_MiB": N_WAITING * FRAME_BYTES / 2**20, "pairing_patience_s": 60.0}
    with closing(start_rig(ioc.prefix, epics, tmp_path, service=budget, detector=detector)) as made:
        yield made


def begin(rig: Rig, n_frames: int) -> int:
    """Arm, and let the detector take frames at 1 kHz while the stage rests; the first uniqueId."""
    first = rig.counter() + 1
    assert rig.arm("scan", n_positions=n_frames) == ""
    rig.beamline.put_all(
        cam1__ImageMode="Multiple", cam1__NumImages=n_frames, cam1__AcquireTime=0.0005, cam1__AcquirePeriod=0.001
    )
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    return first


def flags_of_all(rig: Rig, first: int, n_frames: int) -> dict[int, int]:
    """Flags by uniqueId: of every frame, since none is lost; the rows without are right, and used."""
    rig.service.wait_until(lambda: rig.service.get("State") in ("COMPLETE", "INCOMPLETE", "FAILED"), 90)
    assert (rig.service.get("State"), rig.service.get("FramesLost")) == ("COMPLETE", 0), rig.service.get("Message")
    with rig.open("scan") as file:
        ids = file["/entry/frames/unique_id"][:, 0]
        assert sorted(ids.tolist()) == list(range(first, first + n_frames))
        flags, _ = rows_of(file, rig)
        assert wrong_rows(file, rig) == []
    return dict(zip(ids.tolist(), flags.tolist(), strict=True))


@pytest.mark.parametrize("pv", ["X.RBV"])
def test_silent_readback_costs_no_frame_and_flags_the_rows_without_it(rig: Rig, pv: str) -> None:
    n_frames = 6000
    first = begin(rig, n_frames)
    rig.beamline.wait_until(lambda: rig.counter() >= first + 1000, 30)
    rig.beamline.put("Sim:SilentPvs", pv)
    rig.beamline.wait_until(lambda: rig.counter() >= first + 4500, 30)
    assert "was not known in time" in rig.service.get("Message")
    assert rig.service.get("QueueBytes") <= 2 * N_WAITING * FRAME_BYTES
    rig.beamline.put("Sim:SilentPvs", "")
    flags = flags_of_all(rig, first, n_frames)
    flagged = np.array([unique_id for unique_id, flag in flags.items() if flag])
    assert {flags[unique_id] for unique_id in flagged.tolist()} == {int(Flag.UNBRACKETED)}
    assert flagged.tolist() == list(range(flagged[0], flagged[-1] + 1)), "those that left while it was silent"
    assert len(flagged) >= 1000
    assert first + 900 < flagged[0] and flagged[-1] < first + n_frames - 500


def test_frame_stamped_an_hour_ahead_costs_no_frame_and_flags_no_other_row(rig: Rig) -> None:
    n_frames = 3000
    ahead = rig.counter() + 1500
    rig.beamline.put("Sim:FrameClockStep", f"3600@{ahead}-{ahead}")
    first = begin(rig, n_frames)
    flags = flags_of_all(rig, first, n_frames)
    assert [unique_id for unique_id, flag in flags.items() if flag] == [ahead]
