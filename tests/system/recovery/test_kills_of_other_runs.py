"""SIGKILL of services in other situations than a plain scan: another transport, high rates, its end, two services.

Expected rows are those of the simulated beamline's own record; what was lost while nobody listened is in the raw file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from limits import HANG_S
from rig import Rig, start_rig
from transports import profile_of

from stream_service.standard_file.rules.validate import validate_file
from stream_service.testing.loopback import LoopbackEpics, free_port

pytestmark = [pytest.mark.recovery, pytest.mark.long]

SHAPE = (128, 128)
FETCHED = {"service": {"drain_s": 2.0}, "raw_file": {"timeout_s": 10.0, "plugin": ""}}
BY_ATTRIBUTE = {name: {"how": "attribute", "attribute": f"pos{name}", "pv": "", "unit": "um"} for name in ("x", "y")}


@pytest.fixture(scope="module")
def zmq_address() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any], zmq_address: str) -> Any:
    return start_ioc("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--zmq", f"{zmq_address} PUB")


@pytest.fixture
def rig(ioc: Any, epics: LoopbackEpics, tmp_path: Path) -> Iterator[Rig]:
    sections = {"detector": {"sensor_shape": list(SHAPE)}, "channels": BY_ATTRIBUTE}
    with closing(start_rig(ioc.prefix, epics, tmp_path, **FETCHED, **sections)) as rig:
        yield rig


def begin_exposing(rig: Rig, n: int, period_s: float) -> None:
    rig.beamline.put_all(
        cam1__ImageMode="Multiple", cam1__NumImages=n, cam1__AcquireTime=period_s / 2, cam1__AcquirePeriod=period_s
    )
    rig.beamline.put("cam1:Acquire", 1, wait=False)


def wait_for_idle(rig: Rig) -> None:
    rig.beamline.wait_for("cam1:Acquire_RBV", "Done")


def check_whole(rig: Rig, scan_id: str, before: int, n: int) -> None:
    """The run is complete, every frame is there once, where it was taken; nothing is left beside the file."""
    state, message = rig.wait_for_end(), rig.service.get("Message")
    assert (rig.service.get("ScanId"), state) == (scan_id, "COMPLETE"), message
    truth = rig.truth()
    place_of = {int(unique_id): place for place, unique_id in enumerate(truth["unique_id"])}
    with rig.open(scan_id) as file:
        ids, keep = file["/entry/frames/unique_id"][()].reshape(-1), file["/entry/keep"][()]
        used = np.flatnonzero(keep == 1) if n < len(ids) else np.arange(len(ids))
        assert sorted(ids[used].tolist()) == list(range(before + 1, before + n + 1)), message
        places = [place_of[unique_id] for unique_id in ids.tolist()]
        np.testing.assert_allclose(file["/entry/posx_m"][()], truth["x_m"][places], atol=2e-9)
        assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == []
    rig.service.wait_until(lambda: not list(rig.folder.glob(".ptychostream/*/*.jsonl")))
    assert not list(rig.folder.glob(f"{scan_id}_std_interrupted_*"))


def test_frames_over_adzmq(ioc: Any, epics: LoopbackEpics, zmq_address: str, tmp_path: Path) -> None:
    n = 60
    sections = profile_of("adzmq", ioc.prefix, SHAPE, connect=zmq_address)
    sections["channels"] = BY_ATTRIBUTE
    with closing(start_rig(ioc.prefix, epics, tmp_path, **FETCHED, **sections)) as rig:
        rig.beamline.put("ZMQ1:EnableCallbacks", 1)
        raw, before = rig.record("zmq", n), rig.counter()
        assert rig.arm("zmq", n_positions=n, raw_file=str(raw)) == ""
        begin_exposing(rig, n, 0.1)
        rig.service.wait_until(lambda: rig.service.get("Rows") > n // 4)
        rig.kill_and_start_again()
        wait_for_idle(rig)
        check_whole(rig, "zmq", before, n)
        rig.beamline.put("ZMQ1:EnableCallbacks", 0)


@pytest.mark.parametrize("n_kills", [1, 3])
def test_a_thousand_frames_a_second(rig: Rig, n_kills: int) -> None:
    """As fast as the simulated detector and its file can; killed as soon as it receives, again while it salvages."""
    n, scan_id = 4000, f"fast{n_kills}"
    raw, before = rig.record(scan_id, n, column_chunk=100), rig.counter()
    assert rig.arm(scan_id, n_positions=n, raw_file=str(raw)) == ""
    begin_exposing(rig, n, 0.001)
    for _ in range(n_kills):
        rig.service.wait_until(lambda: rig.service.get("Rows") > 0)
        rig.kill_and_start_again()
    wait_for_idle(rig)
    rig.service.wait_for("Resuming", 0)
    rig.service.put("Stop", 1, wait=False)
    check_whole(rig, scan_id, before, n)


def test_end_of_a_run_is_told_by_the_service_that_is_started_again(rig: Rig) -> None:
    assert rig.arm("ended", n_positions=3) == ""
    rig.beamline.acquire(3)
    names = ("ScanId", "RunNumber", "State", "FramesStored", "Rows", "Message", "EndReason", "File")
    assert rig.wait_for_end() == "COMPLETE"
    told = [rig.service.get(name) for name in names]
    rig.kill_and_start_again()
    assert [rig.service.get(name) for name in names] == told and rig.service.get("Health") == "READY"
    assert rig.arm("next", n_positions=1) == "" and rig.service.get("RunNumber") == told[1] + 1
    rig.service.put("Abort", 1)


def test_two_services_with_one_data_root(ioc: Any, epics: LoopbackEpics, tmp_path: Path) -> None:
    """Both are killed at once; each goes on with its own run."""
    n, root, rigs = 20, tmp_path / "data", {}
    root.mkdir()
    for server, service in (("service", "one"), ("adzmq", "two")):
        (tmp_path / service).mkdir()
        sections = {"detector": {"sensor_shape": list(SHAPE)}, "channels": BY_ATTRIBUTE}
        sections |= {"service": {"data_root": str(root), "drain_s": 2.0}}
        rigs[service] = start_rig(ioc.prefix, epics, tmp_path / service, server=server, **sections)
    before = rigs["one"].counter()
    for name, rig in rigs.items():
        assert rig.arm(f"scan_{name}", n_positions=n) == ""
    rigs["one"].beamline.acquire(n // 2)
    for rig in rigs.values():
        rig.service.wait_for("Rows", n // 2)
    for rig in rigs.values():
        rig.kill()
    for rig in rigs.values():
        rig.launch()
    for rig in rigs.values():
        rig.child.wait_for("ready", HANG_S)
        rig.service.wait_for("Resuming", 0)
    rigs["one"].beamline.acquire(n - n // 2)
    for name, rig in rigs.items():
        rig.folder = root
        check_whole(rig, f"scan_{name}", before, n)
        rig.close()
