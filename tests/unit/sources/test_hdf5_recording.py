"""Recordings in HDF5 files that are closed: every layout, every unit, and what is wrong said in a sentence."""

from __future__ import annotations

import math
import re
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hdf5_trees import FRAMES, J_PER_EV, POSITIONS_M, N, cxi_tree, seed_tree, write_areadetector, write_tree
from hdf5_writer import SHAPE, attributes_of, nd_frame, pixels_of

from iocsim.detector.ntndarray import encode
from stream_service.core.frame import Frame, UnreadableFrame
from stream_service.core.pairing.rule import ChannelRule, How
from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording
from stream_service.sources.live.ntndarray import decode_ntndarray
from stream_service.testing.example_file import START_NS as EXAMPLE_START_NS
from stream_service.testing.example_file import write_example

DATA = Path(__file__).resolve().parents[2] / "data"
REAL_STEP, REAL_NOT_CLOSED = DATA / "real_step_default_layout.h5", DATA / "real_swmr_not_closed.h5"


def column_tree(columns: dict[str, tuple[Sequence[Any] | np.ndarray, dict[str, Any]]], n: int = N) -> dict[str, Any]:
    """A file of areaDetector's with these columns beside the ids; the name of a column is its dataset's."""
    columns = {"uid": (np.arange(1, n + 1, dtype=np.int32), {"NDAttrName": "NDArrayUniqueId"}), **columns}
    tree: dict[str, Any] = {"/scan/images": FRAMES[:n], "/scan/images@NDArrayNumDims": 2}
    for name, (values, attributes) in columns.items():
        tree[f"/scan/{name}"] = values
        tree |= {f"/scan/{name}@{key}": value for key, value in {"NDAttrName": name, **attributes}.items()}
    return tree


def read(path: Path, *arguments: Any, **options: Any) -> tuple[Hdf5Recording, list[Frame]]:
    """The recording, closed again, and all its frames."""
    with Hdf5Recording(path, *arguments, **options) as recording:
        frames = list(recording.frames())
        assert recording.n_frames == len(frames)
    return recording, frames


def channel(recording: Hdf5Recording, frames: list[Frame], name: str) -> np.ndarray:
    """A channel of each frame in SI, as pairing will find it."""
    (rule,) = (rule for rule in recording.rules if rule.name == name)
    return np.array([float(frame.attributes[rule.attribute]) * rule.scale for frame in frames])  # type: ignore[arg-type]


# --- areaDetector


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"swmr": True, "column_chunk": 1, "flush_every": 1},
        {"num_capture": N, "chunk_frames": 4},
        {"num_capture": N, "chunk_rows": 4, "chunk_columns": 3},
        {"filters": {"compression": "gzip"}},
        {"filters": dict(hdf5plugin.Bitshuffle()), "chunk_frames": 3},
        {"filters": dict(hdf5plugin.LZ4())},
        {"filters": dict(hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE)), "swmr": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["timeStamp", "dataTimeStamp"])
def test_recorded_frame_is_the_live_frame(tmp_path: Path, options: dict[str, Any], field: Any) -> None:
    recording, frames = read(write_areadetector(tmp_path / "scan.h5", **options), timestamp_field=field)
    assert recording.layout == "areaDetector (NDFileHDF5)"
    assert (recording.frame_shape, recording.dtype) == (SHAPE, np.uint16)
    assert (recording.first_unique_id, recording.has_timestamps, recording.is_on_sample) == (1, True, False)
    assert len(frames) == N
    for index, frame in enumerate(frames):
        live = decode_ntndarray(encode(nd_frame(index)), field)
        assert (frame.unique_id, frame.timestamp_ns) == (live.unique_id, live.timestamp_ns)
        assert frame.attributes == live.attributes == attributes_of(index)
        assert np.array_equal(frame.pixels, live.pixels) and frame.pixels.dtype == live.pixels.dtype
        types = {name: type(value) for name, value in live.attributes.items()}
        assert {name: type(value) for name, value in frame.attributes.items()} == types


def test_channels_with_a_stated_unit_are_found(tmp_path: Path) -> None:
    recording, frames = read(write_areadetector(tmp_path / "scan.h5"))
    assert recording.rules == (
        ChannelRule("x", How.ATTRIBUTE, "posx", 1e-6),
        ChannelRule("y", How.ATTRIBUTE, "posy", 1e-6),
        ChannelRule("energy", How.ATTRIBUTE, "energy", 1.0),
    )
    assert recording.exposure_attribute == "AcquireTime"
    assert "x is the NDAttribute 'posx' in um" in recording.notes
    assert np.array_equal(channel(recording, frames, "x"), 0.5 * np.arange(N) * 1e-6)


