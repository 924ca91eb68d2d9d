"""A scan through bluesky's TiledWriter: the standardized frames come back out of tiled as they are in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from limits import HANG_S
from rig import Rig, start_rig

from ptychostream_devices import Monochromator, PtychoDetector, ScanStage, StreamServiceDevice
from ptychostream_plans import ptycho_fermat
from stream_service.testing.loopback import LoopbackEpics

pytest.importorskip("tiled.server", reason="tiled is not installed: pip install 'ptychostream[tiled]'")
# what tiled's own dependencies warn about is not ours to mend
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = start_rig(start_ioc("--shape", "32,40").prefix, epics, tmp_path_factory.mktemp("tiled"))
    yield running
    running.close()


@pytest.fixture
def client(rig: Rig, tmp_path: Path) -> Iterator[Any]:
    from tiled.catalog import in_memory
    from tiled.client import Context, from_context
    from tiled.server.app import build_app

    catalog = in_memory(
        readable_storage=[str(rig.folder)],
        writable_storage=[f"file://localhost{tmp_path}", f"sqlite:///{tmp_path}/t.db"],
    )
    with Context.from_app(build_app(catalog)) as context:
        yield from_context(context)


@pytest.mark.further
def test_frames_come_back_equal(rig: Rig, client: Any) -> None:
    from bluesky.callbacks.tiled_writer import TiledWriter

    prefix = rig.beamline.prefix
    detector = PtychoDetector(prefix, name="detector", write_path_template=str(rig.folder))
    stage = ScanStage(prefix, name="stage")
    energy = Monochromator(f"{prefix}Energy", name="energy")
    stream = StreamServiceDevice(rig.service.prefix, name="stream")
    for device in (stage, energy):
        device.wait_for_connection(timeout=HANG_S)
    engine = RunEngine({}, context_managers=[])
    (uid,) = engine(
        ptycho_fermat(
            detector, stage, stream, n_points=5, step_m=0.2e-6, exposure_s=0.01, energy=energy, scan_id="tiled"
        ),
        TiledWriter(client),
    )
    run = client[uid]
    with rig.open("tiled") as file:
        frames = file["/entry/data"][()]
    assert len(frames) == 5
    assert np.array_equal(run["stream_rows"]["stream_data"].read(), frames)
    assert run.metadata["start"]["ptychostream"]["scan_id"] == "tiled"
