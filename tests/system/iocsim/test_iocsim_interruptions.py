"""A beamline that misbehaves on command: cut connections, restarts, counters that begin anew, series that end early."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beamline_client import BeamlineClient
from limits import HANG_S

from stream_service.pv_access import Context, Disconnected

REQUEST = "field()record[queueSize=100]"
FAULTS = """
drop_ids: [3]
stop_ids: 8
"""


class Frames:
    """What a PVA client is told, in order: uniqueIds, and `None` where the connection was lost."""

    def __init__(self, prefix: str) -> None:
        self._told: queue.Queue[int | None] = queue.Queue()
        self._context = Context("pva", nt=False)
        self._monitor = self._context.monitor(f"{prefix}Pva1:Image", self._take, REQUEST, notify_disconnect=True)

    def _take(self, value: Any) -> None:
        self._told.put(None if isinstance(value, Disconnected) else int(value["uniqueId"]))

    def until(self, last: int | None) -> list[int | None]:
        """What was told up to and with this."""
        told = []
        while True:
            told.append(self._told.get(timeout=HANG_S))
            if told[-1] == last:
                return told

    def close(self) -> None:
        self._monitor.close()
        self._context.close()


@pytest.fixture(scope="module")
def client(start_ioc: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BeamlineClient]:
    faults = tmp_path_factory.mktemp("faults") / "faults.yaml"
    faults.write_text(FAULTS, encoding="utf-8")
    ioc = start_ioc("--shape", "32,40", "--stack", "4", "--faults", faults, "--truth", faults.with_name("truth.npz"))
    client = BeamlineClient(ioc.prefix)
    yield client
    client.close()


@pytest.fixture
def frames(client: BeamlineClient) -> Iterator[Frames]:
    client.put("Pva1:EnableCallbacks", 1)
    frames = Frames(client.prefix)
    frames.until(int(client.get("Pva1:UniqueId_RBV")))  # the last old frame: it is connected
    yield frames
    frames.close()


def truth(client: BeamlineClient, folder: Path) -> dict[str, np.ndarray]:
    client.put("Sim:TruthFile", str(folder / "truth.npz"))
    client.put("Sim:SaveTruth", 1)
    with np.load(folder / "truth.npz") as archive:
        return {name: archive[name] for name in archive.files}


def test_faults_of_a_file_are_those_of_the_pvs_and_the_detector_ends_its_series_early(
    client: BeamlineClient, frames: Frames
):
    assert client.get("Sim:DropIds_RBV") == "3"
    client.acquire(20)
    assert frames.until(8) == [1, 2, 4, 5, 6, 7, 8]
    assert client.get("cam1:NumImagesCounter_RBV") == 8
    assert client.get("cam1:DetectorState_RBV") == "Idle"


def test_counter_begins_anew_in_mid_series_once(client: BeamlineClient, frames: Frames, tmp_path: Path):
    client.put_all(cam1__ArrayCounter=0, Sim__CounterReset="0@4", Sim__DropIds="", Sim__StopIds="")
    client.acquire(8)
    assert frames.until(5) == [1, 2, 3, 1, 2, 3, 4, 5]
    assert client.get("Sim:CounterReset_RBV") == ""
    exposed = truth(client, tmp_path)
    assert exposed["unique_id"][-8:].tolist() == [1, 2, 3, 1, 2, 3, 4, 5]
    assert np.diff(exposed["epoch"][-8:]).tolist() == [0, 0, 1, 0, 0, 0, 0]


@pytest.mark.further
def test_cut_connections_die_while_exposures_go_on_and_a_restart_brings_an_ioc_as_after_its_boot(
    client: BeamlineClient, frames: Frames, tmp_path: Path
):
    # Together, since clients look for a lost IOC every 10 s only.
    client.put_all(cam1__ArrayCounter=0, Sim__DropIds="", Sim__StopIds="", X=3.0)
    before = len(truth(client, tmp_path)["unique_id"])
    client.acquire(1)
    client.put_all(cam1__NumImages=10, cam1__AcquireTime=0.005)
    connections: queue.Queue[bool] = queue.Queue()
    client.pv("cam1:Acquire").connection_callbacks.append(lambda conn, **_: connections.put(conn))
    client.put_all(Sim__CutPva="1@3", Sim__CutCa="1@3", Sim__Restart="0.1@6")
    client.put("cam1:Acquire", 1, wait=False)
    assert connections.get(timeout=HANG_S) is False
    assert frames.until(None) == [1, 2, None]
    assert frames.until(0) == [0]  # it has no frame yet
    assert connections.get(timeout=HANG_S) is True

    client.wait_until(lambda: client.pv("cam1:ArrayCounter_RBV").connected)
    assert client.get("cam1:ArrayCounter_RBV") == 0
    assert client.get("cam1:ImageMode") == "Continuous"
    assert client.get("Pva1:EnableCallbacks") == "Disable"
    assert client.get("X.RBV") == 3.0
    assert client.get("Sim:Restart") == client.get("Sim:CutPva") == client.get("Sim:CutCa") == ""
    client.put("Pva1:EnableCallbacks", 1)
    client.acquire(2)
    assert frames.until(2) == [1, 2]
    exposed = truth(client, tmp_path)
    assert exposed["unique_id"][before:].tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert np.diff(exposed["epoch"][before:]).tolist() == [0, 0, 0, 0, 1, 0]
    assert exposed["sent_pva"][before:].tolist() == [1, 1, 0, 0, 0, 1, 1]