def test_real_file_of_a_step_scan_is_complete() -> None:
    recording, frames = read(REAL_STEP)
    assert (recording.layout, recording.n_expected, recording.first_unique_id) == ("areaDetector (NDFileHDF5)", 60, 1)
    assert recording.exposure_attribute == "AcqTime"
    with h5py.File(REAL_STEP) as file:
        columns = {name: column[()] for name, column in file["/entry/instrument/NDAttributes"].items()}
        pixels = file["/entry/data/data"][()]
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, pixels[index])
        assert frame.unique_id == columns["NDArrayUniqueId"][index]
        seconds = int(columns["NDArrayEpicsTSSec"][index]) + 631_152_000
        assert frame.timestamp_ns == seconds * 10**9 + int(columns["NDArrayEpicsTSnSec"][index])
        assert frame.attributes["posx"] == columns["posx"][index]
        assert frame.attributes["sampleName"] == "siemens_star"
        assert frame.attributes["NotThere"] is None, "a PV that was not connected, as a live frame says it"
        assert not any(name.startswith("NDArray") for name in frame.attributes)
    assert np.array_equal(channel(recording, frames, "x"), columns["posx"] * 1e-6)
    assert len({frame.pixels.tobytes() for frame in frames}) == 60


def test_real_file_that_was_not_closed_is_read_and_said_to_be() -> None:
    recording, frames = read(REAL_NOT_CLOSED)
    assert recording.n_frames == recording.n_expected == 150
    assert [frame.unique_id for frame in frames] == list(range(1, 151))
    assert any("was not closed" in note and "150 frames" in note for note in recording.notes)
    assert any("'sampleName' was recorded once for the whole scan: 'siemens_star'" in note for note in recording.notes)
    assert {frame.attributes["sampleName"] for frame in frames} == {"siemens_star"}
    with h5py.File(REAL_NOT_CLOSED, swmr=True) as file:
        assert np.array_equal(channel(recording, frames, "y"), file["/entry/scan/posy"][()] * 1e-6)
        assert np.array_equal([frame.pixels for frame in frames], file["/entry/data/data"][()])


@pytest.mark.parametrize("sample", [REAL_STEP, REAL_NOT_CLOSED], ids=lambda path: path.name)
def test_real_stamps_of_driver_and_epics_agree(sample: Path) -> None:
    _, by_epics = read(sample, timestamp_field="timeStamp")
    _, by_driver = read(sample, timestamp_field="dataTimeStamp")
    apart_ns = [one.timestamp_ns - other.timestamp_ns for one, other in zip(by_epics, by_driver, strict=True)]
    assert max(map(abs, apart_ns)) < 1_000_000 and any(apart_ns), "of two clocks, or rounded to a double"


def test_one_stamp_stands_in_for_the_other(tmp_path: Path) -> None:
    stamps_s = np.arange(N) + 1.1e9
    columns = {"ts": (stamps_s, {"NDAttrName": "NDArrayTimeStamp"})}
    recording, frames = read(write_tree(tmp_path / "scan.h5", column_tree(columns)))
    assert frames[2].timestamp_ns == (1_100_000_002 + 631_152_000) * 10**9
    assert any("timeStamp of the frames was not recorded" in note for note in recording.notes)


def test_without_stamps_frames_are_in_order_only(tmp_path: Path) -> None:
    recording, frames = read(write_tree(tmp_path / "scan.h5", column_tree({})))
    assert not recording.has_timestamps and {frame.timestamp_ns for frame in frames} == {0}
    assert [frame.unique_id for frame in frames] == list(range(1, N + 1))


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("posx", {"NDAttrDescription": b"scan x, um"}, ("x", "posx", 1e-6)),
        ("posx", {"NDAttrDescription": "sample position (mm)"}, ("x", "posx", 1e-3)),
        ("posx", {"NDAttrDescription": "x in micrometres", "units": "um"}, ("x", "posx", 1e-6)),
        ("posx", {"units": np.array([b"nm"])}, ("x", "posx", 1e-9)),
        ("posx_m", {}, ("x", "posx_m", 1.0)),
        ("SampleX", {"NDAttrDescription": "um"}, ("x", "SampleX", 1e-6)),
        ("px_um", {"NDAttrName": "STAGE_X"}, ("x", "STAGE_X", 1e-6)),
        ("posx", {"NDAttrDescription": "scan x"}, None),
        ("posx", {"units": "furlong"}, None),
        ("posx", {"NDAttrDescription": ""}, None),
        ("sideways", {"units": "um"}, None),
        ("ENERGY", {"units": "keV"}, ("energy", "ENERGY", 1e3)),
        ("energy_eV", {}, ("energy", "energy_eV", 1.0)),
        ("energy", {}, None),
        ("energy", {"units": "um"}, None),
    ],
)
def test_only_a_stated_unit_makes_a_channel(
    tmp_path: Path, name: str, attributes: dict[str, Any], expected: tuple[str, str, float] | None
) -> None:
    path = write_tree(tmp_path / "scan.h5", column_tree({name: (np.linspace(0, 1, N), attributes)}))
    recording, _ = read(path)
    wanted = () if expected is None else (ChannelRule(expected[0], How.ATTRIBUTE, expected[1], expected[2]),)
    assert recording.rules == wanted


