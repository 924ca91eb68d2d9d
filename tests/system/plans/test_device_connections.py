"""The service device connects each time, and is refused as fast the second time as the first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from subprocess import run
from typing import Any

import pytest
from limits import HANG_S
from rig import Rig, start_rig

from ptychostream_devices import StreamServiceDevice
from stream_service.settings.request import ScanRequest
from stream_service.testing.loopback import LoopbackEpics, process_environment

N_CONNECTIONS = 200
AT_ONCE = 2
CONNECT = """
import sys
from ptychostream_devices.service_pvs import EpicsServicePVs
EpicsServicePVs(sys.argv[1]).connect(5.0)
"""


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    ioc = start_ioc("--stack", "16")
    with closing(start_rig(ioc.prefix, epics, tmp_path_factory.mktemp("device"))) as rig:
        yield rig


def test_same_refusal_again_is_as_fast_as_the_first(rig: Rig) -> None:
    device = StreamServiceDevice(rig.service.prefix, name="stream")
    device.stage().wait(HANG_S)
    rig.beamline.put_all(cam1__ImageMode="Continuous", cam1__AcquireTime=0.01)
    rig.beamline.put("cam1:Acquire", 1, wait=False)
    rig.beamline.wait_for("cam1:Acquire_RBV", "Acquiring")
    took_s = []
    for _ in range(4):
        began_s = time.monotonic()
        error = device.prepare(ScanRequest(scan_id="same", n_positions=3)).exception(HANG_S)
        assert "already acquiring" in str(error)
        took_s.append(time.monotonic() - began_s)
    assert min(took_s[1:]) < 15  # the machine may be held up, but not each time
    rig.beamline.put("cam1:Acquire", 0)


@pytest.mark.long
def test_device_connects_every_time(rig: Rig, epics: LoopbackEpics) -> None:
    environment = process_environment(epics.client_environment())

    def connect(_: int) -> str:
        command = [sys.executable, "-c", CONNECT, rig.service.prefix]
        return run(command, env=environment, capture_output=True, text=True, check=False).stderr

    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(connect, range(N_CONNECTIONS)))
    assert [text for text in said if "Error" in text] == []
