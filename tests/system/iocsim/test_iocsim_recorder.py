"""NDFileHDF5's files and modes, without EPICS; trees and values against recordings of the real plugin."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.hdf5.file import FileOptions
from iocsim.hdf5.layout import DefaultLayout
from iocsim.hdf5.names import file_name, make_folder
from iocsim.hdf5.recorder import Recorder
from iocsim.hdf5.settings import CaptureSettings, FileSettings, WriteMode
from iocsim.hdf5.xml import load_layout
from iocsim.hdf5.xml_layout import XmlLayout

RECORDED_TREE = (Path(__file__).parents[2] / "data" / "adcore_h5_tree_default.txt").read_text()
START_NS = 1_795_217_855_369_781_080
"""The timestamp of the first frame in the recorded file."""

ATTRIBUTES = (
    NDAttribute("ColorMode", 0, "Color mode", SourceType.DRIVER, "Driver"),
    NDAttribute("posx", 0.0, "scan x, um", SourceType.EPICS_PV, "13SIM1:posx"),
    NDAttribute("posy", 0.0, "scan y, um", SourceType.EPICS_PV, "13SIM1:posy"),
    NDAttribute("scanIndex", 99, "scan point index", SourceType.EPICS_PV, "13SIM1:scanIndex"),
    NDAttribute("sampleName", "siemens_star", "sample", SourceType.EPICS_PV, "13SIM1:sampleName"),
    NDAttribute("NotThere", None, "a disconnected PV", SourceType.EPICS_PV, "NO:SUCH:PV"),
    NDAttribute("AcqTime", 0.001, "acquire time", SourceType.PARAM, "ACQ_TIME"),
    NDAttribute("Beamline", "2-ID-X", "a constant", SourceType.CONSTANT, "2-ID-X"),
)


def frame(unique_id: int, shape: tuple[int, int] = (4, 6)) -> NDArray:
    return NDArray(np.full(shape, unique_id, np.uint16), unique_id, START_NS + unique_id - 1, ATTRIBUTES)


class Bench:
    """A recorder with settings that a test changes."""

    def __init__(self, folder: Path) -> None:
        self.capture = CaptureSettings(WriteMode.STREAM, num_capture=0, auto_save=False, lazy_open=True)
        self.file = FileSettings(f"{folder}/", "scan", "%s%s_%3.3d.h5", True, DefaultLayout(), FileOptions())
        self.n_changes = 0
        self.recorder = Recorder(lambda: self.capture, lambda: self.file, self._count)

    def _count(self) -> None:
        self.n_changes += 1

    def take(self, *unique_ids: int) -> None:
        for unique_id in unique_ids:
            self.recorder.take(frame(unique_id))

    def open(self, number: int = 0) -> h5py.File:
        return h5py.File(f"{self.file.folder}scan_{number:03d}.h5", "r")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tree(file: h5py.File) -> list[str]:
    """The tree in the words of the recording, without values, which differ."""
    lines: list[str] = []

    def attributes(item: h5py.Group | h5py.Dataset) -> None:
        lines.extend(f"    @{name} ({item.attrs.get_id(name).dtype})" for name in sorted(item.attrs))

    def walk(group: h5py.Group) -> None:
        for name in group:
            item = group[name]
            if item.name == "/entry/instrument/detector/data":
                continue  # the hard link: the recording shows each object once
            if isinstance(item, h5py.Group):
                lines.append(f"G {item.name}")
                attributes(item)
                walk(item)
            else:
                lines.append(
                    f"D {item.name} shape={item.shape} maxshape={item.maxshape} dtype={item.dtype} chunks={item.chunks}"
                )
                attributes(item)

    walk(file)
    return lines


def recorded_tree() -> list[str]:
    lines: list[str] = []
    missing = ("ArrayCounter", "I64", "I8", "Model", "Pi")
    keep = True
    for line in RECORDED_TREE.splitlines():
        if line.startswith(("G ", "D ")):
            keep = not line.split()[1].endswith(tuple(f"/{name}" for name in missing))
        if not keep:
            continue
        if line.startswith("    @"):
            name, dtype = re.fullmatch(r"    @(\w+) = .* \(([^()]+)\)", line).groups()  # type: ignore[union-attr]
            lines.append(f"    @{name} ({dtype})")
        else:
            lines.append(line.split(" filters=")[0])
    return lines


def test_file_has_the_tree_that_ndfilehdf5_writes(bench: Bench):
    bench.capture = replace(bench.capture, num_capture=100)
    bench.file = replace(bench.file, options=FileOptions(num_capture=100))
    bench.recorder.start()
    for unique_id in range(1, 101):
        bench.recorder.take(frame(unique_id, (256, 256)))
    with bench.open() as file:
        found, recorded = tree(file), recorded_tree()
        hostname = next(n for n, line in enumerate(recorded) if "@hostname" in line)
        assert found[hostname].startswith("    @hostname (|S")
        found[hostname] = recorded[hostname]  # the name of the machine has its own length
        assert len(recorded) > 60
        assert found == recorded
        assert file["/entry/instrument/detector/data"] == file["/entry/data/data"]


def test_values_are_those_of_the_frames_in_the_epics_epoch(bench: Bench):
    bench.recorder.start()
    bench.take(1, 2, 3)
    bench.recorder.stop()
    with bench.open() as file:
        columns = file["/entry/instrument/NDAttributes"]
        assert file["/entry/data/data"][:, 0, 0].tolist() == [1, 2, 3]
        assert columns["NDArrayUniqueId"][:].tolist() == [1, 2, 3]
        assert columns["NDArrayEpicsTSSec"][0] == 1164065855
        assert columns["NDArrayEpicsTSnSec"][:].tolist() == [369781080, 369781081, 369781082]
        assert columns["NDArrayTimeStamp"][0] == pytest.approx(1164065855.369781)
        assert columns["sampleName"][:].tolist() == [b"siemens_star"] * 3
        assert np.isnan(columns["NotThere"][:]).all()
        assert columns["NotThere"].attrs["NDAttrSourceType"] == b"NDAttrSourceEPICSPV"
        assert file["/entry/instrument/performance/timestamp"].shape == (3, 5)


def test_stream_ends_by_itself_at_num_capture(bench: Bench):
    bench.capture = replace(bench.capture, num_capture=3)
    bench.recorder.start()
    bench.take(1, 2, 3, 4)
    status = bench.recorder.status
    assert (status.is_capturing, status.n_captured, status.n_saved) == (False, 3, 3)
    with bench.open() as file:
        assert len(file["/entry/data/data"]) == 3


def test_lazy_open_names_the_file_at_the_first_frame(bench: Bench):
    bench.recorder.start()
    waiting = bench.recorder.status
    assert (waiting.is_capturing, waiting.full_file_name, waiting.message) == (True, "", "Lazy Open...")
    assert waiting.file_number == 0
    bench.take(1)
    opened = bench.recorder.status
    assert opened.full_file_name.endswith("/scan_000.h5")
    assert (opened.file_number, opened.message) == (1, "")
    bench.recorder.stop()


def test_without_lazy_open_capture_needs_a_frame_seen_before(bench: Bench):
    bench.capture = replace(bench.capture, lazy_open=False)
    bench.recorder.start()
    assert not bench.recorder.status.is_capturing
    bench.take(1)
    bench.recorder.start()
    assert bench.recorder.status.is_capturing
    assert bench.recorder.status.full_file_name.endswith("/scan_000.h5")
    bench.take(2, 3)
    bench.recorder.stop()
    with bench.open() as file:
        assert file["/entry/instrument/NDAttributes/NDArrayUniqueId"][:].tolist() == [2, 3]


def test_a_file_that_cannot_be_opened_is_an_error_until_capture_is_stopped(bench: Bench):
    bench.file = replace(bench.file, folder="/no/such/folder/")
    bench.recorder.start()
    bench.take(1)
    status = bench.recorder.status
    assert (status.is_capturing, status.has_failed, status.n_captured) == (True, True, 0)
    assert "/no/such/folder/scan_000.h5" in status.message
    bench.recorder.stop()
    assert (bench.recorder.status.has_failed, bench.recorder.status.message) == (False, "")


def test_with_lazy_open_each_frame_tries_to_open_the_file(bench: Bench, tmp_path: Path):
    bench.file = replace(bench.file, folder=f"{tmp_path}/later/", auto_increment=False)
    bench.recorder.start()
    bench.take(1, 2)
    assert bench.recorder.status.has_failed
    (tmp_path / "later").mkdir()
    bench.take(3)
    assert (bench.recorder.status.has_failed, bench.recorder.status.n_captured) == (False, 1)
    assert bench.recorder.status.n_saved == 3  # ArrayCounter counts the frames that came, as in the recording
    bench.recorder.stop()


def test_error_of_a_layout_without_frames_is_gone_at_the_next_frame(bench: Bench):
    """So a scan of several frames a point sees WriteStatus OK at the end, and NumCaptured 0."""
    bench.file = replace(bench.file, layout=XmlLayout(load_layout('<?xml version="1.0"?><hdf5_layout/>')))
    bench.recorder.start()
    bench.take(1)
    assert (bench.recorder.status.has_failed, bench.recorder.status.n_captured) == (True, 0)
    bench.take(2)
    assert (bench.recorder.status.has_failed, bench.recorder.status.n_captured) == (False, 0)
    assert bench.recorder.status.is_capturing


def test_a_frame_of_another_shape_is_refused_and_the_file_goes_on(bench: Bench):
    bench.recorder.start()
    bench.take(1)
    bench.recorder.take(frame(2, (8, 8)))
    assert (bench.recorder.status.message, bench.recorder.status.has_failed) == ("Invalid frame. Ignoring.", True)
    bench.take(3)
    assert (bench.recorder.status.message, bench.recorder.status.has_failed) == ("", False)
    bench.recorder.stop()
    with bench.open() as file:
        assert file["/entry/instrument/NDAttributes/NDArrayUniqueId"][:].tolist() == [1, 3]


def test_settings_that_are_not_simulated_fail_with_their_reason(bench: Bench):
    bench.file = replace(bench.file, refusal="PositionMode and extra dimensions are not simulated")
    bench.recorder.start()
    bench.take(1)
    assert bench.recorder.status.has_failed
    assert "PositionMode" in bench.recorder.status.message


def test_single_mode_writes_a_file_per_frame(bench: Bench):
    bench.capture = replace(bench.capture, mode=WriteMode.SINGLE, auto_save=True)
    bench.take(1, 2)
    for number, unique_id in ((0, 1), (1, 2)):
        with bench.open(number) as file:
            assert file["/entry/data/data"].shape == (4, 6)
            assert file["/entry/instrument/NDAttributes/NDArrayUniqueId"][:].tolist() == [unique_id]


def test_capture_mode_gathers_and_then_writes(bench: Bench):
    bench.take(1)
    bench.capture = CaptureSettings(WriteMode.CAPTURE, num_capture=2, auto_save=False, lazy_open=False)
    bench.recorder.start()
    bench.take(2, 3, 4)
    assert (bench.recorder.status.is_capturing, bench.recorder.status.n_captured) == (False, 2)
    bench.recorder.save()
    with bench.open() as file:
        assert file["/entry/instrument/NDAttributes/NDArrayUniqueId"][:].tolist() == [2, 3]


def test_swmr_reader_sees_images_at_once_and_columns_chunk_by_chunk(bench: Bench):
    bench.file = replace(bench.file, options=FileOptions(swmr=True, column_chunk=4))
    bench.recorder.start()
    bench.take(*range(1, 7))
    path = bench.recorder.status.full_file_name
    with h5py.File(path, "r", swmr=True) as reader:
        images, ids = reader["/entry/data/data"], reader["/entry/instrument/NDAttributes/NDArrayUniqueId"]
        assert (len(images), ids[:].tolist()) == (6, [1, 2, 3, 4])
        bench.recorder.flush()
        ids.refresh()
        assert ids[:].tolist() == [1, 2, 3, 4, 5, 6]
        bench.take(7, 8)
        ids.refresh()
        assert ids[:].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert bench.recorder.status.is_swmr_active
    bench.recorder.stop()
    assert not bench.recorder.status.is_swmr_active
    with bench.open() as file:
        assert len(file["/entry/data/data"]) == 8


@pytest.mark.further(but=1)
@pytest.mark.parametrize("options", [FileOptions(chunk_frames=3), FileOptions(chunk_rows=2, chunk_columns=3)])
def test_other_chunks_hold_the_same_frames(bench: Bench, options: FileOptions):
    bench.file = replace(bench.file, options=options)
    bench.recorder.start()
    bench.take(1, 2, 3, 4)
    bench.recorder.stop()
    with bench.open() as file:
        assert file["/entry/data/data"][:, 3, 5].tolist() == [1, 2, 3, 4]
        assert file["/entry/data/data"].chunks == ((3, 4, 6) if options.chunk_frames else (1, 2, 3))


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("template", "name"),
    [("%s%s_%6.6d.h5", "/d/a_000012.h5"), ("%s%s.h5", "/d/a.h5"), ("%s%s_%d.h5", "/d/a_12.h5")],
)
def test_file_template_is_a_c_format(template: str, name: str):
    assert file_name(template, "/d/", "a", 12) == name


@pytest.mark.further(but=1)
@pytest.mark.parametrize("template", ["%s%s%d%d", "%s%q", "plain"])
def test_a_template_that_fits_nothing_is_an_error(template: str):
    with pytest.raises(ValueError, match="template"):
        file_name(template, "/d/", "a", 12)


def test_folders_are_made_as_far_as_create_directory_allows(tmp_path: Path):
    assert not make_folder(f"{tmp_path}/a/b/", 0)
    assert not make_folder(f"{tmp_path}/a/b/", -1)
    assert make_folder(f"{tmp_path}/a/b/", -2)
    assert make_folder(f"{tmp_path}/c/", 1)