def test_constants_of_a_layout_are_facts(tmp_path: Path) -> None:
    constants = {"/entry/det_dist_m": 0.25, "/entry/pixel_m": np.array([11e-6]), "/entry/energy_eV": 712.5}
    recording, _ = read(write_tree(tmp_path / "scan.h5", {**column_tree({}), **constants}))
    assert (recording.facts.det_dist_m, recording.facts.pixel_m) == (0.25, 11e-6)
    assert recording.facts.energy_eV == 712.5 and math.isnan(recording.facts.exposure_s)


def test_fewer_frames_than_numcapture_are_told(tmp_path: Path) -> None:
    recording, _ = read(write_areadetector(tmp_path / "scan.h5", num_capture=20))
    assert recording.n_expected == 20
    assert any(note == "7 frames are there; 20 were to be recorded" for note in recording.notes)
    assert read(write_areadetector(tmp_path / "endless.h5"))[0].n_expected is None


def test_a_file_of_a_single_frame_has_one(tmp_path: Path) -> None:
    recording, (frame,) = read(write_areadetector(tmp_path / "one.h5", 1, is_single=True))
    assert recording.frame_shape == SHAPE
    assert np.array_equal(frame.pixels, pixels_of(0)) and frame.attributes == attributes_of(0)


def test_a_capture_that_ended_before_the_first_frame_holds_none(tmp_path: Path) -> None:
    for options in ({}, {"swmr": True}):
        path = write_areadetector(tmp_path / f"{len(options)}.h5", 0, **options)
        with pytest.raises(SourceError, match="holds no frames"):
            Hdf5Recording(path)


def test_values_that_lack_at_the_end_leave_their_frames(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "scan.h5", column_tree({"posx": (np.arange(4.0), {"units": "um"})}))
    recording, frames = read(path)
    assert [frame.attributes for frame in frames] == [{"posx": n} for n in (0.0, 1.0, 2.0, 3.0)] + [{}] * 3
    assert any("the last 3 of 7 frames lack values" in note for note in recording.notes)


def test_more_values_than_frames_are_refused(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "scan.h5", column_tree({"posx": (np.arange(9.0), {"units": "um"})}))
    with pytest.raises(SourceError, match=r"7 frames but 9 values.*DimAttDatasets"):
        Hdf5Recording(path)


def test_rows_that_a_scan_by_index_never_reached_are_left_out(tmp_path: Path) -> None:
    """PositionMode with DimAttDatasets: frames and values stand by index; the earliest frame began the scan."""
    ids = np.array([3, 5, 8, 2, 0, 7, 4], np.int32)
    seconds = np.where(ids, 1_000_000_000 + ids, 0).astype(np.uint32)
    columns = {
        "uid": (ids, {"NDAttrName": "NDArrayUniqueId"}),
        "NDArrayEpicsTSSec": (seconds, {}),
        "NDArrayEpicsTSnSec": (np.zeros(N, np.uint32), {}),
    }
    recording, frames = read(write_tree(tmp_path / "scan.h5", column_tree(columns)))
    assert [frame.unique_id for frame in frames] == [3, 5, 8, 2, 7, 4]
    assert np.array_equal(frames[4].pixels, pixels_of(5))
    assert recording.first_unique_id == 2
    assert any("1 of 7 rows holds no frame, the first is row 4" in note for note in recording.notes)


def test_an_id_of_zero_is_an_id(tmp_path: Path) -> None:
    columns = {
        "uid": (np.arange(N, dtype=np.int32), {"NDAttrName": "NDArrayUniqueId"}),
        "NDArrayTimeStamp": (np.arange(N) + 1e9, {}),
    }
    recording, frames = read(write_tree(tmp_path / "scan.h5", column_tree(columns)))
    assert recording.first_unique_id == 0 and [frame.unique_id for frame in frames] == list(range(N))


