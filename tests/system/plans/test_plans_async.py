"""An ophyd-async detector beside the same service device: its layout survives, and its documents find every dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from rig import Rig, start_rig

from ptychostream_devices import LayoutError, RawFileLayout, StreamServiceDevice
from ptychostream_plans import stream_service_wrapper
from stream_service.settings.beamlines import layouts_folder
from stream_service.settings.request import ScanRequest
from stream_service.testing.loopback import LoopbackEpics

pytest.importorskip("ophyd_async", reason="pip install 'ptychostream[async]'")
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.epics.adsimdetector import SimDetector

from ptychostream_devices.async_detector import layout_writer

GAIN = 4  # of the sim profile: files have photons

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = start_rig(start_ioc("--shape", "32,48", "--stack", "4").prefix, epics, tmp_path_factory.mktemp("async"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def engine() -> RunEngine:
    return RunEngine({}, context_managers=[])


@pytest.fixture
def layout(rig: Rig, tmp_path: Path) -> RawFileLayout:
    """HERMES' layout for the NDAttributes of the simulated beamline."""
    text = (layouts_folder() / "hermes" / "beamline_cxi_layout.xml").read_text(encoding="utf-8")
    for theirs, ours in {"POSX": "posx", "POSY": "posy", "ENERGY": "energy", "EXPOSE": "AcquireTime"}.items():
        text = text.replace(f'ndattribute="{theirs}"', f'ndattribute="{ours}"')
    (tmp_path / "layout.xml").write_text(text, encoding="utf-8")
    return RawFileLayout.read(tmp_path / "layout.xml")


def detector(rig: Rig, layout: RawFileLayout) -> SimDetector:
    paths = StaticPathProvider(UUIDFilenameProvider(), rig.folder)
    with init_devices():
        camera = SimDetector(rig.beamline.prefix, layout_writer(paths, layout), name="camera")
    return camera  # noqa: RET504  (it is connected when the block ends)


@pytest.mark.further
def test_layout_survives_and_the_service_gets_every_frame(engine: RunEngine, rig: Rig, layout: RawFileLayout) -> None:
    rig.beamline.acquire(1)  # ophyd-async wants a detector that knows the shape of its frames
    camera = detector(rig, layout)
    stream = StreamServiceDevice(rig.service.prefix, name="stream")
    documents: list[tuple[str, dict[str, Any]]] = []

    def streamed() -> Any:
        yield from bps.prepare(camera, TriggerInfo(livetime=0.01), wait=True)
        request = ScanRequest(scan_id="async", n_positions=4, exposure_s=0.01)
        yield from bpp.stage_wrapper(stream_service_wrapper(bp.count([camera], 4), stream, request), [stream])

    engine(streamed(), lambda name, document: documents.append((name, document)))
    with rig.open("async") as file:
        assert (file["/entry/run/state"][()], len(file["/entry/data"])) == (b"COMPLETE", 4)
        frames = file["/entry/data"][()]
    resources = {d["data_key"]: d for name, d in documents if name == "stream_resource"}
    path = Path(resources["camera"]["uri"].removeprefix("file://localhost"))
    with h5py.File(path, swmr=True) as raw:
        for resource in resources.values():
            assert len(raw[resource["parameters"]["dataset"]]) == 4
        assert np.array_equal(raw["/entry/data/data"][()], GAIN * frames)
        assert raw["/entry/unique_id"].shape == (4,)
        assert raw["/entry_1/data_1/data"] == raw["/entry/data/data"]


@pytest.mark.further
def test_layout_that_the_ioc_does_not_find_is_an_error_before_the_first_frame(
    engine: RunEngine, rig: Rig, layout: RawFileLayout
) -> None:
    camera = detector(rig, layout)
    layout.path.unlink()
    with pytest.raises(Exception) as error:
        engine(bp.count([camera]))
    causes = [error.value, error.value.__cause__, getattr(error.value.__cause__, "__cause__", None)]
    assert any(isinstance(cause, LayoutError) for cause in causes), causes
    assert rig.beamline.get("HDF1:Capture_RBV") == "Done"
