"""HDF1 that goes wrong on command, as a real NDFileHDF5 does; without EPICS."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.hdf5.faults import DAY_NS, Hdf5Faults
from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout
from iocsim.hdf5.recorder import Recorder
from iocsim.hdf5.settings import CaptureSettings, FileSettings, WriteMode

IDS = "/entry/instrument/NDAttributes/NDArrayUniqueId"
STAMPS = "/entry/instrument/NDAttributes/NDArrayEpicsTSSec"
DATA = "/entry/data/data"
ATTRIBUTES = (NDAttribute("posx", 1.0, "stage x, um", SourceType.EPICS_PV, "SIM:X.RBV"),)


def frame(unique_id: int, place: int = 0) -> NDArray:
    attributes = (*ATTRIBUTES, NDAttribute("place", place, "index of the image", SourceType.PARAM, "PLACE"))
    return NDArray(np.full((4, 6), unique_id, np.uint16), unique_id, time.time_ns(), attributes)


class Hdf1:
    """A recorder that captures lazily into `scan.h5`."""

    def __init__(self, folder: Path, faults: Hdf5Faults, *, num_capture: int = 0, **options: Any) -> None:
        self.path = folder / "scan.h5"
        file_options = FileOptions(num_capture=num_capture, **{"column_chunk": 1, "flush_every": 1} | options)
        capture = CaptureSettings(WriteMode.STREAM, num_capture=num_capture, auto_save=False, lazy_open=True)
        file = FileSettings(f"{folder}/", "scan", "%s%s.h5", False, DefaultLayout(), file_options)
        self.recorder = Recorder(lambda: capture, lambda: file, lambda: None, lambda: faults, lambda: frame(0))
        self.recorder.start()

    def take(self, unique_ids: Iterable[int]) -> list[tuple[bool, bool]]:
        """Whether it captured, and whether WriteStatus was an error, after each frame."""
        seen = []
        for unique_id in unique_ids:
            self.recorder.take(frame(unique_id))
            seen.append((self.recorder.status.is_capturing, self.recorder.status.has_failed))
        return seen


def test_refused_frame_is_missing_and_its_error_is_gone_with_the_next(tmp_path: Path):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(refuse_ids=frozenset({2})))
    assert hdf1.take(range(1, 5)) == [(True, False), (True, True), (True, False), (True, False)]
    hdf1.recorder.stop()
    with h5py.File(hdf1.path) as file:
        assert file[IDS][()].tolist() == [1, 3, 4]
        assert file[DATA][:, 0, 0].tolist() == [1, 3, 4]


@pytest.mark.parametrize("num_capture", [2, 0])
def test_capture_is_done_once_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_capture: int
) -> None:
    hdf1, close = Hdf1(tmp_path, Hdf5Faults(), num_capture=num_capture), NDFile.close
    seen = []

    def look_and_close(file: NDFile) -> None:
        seen.append(hdf1.recorder.status.is_capturing)
        close(file)

    monkeypatch.setattr(NDFile, "close", look_and_close)
    hdf1.take([1, 2])
    hdf1.recorder.stop()
    assert seen == [True] and not hdf1.recorder.status.is_capturing


def test_failed_write_ends_the_capture_with_an_empty_frame_and_without_the_columns_that_waited(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(fail_ids=frozenset({5})), column_chunk=3)
    assert hdf1.take(range(1, 8))[3:] == [(True, False), (False, True), (False, True), (False, True)]
    assert hdf1.recorder.status.message == "Error writing file, status=3"
    assert hdf1.recorder.status.n_captured == 4
    assert "No space left" in capfd.readouterr().err
    with h5py.File(hdf1.path) as file:
        assert file[DATA][:, 0, 0].tolist() == [1, 2, 3, 4, 0]
        assert file[IDS][()].tolist() == [1, 2, 3]


def test_no_file_is_opened_by_a_frame_at_which_the_disk_fails_but_by_the_next(tmp_path: Path):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(fail_ids=frozenset({1})))
    assert hdf1.take([1, 2]) == [(True, True), (True, False)]
    hdf1.recorder.stop()
    with h5py.File(hdf1.path) as file:
        assert file[IDS][()].tolist() == [2]


def test_old_file_lies_in_the_way_until_the_first_frame(tmp_path: Path):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(old_frames=3))
    yesterday_s = (time.time_ns() - DAY_NS) / 1e9 - 631152000
    with h5py.File(hdf1.path) as file:
        assert file[IDS][()].tolist() == [1, 2, 3]
        assert file[DATA].shape == (3, 4, 6)
        assert file[STAMPS][()] == pytest.approx(yesterday_s, abs=3600)
    hdf1.take([1])
    hdf1.recorder.stop()
    with h5py.File(hdf1.path) as file:
        assert file[IDS][()].tolist() == [1]
        assert file[STAMPS][0] > yesterday_s + 3600


@pytest.mark.parametrize("swmr", [True, False])
def test_file_of_an_ioc_that_dies_is_not_closed(tmp_path: Path, swmr: bool):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(), swmr=swmr, column_chunk=2)
    hdf1.take(range(1, 6))
    hdf1.recorder.abandon()
    assert not hdf1.recorder.status.is_capturing
    if swmr:
        with pytest.raises(OSError, match="already open"):
            h5py.File(hdf1.path)
        with h5py.File(hdf1.path, swmr=True) as file:
            assert file[IDS][()].tolist() == [1, 2, 3, 4]
            assert file[DATA].shape[0] == 5
    else:
        with pytest.raises(OSError, match=r"."), h5py.File(hdf1.path) as file:
            file[IDS][()]


def test_images_by_index_leave_holes_and_overwrite_while_columns_stay_in_the_order_of_arrival(tmp_path: Path):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(), position_name="place", num_capture=6)
    for unique_id, place in ((1, 4), (2, 0), (3, 2), (4, 0)):
        hdf1.recorder.take(frame(unique_id, place))
    hdf1.recorder.take(frame(5, 6))
    assert hdf1.recorder.status.has_failed and not hdf1.recorder.status.is_capturing
    assert hdf1.recorder.has_misplaced
    with h5py.File(hdf1.path) as file:
        assert file[DATA][:, 0, 0].tolist() == [4, 0, 3, 0, 1]
        assert file[IDS][()].tolist() == [1, 2, 3, 4]


def test_reader_of_a_growing_file_sees_images_and_an_id_of_0_until_a_chunk_of_columns_is_full(tmp_path: Path):
    hdf1 = Hdf1(tmp_path, Hdf5Faults(), swmr=True, column_chunk=4)
    hdf1.take(range(1, 4))
    with h5py.File(hdf1.path, swmr=True) as file:
        assert file[DATA].shape[0] == 3
        assert file[IDS][()].tolist() == [0]
        hdf1.take([4, 5])
        file[DATA].refresh()
        file[IDS].refresh()
        assert file[DATA].shape[0] == 5
        assert file[IDS][()].tolist() == [1, 2, 3, 4]
        hdf1.recorder.flush()
        file[IDS].refresh()
        assert file[IDS][()].tolist() == [1, 2, 3, 4, 5]
    hdf1.recorder.stop()