def test_of_several_places_with_frames_one_is_to_be_named(tmp_path: Path) -> None:
    more = {"/dark/images": FRAMES[:2], "/dark/images@NDArrayNumDims": 2}
    path = write_tree(tmp_path / "scan.h5", {**column_tree({}), **more})
    with pytest.raises(SourceError, match="/dark/images, /scan/images: name one"):
        Hdf5Recording(path)
    assert len(read(path, Hdf5Paths(data="/scan/images"))[1]) == N


def test_a_compression_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_areadetector(tmp_path / "scan.h5", filters=dict(hdf5plugin.LZ4()))
    lz4, jpeg = (32004).to_bytes(2, "little"), (32019).to_bytes(2, "little")
    path.write_bytes(path.read_bytes().replace(lz4, jpeg))
    with pytest.raises(SourceError, match=r"HDF5 filter 32019.*install an HDF5 plugin"):
        Hdf5Recording(path)


# --- /entry


def test_seed_file_is_described_in_si(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2, 3] = 1
    dark = np.full(SHAPE, 5.0)
    recording, frames = read(write_tree(tmp_path / "seed.h5", seed_tree(mask=mask, dark=dark)))
    assert recording.layout == "the /entry schema"
    assert recording.is_on_sample and not recording.has_timestamps
    assert np.array_equal(channel(recording, frames, "x"), POSITIONS_M[:, 0])
    assert np.array_equal(channel(recording, frames, "y"), POSITIONS_M[:, 1])
    assert [frame.unique_id for frame in frames] == list(range(N)) and recording.first_unique_id == 0
    assert recording.facts.energy_eV == 710 and recording.facts.exposure_s == 0.02
    assert {rule.name for rule in recording.rules} == {"x", "y"} and recording.exposure_attribute == ""
    assert np.array_equal(recording.references["mask"], mask) and np.array_equal(recording.references["dark"], dark)
    assert np.array_equal([frame.pixels for frame in frames], FRAMES)


def test_energy_and_exposure_may_differ_from_frame_to_frame(tmp_path: Path) -> None:
    energy_keV = np.linspace(0.7, 0.8, N)
    tree = seed_tree(energy_eV=energy_keV, exposure_s=np.linspace(10, 20, N))
    tree |= {"/entry/energy_eV@units": "keV", "/entry/exposure_s@units": "ms"}
    recording, frames = read(write_tree(tmp_path / "seed.h5", tree))
    assert np.array_equal(channel(recording, frames, "energy"), energy_keV * 1e3)
    assert recording.exposure_attribute == "exposure"
    assert [frame.attributes["exposure"] for frame in frames] == (np.linspace(10, 20, N) * 1e-3).tolist()
    assert math.isnan(recording.facts.energy_eV) and math.isnan(recording.facts.exposure_s)


@pytest.mark.parametrize(
    ("tree", "factor"),
    [
        (seed_tree(pos=None, posx_m=POSITIONS_M[:, 0], posy_m=POSITIONS_M[:, 1]), 1),
        ({**seed_tree(), "/entry/pos@units": "um"}, 1e-6),
        ({**seed_tree(), "/entry/pos@units": b"mm"}, 1e-3),
        (seed_tree(pos=np.column_stack([POSITIONS_M, np.zeros(N)])), 1),
        (seed_tree(pos=POSITIONS_M.astype(">f8")), 1),
    ],
)
def test_positions_in_any_form_and_unit(tmp_path: Path, tree: dict[str, Any], factor: float) -> None:
    recording, frames = read(write_tree(tmp_path / "seed.h5", tree))
    for column, name in enumerate("xy"):
        assert np.array_equal(channel(recording, frames, name), POSITIONS_M[:, column] * factor)


def test_positions_of_float32_are_scaled_in_float64(tmp_path: Path) -> None:
    positions_um = (POSITIONS_M * 1e6).astype(np.float32)
    tree = {**seed_tree(pos=positions_um), "/entry/pos@units": "um"}
    recording, frames = read(write_tree(tmp_path / "seed.h5", tree))
    assert np.array_equal(channel(recording, frames, "x"), positions_um[:, 0].astype(np.float64) * 1e-6)


