"""Stage, frames and file writer that misbehave on command, as a client sees them."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient
from limits import HANG_S

from stream_service.channel_access.library import PV
from stream_service.pv_access import Context

IDS = "/entry/instrument/NDAttributes/NDArrayUniqueId"
LATE_S = 0.3


@pytest.fixture(scope="module")
def client(start_ioc: Callable) -> Iterator[BeamlineClient]:
    client = BeamlineClient(start_ioc("--shape", "32,40", "--stack", "4").prefix)
    yield client
    client.close()


def test_late_readbacks_carry_the_stamps_of_when_they_were_true(client: BeamlineClient):
    seen: queue.Queue[tuple[float, float, float]] = queue.Queue()

    def see(value: Any, timestamp: float, **_: Any) -> None:
        seen.put((value, timestamp, time.time()))

    client.pvs["late"] = PV(f"{client.prefix}X.RBV", callback=see, form="time", auto_monitor=True)
    seen.get(timeout=HANG_S)  # the present value: it is connected
    client.put("Sim:ReadbackDelay", LATE_S)
    began_s = time.time()
    client.put("X", 3.0)
    came = []
    while not came or came[-1][0] != 3.0:
        came.append(seen.get(timeout=HANG_S))
    moved = [one for one in came if one[1] >= began_s]
    assert moved
    assert min(arrived - stamp for _, stamp, arrived in moved) >= LATE_S
    assert np.all(np.diff([stamp for _, stamp, _ in moved]) > 0)
    client.put("Sim:ReadbackDelay", 0.0)


def test_frames_say_where_the_stage_is_or_not_and_some_payloads_are_damaged(client: BeamlineClient):
    client.put_all(
        cam1__ArrayCounter=0,
        Pva1__EnableCallbacks=1,
        Sim__PositionMissing="2",
        Sim__PositionNan="3",
        Sim__TruncatedIds="4",
        Sim__CorruptIds="5",
    )
    frames: queue.Queue[Any] = queue.Queue()
    with Context("pva", nt=False) as context, context.monitor(f"{client.prefix}Pva1:Image", frames.put):
        frames.get(timeout=HANG_S)  # the last old one, or none yet
        client.acquire(6)
        taken = [frames.get(timeout=HANG_S) for _ in range(6)]
    assert [int(frame.uniqueId) for frame in taken] == [1, 2, 3, 4, 5, 6]
    posx = [next(attribute.value for attribute in frame.attribute if attribute.name == "posx") for frame in taken]
    assert posx[1] is None
    assert math.isnan(posx[2])
    assert posx[0] == posx[3] == posx[5] == client.get("X.RBV")
    assert [frame.codec.name for frame in taken] == ["", "", "", "", "bslz4", ""]
    assert [len(frame.value) for frame in taken] == [1280, 1280, 1280, 640, 853, 1280]
    client.put_all(Sim__PositionMissing="", Sim__PositionNan="", Sim__TruncatedIds="", Sim__CorruptIds="")


def test_file_of_yesterday_is_in_the_way_and_a_disk_that_fails_ends_the_capture(client: BeamlineClient, tmp_path: Path):
    client.set_hdf1(
        tmp_path,
        cam1__ArrayCounter=0,
        Sim__Hdf1OldFile=5,
        Sim__Hdf1DropIds="2",
        Sim__Hdf1FailIds="4",
        HDF1__BlockingCallbacks="Yes",
        HDF1__NDAttributeChunk=1,
    )
    client.begin_capture()
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file[IDS][()].tolist() == [1, 2, 3, 4, 5]
        assert file["/entry/data/data"].shape == (5, 32, 40)
    client.acquire(6)
    client.wait_for("HDF1:Capture_RBV", "Done")
    assert client.get("HDF1:WriteStatus") == "Write error"
    assert client.get("HDF1:WriteMessage") == "Error writing file, status=3"
    assert client.get("HDF1:DroppedArrays_RBV") == 1
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file[IDS][()].tolist() == [1, 3]
    client.put_all(Sim__Hdf1OldFile=0, Sim__Hdf1DropIds="", Sim__Hdf1FailIds="")
