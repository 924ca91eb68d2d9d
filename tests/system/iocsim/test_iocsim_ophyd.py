"""The stock ophyd classes of an areaDetector beamline, on the simulated one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import epics
import h5py
import numpy as np
import pytest
from beamline_client import BeamlineClient
from limits import HANG_S
from ophyd import Component, DetectorBase, EpicsMotor, SimDetectorCam, SingleTrigger
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34, PvaPlugin_V34, StatsPlugin_V34
from ophyd.areadetector.trigger_mixins import ADTriggerStatus

CHANNELS = (Path(__file__).parents[2] / "data" / "ophyd_channels_config.txt").read_text().split()


class Hdf5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
    """Files with asset documents."""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable) -> Any:
    return start_ioc("--shape", "32,48", "--stack", "8")


@pytest.fixture(scope="module")
def detector(ioc: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("raw")

    class Detector(SingleTrigger, DetectorBase):
        def _status_type(self, device: Any) -> ADTriggerStatus:
            """The stock `trigger` gives None if it is done before it has returned: the test waits for this one."""
            self.triggered = ADTriggerStatus(device)
            return self.triggered

        cam = Component(SimDetectorCam, "cam1:")
        hdf1 = Component(Hdf5, "HDF1:", write_path_template=f"{folder}/%Y/%m")
        pva1 = Component(PvaPlugin_V34, "Pva1:")
        stats1 = Component(StatsPlugin_V34, "Stats1:")

    device = Detector(ioc.prefix, name="detector")
    device.stats1.kind = device.stats1.total.kind = "hinted"
    device.wait_for_connection(timeout=HANG_S)
    yield device
    device.destroy()


@pytest.fixture
def client(ioc: Any) -> Iterator[BeamlineClient]:
    client = BeamlineClient(ioc.prefix)
    yield client
    client.close()


def test_every_channel_that_ophyd_connects_is_served(ioc: Any):
    names = [ioc.prefix + channel.removeprefix("13SIM1:") for channel in CHANNELS]
    pvs = [epics.PV(name, auto_monitor=False) for name in names]
    missing = [pv.pvname for pv in pvs if not pv.wait_for_connection(HANG_S)]
    for pv in pvs:
        pv.disconnect()
    assert missing == []
    assert ioc.n_pvs >= 400


def test_stock_detector_stages_triggers_reads_and_unstages(detector: Any, client: BeamlineClient):
    client.put("HDF1:CreateDirectory", -3)  # ophyd sets it too, but only after the path
    client.put("HDF1:EnableCallbacks", 1)
    client.acquire(1)  # ophyd wants a primed plugin; warmup() does the same in 3.4 s of sleeping
    client.wait_for("HDF1:ArraySize0_RBV", 48)
    detector.cam.num_images.set(3).wait(HANG_S)
    detector.cam.acquire_time.set(0.05).wait(HANG_S)

    detector.stage()
    readings = []
    for _ in range(2):
        detector.trigger()
        detector.triggered.wait(HANG_S)
        readings.append(detector.read())
    client.wait_for("HDF1:NumCaptured_RBV", 6)
    documents = list(detector.collect_asset_docs())
    configuration = detector.read_configuration()
    description = detector.hdf1.describe()["detector_image"]
    detector.unstage()

    assert readings[0]["detector_stats1_total"]["value"] > 0
    assert [name for name, _ in documents] == ["resource", "datum", "datum"]
    assert tuple(description["shape"]) == (3, 32, 48)
    assert configuration["detector_cam_acquire_time"]["value"] == 0.05
    resource = documents[0][1]
    with h5py.File(Path(resource["root"]) / resource["resource_path"]) as file:
        assert file["/entry/data/data"].shape == (6, 32, 48)
        total = float(np.sum(file["/entry/data/data"][-1], dtype=np.float64))
    assert readings[-1]["detector_stats1_total"]["value"] == total
    assert client.get("HDF1:Capture_RBV") == "Done"


def test_warmup_primes_the_file_plugin(detector: Any):
    detector.hdf1.warmup()
    assert tuple(detector.hdf1.array_size.get()) == (0, 32, 48)


def test_stock_motor_moves_reads_and_stops(ioc: Any):
    motor = EpicsMotor(f"{ioc.prefix}X", name="motor")
    motor.wait_for_connection(timeout=HANG_S)
    motor.set(12.5).wait(HANG_S)
    assert motor.position == 12.5
    assert motor.egu == "um"
    assert tuple(motor.limits) == (-5000.0, 5000.0)
    motor.set(12.5).wait(HANG_S)
    assert motor.read()["motor"]["value"] == 12.5
    motor.velocity.set(10.0).wait(HANG_S)
    status = motor.set(4000.0)
    motor.stop(success=True)
    status.wait(HANG_S)
    assert motor.position < 2000.0
    motor.velocity.set(2000.0).wait(HANG_S)
    motor.destroy()