def test_standard_file_gives_its_frames_their_identity_again(tmp_path: Path) -> None:
    write_example(tmp_path / "std.h5", 9)
    recording, frames = read(tmp_path / "std.h5")
    assert recording.layout == "/entry (standard file)"
    assert [frame.unique_id for frame in frames] == list(range(1, 10)) and recording.first_unique_id == 1
    assert [frame.timestamp_ns for frame in frames] == [EXAMPLE_START_NS + n * 10_000_000 for n in range(1, 10)]
    assert recording.has_timestamps and recording.is_on_sample
    assert (recording.n_expected, recording.n_exposed) == (9, 9)
    assert channel(recording, frames, "energy").tolist() == [710.0 + 1e-3 * n for n in range(9)]
    assert [frame.attributes["exposure"] for frame in frames] == [0.01] * 9
    assert recording.facts.energy_eV == 710 and recording.facts.det_dist_m == 0.12
    assert set(recording.references) == {"mask"}, "dark and flat were applied"
    assert recording.axis_signs == (1, 1)


def test_rows_of_groups_are_frames_in_order(tmp_path: Path) -> None:
    write_example(tmp_path / "std.h5", 4, frames_per_row=3)
    recording, frames = read(tmp_path / "std.h5")
    assert [frame.unique_id for frame in frames] == [0, 1, 2, 3]
    assert (recording.has_timestamps, recording.n_expected, recording.n_exposed) == (False, None, None)


# --- CXI


@pytest.mark.parametrize(
    ("energy", "unit"),
    [(710 * J_PER_EV, None), (710 * J_PER_EV, "J"), (710.0, None), (710.0, "eV"), (0.71, "keV"), (0.71, "KEV")],
)
def test_cxi_energy_is_understood_in_any_unit(tmp_path: Path, energy: float, unit: str | None) -> None:
    tree = cxi_tree(**{"instrument_1/source_1/energy": energy})
    tree |= {"/entry_1/instrument_1/source_1/energy@units": unit} if unit else {}
    recording, frames = read(write_tree(tmp_path / "scan.cxi", tree))
    assert recording.layout == "CXI (/entry_1)"
    assert recording.facts.energy_eV == pytest.approx(710, rel=1e-12)
    assert recording.is_on_sample
    assert np.array_equal(channel(recording, frames, "x"), POSITIONS_M[:, 0]), "the beam, not the sample"
    assert np.array_equal([frame.pixels for frame in frames], FRAMES)


def test_cxi_values_may_differ_from_frame_to_frame(tmp_path: Path) -> None:
    energy_eV = np.linspace(700, 800, N)
    changes = {
        "instrument_1/source_1/energy": energy_eV * J_PER_EV,
        "instrument_1/detector_1/count_time": np.linspace(1, 2, N),
    }
    recording, frames = read(write_tree(tmp_path / "scan.cxi", cxi_tree(**changes)))
    assert channel(recording, frames, "energy") == pytest.approx(energy_eV, rel=1e-12)
    assert [frame.attributes["exposure"] for frame in frames] == np.linspace(1, 2, N).tolist()


@pytest.mark.parametrize(
    ("place", "dtype", "bad", "good"),
    [
        ("mask", np.uint32, 0x1004, 0x1000),
        ("mask", np.uint8, 1, 0),
        ("mask", np.bool_, True, False),
        ("mask", np.float32, 1.0, 0.0),
        ("mask", np.int16, -1, 0x1000),
        ("detectorSpecific/pixel_mask", np.uint32, 4, 0),
    ],
)
def test_cxi_mask_of_any_kind_says_which_pixels_are_bad(
    tmp_path: Path, place: str, dtype: Any, bad: Any, good: Any
) -> None:
    mask = np.full(SHAPE, good, dtype)
    mask[2, 3] = bad
    tree = cxi_tree(**{f"instrument_1/detector_1/{place}": mask})
    recording, _ = read(write_tree(tmp_path / "scan.cxi", tree))
    assert np.argwhere(recording.references["mask"]).tolist() == [[2, 3]]


@pytest.mark.parametrize("is_transposed", [False, True])
def test_cxi_basis_vectors_say_where_the_axes_point(tmp_path: Path, is_transposed: bool) -> None:
    vectors = np.array([[0, -75e-6, 0], [75e-6, 0, 0]])
    tree = cxi_tree(**{"instrument_1/detector_1/basis_vectors": vectors.T if is_transposed else vectors})
    assert read(write_tree(tmp_path / "scan.cxi", tree))[0].axis_signs == (-1, 1)


