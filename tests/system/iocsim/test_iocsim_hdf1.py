"""HDF1 of the simulated beamline by its PVs: what a plan sets, waits for and reads."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest
from beamline_client import BeamlineClient


@pytest.fixture(scope="module")
def client(start_ioc: Callable) -> Iterator[BeamlineClient]:
    client = BeamlineClient(start_ioc("--shape", "32,48", "--stack", "4", "--drop-ids", "2,3").prefix)
    yield client
    client.close()


@pytest.fixture
def beamline(client: BeamlineClient, tmp_path: Path) -> BeamlineClient:
    """The beamline of all tests, which counts its frames and files anew."""
    client.set_hdf1(
        tmp_path,
        template="%s%s_%3.3d.h5",
        cam1__ArrayCounter=0,
        HDF1__FileNumber=0,
        HDF1__SWMRMode="Off",
        HDF1__BlockingCallbacks="No",
        HDF1__AutoIncrement="Yes",
    )
    return client


def unique_ids(path: str | Path) -> list[int]:
    with h5py.File(path, "r") as file:
        return file["/entry/instrument/NDAttributes/NDArrayUniqueId"][:].tolist()


def test_frames_between_flushes_are_never_fewer_than_in_a_chunk(beamline: BeamlineClient):
    """The first test of all: a fresh IOC has 0 in both; the first file makes the chunk 1, and then 0 is not taken."""
    beamline.put("HDF1:NumFramesFlush", 1)
    beamline.put("HDF1:NumFramesFlush", 0)
    assert (beamline.get("HDF1:NumFramesFlush_RBV"), beamline.get("HDF1:NumFramesChunks_RBV")) == (0, 0)
    beamline.put("HDF1:NumCapture", 1)
    beamline.begin_capture()
    beamline.acquire(1)
    beamline.wait_for("HDF1:Capture_RBV", "Done")
    beamline.wait_for("HDF1:NumFramesChunks_RBV", 1)
    beamline.wait_for("HDF1:NumFramesFlush_RBV", 1)
    beamline.put("HDF1:NumFramesFlush", 0)
    assert (beamline.get("HDF1:NumFramesFlush"), beamline.get("HDF1:NumFramesFlush_RBV")) == (0, 1)


def test_a_stream_capture_from_arming_to_the_closed_file(beamline: BeamlineClient, tmp_path: Path):
    assert beamline.get("HDF1:FilePath_RBV") == f"{tmp_path}/"
    assert beamline.get("HDF1:FilePathExists_RBV") == "Yes"
    beamline.put_all(HDF1__NumCapture=5, HDF1__SWMRMode="On")
    beamline.begin_capture()
    assert beamline.get("HDF1:FullFileName_RBV") == ""
    assert beamline.get("HDF1:WriteMessage") == "Lazy Open..."

    beamline.acquire(4)
    beamline.wait_for("HDF1:FullFileName_RBV", f"{tmp_path}/scan_000.h5")  # its writer is a thread of its own
    assert beamline.get("HDF1:FileNumber_RBV") == 1
    beamline.wait_for("HDF1:SWMRActive_RBV", "Active")
    beamline.acquire(3)
    beamline.wait_for("HDF1:Capture_RBV", "Done")
    assert beamline.get("HDF1:NumCaptured_RBV") == 5
    assert beamline.get("HDF1:WriteStatus") == "Write OK"
    assert unique_ids(tmp_path / "scan_000.h5") == [1, 2, 3, 4, 5]  # also those that PVA lost


def test_put_callback_of_capture_comes_at_its_end(beamline: BeamlineClient):
    ended = []
    beamline.put("HDF1:NumCapture", 2)
    beamline.pv("HDF1:Capture").put(1, callback=lambda **_: ended.append(True))
    beamline.wait_for("HDF1:Capture_RBV", "Capturing")
    assert not ended
    beamline.acquire(2)
    beamline.wait_until(lambda: ended)
    assert beamline.get("HDF1:NumCaptured_RBV") == 2


def test_capture_zero_closes_an_endless_stream(beamline: BeamlineClient, tmp_path: Path):
    beamline.put("HDF1:BlockingCallbacks", "Yes")
    beamline.begin_capture()
    beamline.acquire(3)
    assert beamline.get("HDF1:NumCaptured_RBV") == 3
    beamline.put("HDF1:Capture", 0)
    assert beamline.get("HDF1:Capture_RBV") == "Done"
    assert unique_ids(tmp_path / "scan_000.h5") == [1, 2, 3]


def test_a_missing_folder_is_a_write_error_that_capture_zero_clears(beamline: BeamlineClient):
    beamline.put("HDF1:FilePath", "/no/such/folder")
    assert beamline.get("HDF1:FilePathExists_RBV") == "No"
    beamline.begin_capture()
    assert beamline.get("HDF1:WriteFile_RBV") == "Writing"
    beamline.acquire(1)
    beamline.wait_for("HDF1:WriteStatus", "Write error")
    assert beamline.get("HDF1:WriteMessage") == "Error opening file /no/such/folder/scan_000.h5, status=3"
    assert (beamline.get("HDF1:Capture_RBV"), beamline.get("HDF1:NumCaptured_RBV")) == ("Capturing", 0)
    beamline.put("HDF1:Capture", 0)
    assert (beamline.get("HDF1:WriteStatus"), beamline.get("HDF1:WriteMessage")) == ("Write OK", "")


def test_a_layout_that_is_not_there_is_said_to_be_invalid(beamline: BeamlineClient):
    beamline.put("HDF1:XMLFileName", "/some/layout.xml")
    assert beamline.get("HDF1:XMLValid_RBV") == "No"
    assert beamline.get("HDF1:XMLErrorMsg_RBV") == "XML description file cannot be opened"
    beamline.put("HDF1:XMLFileName", "")
    assert beamline.get("HDF1:XMLValid_RBV") == "Yes"
    assert beamline.get("HDF1:XMLErrorMsg_RBV") == "Default layout selected"


def test_settings_of_the_file_are_not_taken_while_it_is_open(beamline: BeamlineClient):
    beamline.begin_capture()
    beamline.acquire(1)
    beamline.wait_for("HDF1:NumCaptured_RBV", 1)
    beamline.put("HDF1:NumFramesChunks", 4)
    assert (beamline.get("HDF1:NumFramesChunks"), beamline.get("HDF1:NumFramesChunks_RBV")) == (4, 1)
    beamline.put("HDF1:Capture", 0)
    beamline.put("HDF1:NumFramesChunks", 4)
    assert beamline.get("HDF1:NumFramesChunks_RBV") == 4
    beamline.put("HDF1:NumFramesChunks", 1)


def test_arrays_that_find_the_queue_full_are_counted(beamline: BeamlineClient):
    size = beamline.get("HDF1:QueueSize")
    beamline.put("HDF1:QueueSize", 0)
    beamline.acquire(4)
    assert beamline.get("HDF1:DroppedArrays_RBV") == 4
    beamline.put("HDF1:QueueSize", size)


@pytest.mark.further
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_capture_leaves_a_closed_file(start_ioc: Callable, tmp_path: Path, how: int):
    ioc = start_ioc("--shape", "32,48", "--stack", "4", "--truth", tmp_path / "truth.npz")
    beamline = BeamlineClient(ioc.prefix)
    beamline.set_hdf1(
        tmp_path,
        "cut",
        "%s%s_%3.3d.h5",
        HDF1__SWMRMode="On",
        Pva1__EnableCallbacks=1,
        cam1__ImageMode="Continuous",
        cam1__AcquireTime=0.002,
    )
    beamline.put("HDF1:Capture", 1, wait=False)
    beamline.put("cam1:Acquire", 1, wait=False)
    beamline.wait_until(lambda: beamline.get("HDF1:NumCaptured_RBV") > 3)
    beamline.close()
    assert ioc.stop(signal.Signals(how)) == 0
    n_written = len(unique_ids(tmp_path / "cut_000.h5"))
    assert n_written > 3
    assert unique_ids(tmp_path / "cut_000.h5") == list(range(1, n_written + 1))
    assert (tmp_path / "truth.npz").exists()
