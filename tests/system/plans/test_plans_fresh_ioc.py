"""The detector device on an IOC that was just started: plugins disabled, settings that cannot be put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import pytest
from beamline_client import BeamlineClient
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from limits import HANG_S

from ptychostream_devices import DetectorSetup, PtychoDetector

NO_FRAMES = '<?xml version="1.0"?><hdf5_layout><group name="entry"/></hdf5_layout>'


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--shape", "32,48", "--stack", "4")


@pytest.fixture
def fresh(ioc: Any, tmp_path: Path) -> Iterator[tuple[PtychoDetector, BeamlineClient]]:
    """A new device; the IOC is as it was started but for what no device can put back."""
    client = BeamlineClient(ioc.prefix)
    yield PtychoDetector(ioc.prefix, name="detector", write_path_template=str(tmp_path)), client
    client.close()


def count(detector: PtychoDetector, setup: DetectorSetup, n_points: int) -> None:
    detector.prepare(setup).wait(HANG_S)
    RunEngine({}, context_managers=[])(bp.count([detector], n_points))


def test_first_scan_ends_and_puts_back_what_can_be(fresh: Any, tmp_path: Path) -> None:
    detector, client = fresh
    count(detector, DetectorSetup(0.002, raw_name="first"), 3)
    assert detector._staged.value == "no"
    assert client.get("Pva1:ArrayCounter_RBV") == 3  # staging has enabled it
    assert client.get("Pva1:EnableCallbacks_RBV") == "Disable"
    assert client.get("HDF1:Capture_RBV") == "Done"
    assert client.get("HDF1:AutoIncrement_RBV") == "No"
    assert client.get("HDF1:NumFramesFlush_RBV") == 1  # its 0 of before is not taken: NumFramesChunks is 1 now
    with h5py.File(tmp_path / "first.h5") as file:
        assert len(file["/entry/data/data"]) == 3  # type: ignore[arg-type]


def test_raw_file_is_written_where_it_was_announced_whatever_day_it_is_by_then(fresh: Any, tmp_path: Path) -> None:
    detector, _ = fresh
    detector.hdf.write_path_template = detector.hdf.read_path_template = str(tmp_path / "%Y-%m-%d")
    setup = DetectorSetup(0.002, raw_name="late", moment=datetime(2026, 11, 28, 23, 59, 59))
    count(detector, setup, 1)
    path = tmp_path / "2026-11-28" / "late.h5"
    assert detector.raw_file(setup) == str(path) and path.exists()


def test_raw_file_without_a_frame_fails_the_scan_also_when_the_error_is_gone(fresh: Any) -> None:
    """Of two frames at a position the second sets WriteStatus to OK again."""
    detector, client = fresh
    client.put("HDF1:XMLFileName", NO_FRAMES)
    with pytest.raises(FailedStatus) as error:
        count(detector, DetectorSetup(0.002, frames_per_trigger=2, raw_name="none"), 1)
    client.put("HDF1:XMLFileName", "")
    assert "captured no frame" in str(error.value.__cause__)


def test_setting_that_is_refused_is_logged_and_the_others_are_put_back(
    fresh: Any, caplog: pytest.LogCaptureFixture
) -> None:
    detector, client = fresh
    detector.hdf.stage_sigs["num_row_chunks"] = 4
    detector.prepare(DetectorSetup(0.002, raw_name="refused")).wait(HANG_S)
    detector.stage()
    detector.hdf._original_vals[detector.hdf.num_row_chunks] = "no number"
    detector.pva._original_vals[detector.pva.port_name] = "read only"
    detector.unstage()
    told = [record.message for record in caplog.records if "does not take back" in record.message]
    assert len(told) == 2 and "HDF1:NumRowChunks" in told[0] and "'read only'" in told[1], told
    assert client.get("Pva1:EnableCallbacks_RBV") == "Disable"
    assert client.get("HDF1:Capture_RBV") == "Done"
    count(detector, DetectorSetup(0.002, raw_name="after"), 1)


def test_stage_that_fails_half_way_can_be_tried_again(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, client = fresh
    for broken in ("_dropped", "_set_attributes"):
        with monkeypatch.context() as patch, pytest.raises(TimeoutError, match=broken):
            patch.setattr(detector, broken, lambda broken=broken: raise_timeout(broken))
            count(detector, DetectorSetup(0.002, raw_name=f"{broken}_1"), 1)
        assert detector._staged.value == "no"
        assert client.get("HDF1:Capture_RBV") == "Done"
    count(detector, DetectorSetup(0.002, raw_name="again"), 1)


@pytest.mark.further
def test_detector_whose_ioc_is_gone_can_be_unstaged(fresh: Any, ioc: Any) -> None:
    """Last: the beamline is gone afterwards."""
    detector, client = fresh
    detector.prepare(DetectorSetup(0.002, raw_name="gone")).wait(HANG_S)
    detector.stage()
    ioc.stop()
    client.wait_until(lambda: not detector.cam.acquire.connected)
    detector.unstage()
    assert detector._staged.value == "no"
    assert {getattr(detector, name)._staged.value for name in detector._sub_devices} == {"no"}


def raise_timeout(words: str) -> None:
    raise TimeoutError(words)