def test_cxi_positions_beside_the_data_are_found(tmp_path: Path) -> None:
    translation = np.column_stack([-POSITIONS_M, np.zeros(N)])
    tree = cxi_tree(**{"sample_1/geometry_1/translation": None, "data_1/translation": translation * 1e6})
    tree["/entry_1/data_1/translation@units"] = "um"
    recording, frames = read(write_tree(tmp_path / "scan.cxi", tree))
    assert channel(recording, frames, "y") == pytest.approx(POSITIONS_M[:, 1], rel=1e-12)


# --- paths that the operator names


def test_any_file_is_read_by_paths(tmp_path: Path) -> None:
    tree = {
        "/measurement/pilatus": FRAMES,
        "/positioners/sx": POSITIONS_M[:, 0] * 1e6,
        "/positioners/sy": POSITIONS_M[:, 1] * 1e3,
        "/positioners/sy@units": "mm",
        "/mono/energy": np.linspace(0.7, 0.8, N),
        "/mono/energy@units": "keV",
        "/counters/time": 0.1,
        "/counters/id": np.arange(50, 50 + N),
    }
    path = write_tree(tmp_path / "scan.h5", tree)
    with pytest.raises(SourceError, match=r"name the frames by --data-path: /measurement/pilatus"):
        Hdf5Recording(path)
    paths = Hdf5Paths(
        data="/measurement/pilatus",
        pos_x="/positioners/sx",
        pos_y="positioners/sy",
        pos_unit="um",
        energy="/mono/energy",
        exposure="/counters/time",
        unique_id="/counters/id",
    )
    recording, frames = read(path, paths)
    assert recording.layout == "unknown layout" and not recording.is_on_sample
    assert np.array_equal(channel(recording, frames, "x"), POSITIONS_M[:, 0] * 1e6 * 1e-6)
    assert channel(recording, frames, "y") == pytest.approx(POSITIONS_M[:, 1], rel=1e-12)
    assert channel(recording, frames, "energy") == pytest.approx(np.linspace(700, 800, N))
    assert recording.facts.exposure_s == 0.1
    assert [frame.unique_id for frame in frames] == list(range(50, 50 + N)) and recording.first_unique_id == 50


@pytest.mark.parametrize(
    ("tree", "other"),
    [(seed_tree(), "/entry/other"), (cxi_tree(), "/entry_1/other"), (column_tree({}), "/scan/other")],
    ids=["/entry", "CXI", "areaDetector"],
)
def test_paths_come_before_what_the_layout_says(tmp_path: Path, tree: dict[str, Any], other: str) -> None:
    positions = np.arange(2.0 * N).reshape(N, 2)
    recording, frames = read(write_tree(tmp_path / "scan.h5", {**tree, other: positions}), Hdf5Paths(pos=other))
    assert np.array_equal(channel(recording, frames, "y"), positions[:, 1])
    assert not recording.is_on_sample, "whose positions they are, only the operator knows"


def test_positions_are_not_given_twice(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "seed.h5", seed_tree())
    with pytest.raises(SourceError, match="not by both"):
        Hdf5Recording(path, Hdf5Paths(pos="/entry/pos", pos_x="/entry/pos"))


# --- links


def test_a_dataset_under_many_names_is_opened_once(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "seed.h5", seed_tree())
    with h5py.File(path, "a") as file:
        file["/entry/again"] = file["/entry/data"]
        file["/entry/self"] = file["/entry"]
        file["/entry/round"] = h5py.SoftLink("/entry/about")
        file["/entry/about"] = h5py.SoftLink("/entry/round")
        file["/entry/gone"] = h5py.SoftLink("/nowhere")
        file["/entry/soft"] = h5py.SoftLink("self/./again")
    for name in ("/entry/again", "/entry/self/self/data", "/entry/soft"):
        assert len(read(path, Hdf5Paths(data=name))[1]) == N
    for name in ("/entry/round", "/entry/gone", "/entry/data/data"):
        with pytest.raises(SourceError, match=f"has no dataset {name}"):
            Hdf5Recording(path, Hdf5Paths(data=name))


