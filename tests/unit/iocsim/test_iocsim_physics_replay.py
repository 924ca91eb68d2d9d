"""Recorded scans go out again value for value, at their recorded positions."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from iocsim.detector.frames import Conditions
from iocsim.physics.beamline import BeamlineConfig, make_beamline
from iocsim.replay import JOULE_PER_EV, ReplayError, ReplayFrames

DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
P25 = DATA / "petra3_p25_nearfield.cxi"

FRAMES = np.arange(4 * 5 * 6, dtype=np.int32).reshape(4, 5, 6)
POSITIONS = np.array([[0.0, 0.0], [1e-6, 0.0], [0.0, 2e-6], [1e-6, 0.0]])


def write_entry(path, frames=FRAMES, positions=POSITIONS, **more):
    values = {"energy_eV": 710.0, "det_dist_m": 0.1, "pixel_m": 75e-6} | more
    with h5py.File(path, "w") as file:
        file["entry/data"] = frames
        file["entry/pos"] = positions
        for name, value in values.items():
            if value is not None:
                file[f"entry/{name}"] = value
    return path


def write_cxi(path, energy, units=None, mask=None):
    with h5py.File(path, "w") as file:
        file["entry_1/instrument_1/detector_1/data"] = FRAMES
        file["entry_1/sample_1/geometry_1/translation"] = np.column_stack([-POSITIONS, np.zeros(4)])
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/instrument_1/source_1/energy"] = energy
        if units is not None:
            file["entry_1/instrument_1/source_1/energy"].attrs["units"] = units
        file["entry_1/instrument_1/detector_1/distance"] = 1.5
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 55e-6
        if mask is not None:
            file["entry_1/instrument_1/detector_1/mask"] = mask
    return path


def at(frames, x_m, y_m, shutter_open=True):
    return frames.frame(0, 0.1, Conditions(x_m, y_m, 710.0, 200.0, shutter_open))


def row_of(frame):
    return int(frame[0, 0]) // 30


def test_rows_that_a_standard_file_does_not_announce_are_not_sent(tmp_path):
    path = write_entry(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["entry/live/key_y"] = np.array([1, 2, 3, 0, 0], np.uint32)
    with ReplayFrames(path) as frames:
        assert len(frames) == 3


def test_half_a_copy_is_refused_where_hdf5_would_give_zeros(tmp_path):
    """A closed file can be opened for SWMR, too, and HDF5 compares no sizes then."""
    path, frames = tmp_path / "a.h5", np.repeat(FRAMES, 50, axis=0)
    with h5py.File(path, "w", libver="v110") as file:
        for name, value in {"energy_eV": 710.0, "det_dist_m": 0.1, "pixel_m": 75e-6}.items():
            file[f"entry/{name}"] = value
        file["entry/pos"] = np.repeat(POSITIONS, 50, axis=0)
        file.create_dataset("entry/data", data=frames, chunks=(1, 5, 6), maxshape=(None, 5, 6))
    with ReplayFrames(path) as whole:
        assert len(whole) == 200
    with h5py.File(path) as file:
        info = file["entry/data"].id.get_chunk_info(150)
    path.write_bytes(path.read_bytes()[: info.byte_offset + info.size - 1])
    with pytest.raises(ReplayError, match="is shorter than it says: it was not copied completely, copy it again"):
        ReplayFrames(path)


def test_the_recorded_frame_nearest_to_the_beam_is_sent(tmp_path):
    with ReplayFrames(write_entry(tmp_path / "a.h5")) as frames:
        np.testing.assert_array_equal(at(frames, 0.1e-6, 1.8e-6), FRAMES[2])
        np.testing.assert_array_equal(at(frames, -0.3e-6, 0.1e-6), FRAMES[0])
        assert (frames.raw_shape, frames.dtype, len(frames)) == ((5, 6), np.dtype("int32"), 4)
        assert (frames.energy_eV, frames.det_dist_m, frames.pixel_m) == (710.0, 0.1, 75e-6)


def test_frames_recorded_at_one_position_are_sent_in_recorded_order_before_any_repeats(tmp_path):
    with ReplayFrames(write_entry(tmp_path / "a.h5")) as frames:
        assert [row_of(at(frames, 1e-6, 0.0)) for _ in range(5)] == [1, 3, 1, 3, 1]


def test_positions_survive_the_way_through_micrometres_and_back(tmp_path):
    positions = np.random.default_rng(1).uniform(-50e-6, 50e-6, (4, 2))
    with ReplayFrames(write_entry(tmp_path / "a.h5", positions=positions)) as frames:
        for row, (x_m, y_m) in enumerate(frames.positions_m * 1e6 * 1e-6):
            assert row_of(at(frames, x_m, y_m)) == row


def test_a_closed_shutter_gives_zeros_and_uses_up_no_frame(tmp_path):
    with ReplayFrames(write_entry(tmp_path / "a.h5")) as frames:
        dark = at(frames, 1e-6, 0.0, shutter_open=False)
        assert dark.dtype == np.int32
        assert not dark.any()
        assert row_of(at(frames, 1e-6, 0.0)) == 1


def test_translation_of_the_sample_becomes_the_opposite_position_of_the_beam(tmp_path):
    with ReplayFrames(write_cxi(tmp_path / "a.cxi", 710 * JOULE_PER_EV)) as frames:
        np.testing.assert_array_equal(frames.positions_m, POSITIONS)
        assert (frames.det_dist_m, frames.pixel_m) == (1.5, 55e-6)


@pytest.mark.parametrize(
    ("energy", "units", "expected_eV"),
    [
        (710 * JOULE_PER_EV, None, 710.0),
        (710.0, None, 710.0),
        (710 * JOULE_PER_EV, "J", 710.0),
        (710.0, "eV", 710.0),
        (0.71, "keV", 710.0),
        (0.71, np.bytes_(b"keV"), 710.0),
    ],
)
def test_energy_is_understood_in_joules_and_in_electronvolts(tmp_path, energy, units, expected_eV):
    with ReplayFrames(write_cxi(tmp_path / "a.cxi", energy, units)) as frames:
        assert frames.energy_eV == pytest.approx(expected_eV, rel=1e-12)


def test_mask_flags_become_bad_except_the_one_that_says_signal(tmp_path):
    flags = np.zeros((5, 6), np.uint32)
    flags[0, 0], flags[1, 2], flags[3, 3] = 1, 0x80, 0x1000
    with ReplayFrames(write_cxi(tmp_path / "a.cxi", 710.0, "eV", flags)) as frames:
        assert frames.mask is not None
        assert np.argwhere(frames.mask).tolist() == [[0, 0], [1, 2]]


def test_energy_per_row_is_accepted(tmp_path):
    with ReplayFrames(write_entry(tmp_path / "a.h5", energy_eV=np.full(4, 705.5))) as frames:
        assert frames.energy_eV == 705.5


def test_a_turned_camera_sends_recorded_frames_that_the_profile_brings_back(tmp_path):
    mask = np.zeros((5, 6), np.uint8)
    mask[4, 1] = 1
    with ReplayFrames(write_entry(tmp_path / "a.h5", mask=mask), 90, "v") as frames:
        raw = at(frames, 0.0, 0.0)
        assert raw.shape == frames.raw_shape == (6, 5)
        assert raw.flags.c_contiguous
        np.testing.assert_array_equal(np.flipud(np.rot90(raw)), FRAMES[0])
        assert frames.mask is not None
        np.testing.assert_array_equal(np.flipud(np.rot90(frames.mask)), mask)


def test_big_endian_and_large_files_give_native_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("iocsim.replay.READ_AT_ONCE_BYTES", 0)
    with ReplayFrames(write_entry(tmp_path / "a.h5", frames=FRAMES.astype(">u2"))) as frames:
        assert frames.dtype == np.dtype("uint16")
        frame = at(frames, 0.0, 2e-6)
        assert frame.dtype.isnative
        np.testing.assert_array_equal(frame, FRAMES[2])


def unreadable(path):
    path.write_bytes(b"not HDF5")


def another_layout(path):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = FRAMES


def dangling(path):
    write_cxi(path, 1.0)
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]


REFUSED = {
    "is not a file": lambda path: None,
    "cannot be read as HDF5": unreadable,
    "neither": another_layout,
    "replay needs one of the two layouts": dangling,
    "has no /entry/energy_eV": lambda path: write_entry(path, energy_eV=None),
    "has no /entry/pixel_m": lambda path: write_entry(path, pixel_m=None),
    "must be a positive number": lambda path: write_entry(path, det_dist_m=0.0),
    "holds no number": lambda path: write_entry(path, det_dist_m="far"),
    "one x and y for each frame": lambda path: write_entry(path, positions=POSITIONS[:3]),
    "not finite": lambda path: write_entry(path, positions=POSITIONS * np.nan),
    r"frames must be real \(frame, y, x\)": lambda path: write_entry(path, frames=FRAMES[0]),
    "known units of energy": lambda path: write_cxi(path, 710.0, "furlong"),
    "the frames are": lambda path: write_entry(path, mask=np.zeros((3, 3), np.uint8)),
}


@pytest.mark.parametrize(("sentence", "write"), REFUSED.items(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_replayed_is_refused_in_one_sentence_with_its_name(tmp_path, sentence, write):
    path = tmp_path / "bad.h5"
    write(path)
    with pytest.raises(ReplayError, match=sentence) as refusal:
        ReplayFrames(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(not P25.is_file(), reason=f"the real scan {P25.name} is not under PTYCHOSTREAM_TEST_DATA")
def test_a_real_scan_comes_out_frame_for_frame_at_its_own_positions():
    beamline = make_beamline(BeamlineConfig(replay=P25))
    with h5py.File(P25) as file:
        recorded = file["entry_1/data_1/data"][()]
        translation = file["entry_1/sample_1/geometry_1/translation"][()].astype(float)
    replay = beamline.replay
    assert replay is not None
    np.testing.assert_allclose(replay.positions_m, -translation[:, :2], rtol=0, atol=1e-12)
    assert beamline.energy_eV == pytest.approx(12658, abs=1)
    assert beamline.det_dist_m == pytest.approx(1.12, rel=1e-6)
    assert beamline.pixel_m == pytest.approx(55e-6, rel=1e-6)
    assert beamline.frames.dtype == recorded.dtype == np.int32
    for row, (x_um, y_um) in enumerate(replay.positions_m * 1e6):
        np.testing.assert_array_equal(at(beamline.frames, x_um * 1e-6, y_um * 1e-6), recorded[row])
    beamline.close()


def test_truth_of_a_replay_knows_the_recorded_positions(tmp_path):
    beamline = make_beamline(BeamlineConfig(replay=write_entry(tmp_path / "a.h5")))
    beamline.new_truth().save(tmp_path / "t.npz")
    beamline.close()
    with np.load(tmp_path / "t.npz") as truth:
        np.testing.assert_array_equal(truth["recorded_positions_xy_m"], POSITIONS)


@pytest.mark.parametrize("kind", ["external link", "by a soft link", "linked h5 group", "virtual", "external storage"])
def test_frames_in_other_files_are_not_followed(tmp_path, kind):
    other = write_entry(tmp_path / "other.h5")
    path = write_entry(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["entry/data"]
        if kind == "external link":
            file["entry/data"] = h5py.ExternalLink("other.h5", "/entry/data")
        elif kind == "by a soft link":
            file["away"] = h5py.ExternalLink("other.h5", "/entry")
            file["entry/data"] = h5py.SoftLink("/away/data")
        elif kind == "linked h5 group":
            del file["entry"]
            file["entry"] = h5py.ExternalLink("other.h5", "/entry")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
            layout[:] = h5py.VirtualSource(str(other), "/entry/data", FRAMES.shape)
            file.create_virtual_dataset("entry/data", layout)
        else:
            file.create_dataset("entry/data", FRAMES.shape, "u1", external=[("/etc/passwd", 0, FRAMES.size)])
    with pytest.raises(ReplayError, match="copy the data into one file"):
        ReplayFrames(path)
