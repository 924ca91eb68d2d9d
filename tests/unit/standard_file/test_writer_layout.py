"""Content of a standard file before its first row, and that it stays so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import END_STATES, RunState
from stream_service.standard_file import ChannelColumn, StandardFile
from stream_service.standard_file.schema import codes
from stream_service.testing.example_file import example_header, write_example

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "file-format.md"


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example_std.h5"
    write_example(path, 25)
    with h5py.File(path, "r") as file:
        yield file


def members(file):
    """Every path of every dataset, links included."""
    found = []

    def walk(group, prefix):
        for name in group:
            member = group[name]
            if isinstance(member, h5py.Group):
                walk(member, f"{prefix}/{name}")
            else:
                found.append(f"{prefix}/{name}")

    walk(file, "")
    return found


def test_codes_are_those_of_core():
    assert {status.value: status.name.lower() for status in FrameStatus} == codes.STATUS_CODES
    assert {flag.value: flag.name.lower() for flag in Flag if flag} == codes.FLAG_CODES
    assert set(codes.RUN_STATES) == set(RunState)
    assert set(codes.END_STATES) == END_STATES


def test_both_halves_share_their_bytes(example):
    detector = example["/entry_1/instrument_1/detector_1"]
    for ours, theirs in (
        ("data", "data"),
        ("mask", "mask"),
        ("det_dist_m", "distance"),
        ("pixel_m", "x_pixel_size"),
        ("pixel_m", "y_pixel_size"),
    ):
        assert example[f"/entry/{ours}"] == detector[theirs]
    assert detector["translation"] == example["/entry_1/sample_1/geometry_1/translation"]
    for name in ("data", "translation"):
        link = example["/entry_1/data_1"].get(name, getlink=True)
        assert isinstance(link, h5py.SoftLink)
        assert example["/entry_1/data_1"][name] == detector[name]


def test_translation_is_minus_the_beam_position(example):
    pos = example["/entry/pos"][()]
    translation = example["/entry_1/sample_1/geometry_1/translation"][()]
    assert np.array_equal(translation[:, :2], -pos)
    assert not translation[:, 2].any()
    assert not np.signbit(translation[0, :2]).any(), "a position of 0 gives 0, not -0"


def test_energy_is_in_joules_where_cxi_wants_joules(example):
    source = example["/entry_1/instrument_1/source_1/energy"]
    assert source.attrs["units"] == "J"
    assert source[()] == pytest.approx(710.0 * 1.602176634e-19)
    beam = example["/entry_1/instrument_1/beam_1/incident_beam_energy"]
    assert (beam[()], beam.attrs["units"]) == (710.0, "eV")


def test_scalars_for_ptypy_have_one_number(example):
    for name in ("energy_eV", "det_dist_m", "pixel_m", "exposure_s"):
        assert example[f"/entry/{name}"].shape == ()


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (-1, -1)])
def test_corner_and_basis_put_the_centre_on_the_axis(tmp_path, signs):
    header = example_header(frame_shape=(6, 8), center=(2.5, 4.0), axis_signs=signs)
    with StandardFile.create(tmp_path / "a.h5", header):
        pass
    with h5py.File(tmp_path / "a.h5", "r") as file:
        detector = file["/entry_1/instrument_1/detector_1"]
        corner, basis = detector["corner_position"][()], detector["basis_vectors"][()]
    on_axis = corner + (2.5 + 0.5) * basis[0] + (4.0 + 0.5) * basis[1]
    assert on_axis == pytest.approx([0.0, 0.0, header.det_dist_m], abs=1e-15)
    assert basis == pytest.approx(np.array([[0, signs[0], 0], [signs[1], 0, 0]]) * header.pixel_m)


def test_no_dataset_holds_text_of_variable_length(example):
    for path in members(example):
        info = h5py.check_string_dtype(example[path].dtype)
        assert info is None or info.length is not None, path


def test_every_dataset_describes_itself(example):
    for path in members(example):
        assert example[path].attrs["description"].endswith((".", ")")), path


def test_names_of_codes_are_in_the_file(example):
    status = json.loads(example["/entry/frames/status"].attrs["codes"])
    assert {int(number): name for number, name in status.items()} == codes.STATUS_CODES
    flags = json.loads(example["/entry_1/instrument_1/detector_1/detectorSpecific/pixel_mask"].attrs["codes"])
    assert flags["8"] == "dead"


def test_dark_and_flat_say_that_they_were_applied(example):
    assert bool(example["/entry/dark"].attrs["applied"])
    assert bool(example["/entry/flat"].attrs["applied"])
    assert example["/entry_1/instrument_1/detector_1/detectorSpecific/flatfield_applied"][()] == 1


def test_settings_and_optics_can_be_read_back(example):
    assert json.loads(example["/entry/process/settings"][()]) == {"profile": {"grouping": "sum"}}
    optics = example["/entry/process/optics"]
    assert optics["kind"][()] == b"zone_plate"
    assert optics["zone_plate_diameter_m"].attrs["units"] == "m"
    assert optics["focal_length_m"].shape == (2,)
    assert "defocus_m" not in optics, "what is not known is left out"


def test_text_of_any_language_survives(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header(sample="Käfer 甲虫")):
        pass
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["/entry_1/sample_1/name"].asstr()[()] == "Käfer 甲虫"
        assert file["/entry_1/sample_1"].attrs["name"] == "Käfer 甲虫"


def test_live_keys_are_contiguous_and_of_fixed_size(tmp_path):
    for n_rows, capacity in ((25, 25), (None, 1 << 20)):
        path = tmp_path / f"{capacity}.h5"
        with StandardFile.create(path, example_header(n_rows)):
            pass
        with h5py.File(path, "r") as file:
            for name in ("key_data", "key_x", "key_y"):
                key = file[f"/entry/live/{name}"]
                assert (key.shape, key.dtype, key.chunks) == ((capacity,), np.uint32, None)


def test_file_is_readable_by_hdf5_1_10(tmp_path):
    """SWMR needs the 1.10 format; anything newer would shut out older readers."""
    path = tmp_path / "a.h5"
    with StandardFile.create(path, example_header()) as file:
        assert file._file.file.libver == ("v110", "v110")


def test_document_names_every_dataset(example):
    def general(path):
        path = re.sub(r"^/entry/readbacks/[^/]+/", "/entry/readbacks/<name>/", path)
        return re.sub(r"^/entry/process/optics/.+", "/entry/process/optics/<name>", path)

    of_this_file, _, _ = DOCUMENT.read_text(encoding="utf-8").partition("## The reconstruction")
    documented = set(re.findall(r"^\| `(/[^`]+)`", of_this_file, re.MULTILINE))
    assert documented == {general(path) for path in members(example)}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mask": np.zeros((3, 3), np.uint8)}, "mask has shape"),
        ({"planned_m": np.zeros((4, 3))}, "planned_m has shape"),
        ({"pixel_m": 0.0}, "pixel_m = 0.0"),
        ({"det_dist_m": float("nan")}, "det_dist_m = nan"),
        ({"frames_per_row": 0}, "frames_per_row = 0"),
        ({"n_rows_expected": -1}, "n_rows_expected = -1"),
        ({"axis_signs": (1, 0)}, "axis_signs"),
        ({"frame_shape": (0, 8), "dark": None, "flat": None}, "frame_shape"),
        ({"channels": (ChannelColumn("x"), ChannelColumn("x"))}, "must differ"),
    ],
)
def test_header_that_contradicts_itself_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        example_header(**changes)


@pytest.mark.parametrize("name", ["", "a/b", "..", "ring current"])
def test_channel_name_that_cannot_name_a_group_is_refused(name):
    with pytest.raises(ValueError, match="cannot name an h5 group"):
        ChannelColumn(name)