def test_frames_in_a_file_beside_are_read_and_others_are_not_reached(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    for folder, name in ((tmp_path, "../other.h5"), (tmp_path / "scan", "other.h5")):
        write_tree(folder / "other.h5", {"/frames": FRAMES})
        path = write_tree(tmp_path / "scan/seed.h5", seed_tree(data=h5py.ExternalLink(name, "/frames")))
        linked = refusal_or_frames(path)
        with h5py.File(path, "a") as file:
            del file["/entry/data"]
            layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
            layout[:] = h5py.VirtualSource(name, "/frames", FRAMES.shape)
            file.create_virtual_dataset("/entry/data", layout)
        virtual = refusal_or_frames(path)
        if folder == tmp_path:
            assert "/entry/data leads to ../other.h5" in linked and "outside of" in linked
            assert "/entry/data is a virtual dataset on ../other.h5" in virtual and "outside of" in virtual
        else:
            np.testing.assert_array_equal(linked, FRAMES)
            np.testing.assert_array_equal(virtual, FRAMES)


def refusal_or_frames(path: Path) -> Any:
    try:
        return np.stack([frame.pixels for frame in read(path)[1]])
    except SourceError as error:
        return str(error)


# --- what is wrong is a sentence


def _write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def _write_text(path: Path) -> None:
    path.write_text("frame_index,posx_m,posy_m\n" * 100)


def _write_half(path: Path) -> None:
    write_areadetector(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "there is no such file"),
        (Path.mkdir, "is a folder"),
        (_write_nothing, "is empty"),
        (_write_text, "is no HDF5 file"),
        (_write_half, "was not copied completely"),
    ],
)
def test_what_is_no_recording_is_said_so(tmp_path: Path, make: Callable[[Path], None], sentence: str) -> None:
    path = tmp_path / "scan.h5"
    make(path)
    with pytest.raises(SourceError, match=sentence) as caught:
        Hdf5Recording(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"/other": np.zeros(3)}, r"neither of areaDetector nor .* \(it holds: other\); it holds no frames"),
        ({}, "it holds: nothing"),
        (seed_tree(pos=None), "no positions: /entry/pos"),
        (seed_tree(pos=np.zeros((3, 2))), "holds 7 frames but 3 positions"),
        (seed_tree(pos=np.zeros(N)), "positions are .N, 2."),
        (seed_tree(pos=np.full((N, 2), b"here")), "positions are .N, 2."),
        (seed_tree(energy_eV=np.zeros(4)), "7 frames but 4 values of energy"),
        ({**seed_tree(), "/entry/pos@units": "inch"}, "has the unit 'inch'; it must be m, mm, um or nm"),
        (seed_tree(mask=np.zeros((2, 2))), r"/entry/mask has shape \(2, 2\)"),
        (seed_tree(data=np.zeros((N, 4))), "holds 1 frames but 7 positions"),
        (seed_tree(data=np.zeros((2, 3, 4, 5))), r"frames are \(N, y, x\)"),
        (seed_tree(data=np.zeros((N, 0, 5))), r"frames are \(N, y, x\)"),
        (seed_tree(data=np.zeros((0, 4, 5)), pos=np.zeros((0, 2))), "holds no frames"),
        (seed_tree(data=np.zeros((N, 4, 5), complex)), "frames are integers"),
        (seed_tree(data=np.full((N, 4, 5), b"pixel")), "frames are integers"),
        (seed_tree(data=np.zeros((N, 4, 5), np.float16)), "frames are integers"),
        ({"/entry_1/data_1/x": 1}, "no dataset /entry_1/instrument_1/detector_1/data"),
        (cxi_tree(**{"sample_1/geometry_1/translation": None}), "no positions: /entry_1/sample_1"),
        (cxi_tree(**{"instrument_1/detector_1/basis_vectors": np.zeros(3)}), "basis vectors are"),
        (column_tree({"uid": (np.arange(N) + 0.5, {"NDAttrName": "NDArrayUniqueId"})}), "uniqueId is one whole number"),
        (column_tree({"NDArrayTimeStamp": (np.full(N, np.nan), {})}), "frame 0 is stamped .* which cannot be"),
        (column_tree({"NDArrayTimeStamp": (np.full(N, 1e300), {})}), "frame 0 is stamped .* which cannot be"),
        (column_tree({"NDArrayTimeStamp": (np.full(N, b"noon"), {})}), "not a stamp for each frame"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, tree: dict[str, Any], sentence: str) -> None:
    path = write_tree(tmp_path / "scan.h5", tree)
    with pytest.raises(SourceError, match=sentence) as caught:
        Hdf5Recording(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("tree", "number", "sentence"),
    [
        (seed_tree(energy_eV=np.zeros((N, 2))), "energy_eV", "energy is one number, or one a frame"),
        ({**seed_tree(), "/entry/energy_eV@units": "cal"}, "energy_eV", "must be eV, keV or J"),
        ({**seed_tree(), "/entry/exposure_s@units": "h"}, "exposure_s", "it must be s, ms or us"),
        (
            {**cxi_tree(), "/entry_1/instrument_1/source_1/energy@units": "eV per photon"},
            "energy_eV",
            "must be eV, keV or J",
        ),
    ],
)
def test_a_number_that_cannot_be_read_is_a_problem_of_who_needs_it(
    tmp_path: Path, tree: dict[str, Any], number: str, sentence: str
) -> None:
    path = write_tree(tmp_path / "scan.h5", tree)
    with Hdf5Recording(path) as recording:
        assert re.search(sentence, recording.problems[number]) and str(path) in recording.problems[number]
        assert np.isnan(getattr(recording.facts, number))


@pytest.mark.parametrize(
    ("shape", "chunks", "sentence"),
    [
        ((4, 1 << 16, 1 << 16), (1, 64, 64), "exceeds the limit of 256"),
        ((20_000_000, 6, 8), (1000, 6, 8), "exceeds the limit of 10000000"),
        ((9_000_000, 6, 8), (1, 6, 8), "claims 9000000 chunks in a file of"),
        ((4, 8192, 8192), (1, 8, 8), "claims 4194304 chunks in a file of"),
        ((1, 4096, 4096), (1, 8, 8), "has 262144 chunks for each frame"),
        ((4000, 1024, 1024), (400, 1024, 1024), "chunks of 800 MiB"),
    ],
)
def test_a_file_that_claims_more_than_it_can_hold_is_refused(
    tmp_path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], sentence: str
) -> None:
    path = write_tree(tmp_path / "seed.h5", seed_tree(data=None))
    with h5py.File(path, "a") as file:
        file.create_dataset("/entry/data", shape, np.uint16, chunks=chunks)
        file["/room"] = np.zeros(3 << 20, np.uint8)
    with pytest.raises(SourceError, match=sentence):
        Hdf5Recording(path)


# --- reading in blocks


def test_frames_stay_valid_and_memory_small(tmp_path: Path) -> None:
    """60 MiB of frames in 40 frames; one at a time is kept, and the first of all."""
    shape, n = (1024, 768), 40
    with h5py.File(write_tree(tmp_path / "seed.h5", seed_tree(data=None, pos=np.zeros((n, 2)))), "a") as file:
        data = file.create_dataset("/entry/data", (n, *shape), np.uint16, chunks=(3, *shape), compression="lzf")
        for index in range(n):
            data[index] = index
    with Hdf5Recording(tmp_path / "seed.h5") as recording:
        tracemalloc.start()
        frames = recording.frames()
        first = next(frames)
        for index, frame in enumerate(frames, 1):
            assert frame.pixels.min() == frame.pixels.max() == index
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not first.pixels.any()
    assert peak_bytes < 20 << 20


def test_many_small_frames_keep_their_values(tmp_path: Path) -> None:
    """More than one window of values and many blocks of pixels, of chunks that divide neither."""
    n = 10_001
    pixels = np.arange(n * 6, dtype=np.uint32).reshape(n, 2, 3)
    tree = {"/entry/pos": np.column_stack([np.arange(n), -np.arange(n)]) * 1e-6, "/entry/energy_eV": np.arange(n) + 0.5}
    with h5py.File(write_tree(tmp_path / "seed.h5", tree), "a") as file:
        file.create_dataset("/entry/data", data=pixels, chunks=(7, 2, 3))
    recording, frames = read(tmp_path / "seed.h5")
    assert np.array_equal([frame.pixels for frame in frames], pixels)
    assert [frame.unique_id for frame in frames] == list(range(n))
    assert channel(recording, frames, "energy").tolist() == (np.arange(n) + 0.5).tolist()


def test_big_endian_frames_come_in_native_order(tmp_path: Path) -> None:
    recording, frames = read(write_tree(tmp_path / "seed.h5", seed_tree(data=FRAMES.astype(">u2"))))
    assert recording.dtype == np.uint16 and recording.dtype.isnative
    assert all(frame.pixels.dtype.isnative for frame in frames)
    assert np.array_equal([frame.pixels for frame in frames], FRAMES)


def test_unreadable_frames_are_named(tmp_path: Path) -> None:
    path = write_areadetector(tmp_path / "scan.h5", filters={"compression": "gzip"}, chunk_frames=1)
    with h5py.File(path) as file:
        chunk = file["/entry/data/data"].id.get_chunk_info(4)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.byte_offset : chunk.byte_offset + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    with Hdf5Recording(path) as recording:
        frames = list(recording.frames())
    (unreadable,) = [frame for frame in frames if isinstance(frame, UnreadableFrame)]
    assert "data, row 4, cannot be read" in unreadable.reason and frames[4] is unreadable
    assert [frame.unique_id for frame in frames] == list(range(1, 8))
