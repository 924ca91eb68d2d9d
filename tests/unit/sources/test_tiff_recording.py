"""TIFFs with a sidecar are a recording: every frame with its identity and its own values, every hole accounted for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tiff_scan import write_tiff, write_tiff_scan

from stream_service.core.account import Account
from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame, UnreadableFrame, Window
from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.rule import How
from stream_service.errors import SourceError
from stream_service.run.recorded.make_sidecar import make_sidecar
from stream_service.settings.recorded_choices import Match
from stream_service.sources.recording import MOST_FRAMES, Recording
from stream_service.sources.tiff.recording import TiffRecording

N = 6
FRAMES = np.random.default_rng(2).integers(0, 999, (N, 5, 7)).astype(np.uint16)
X_M, Y_M = np.arange(N) * 1e-6, np.arange(N) * -2e-6
STAMPS_NS = 1_795_218_868_000_000_000 + np.arange(N) * 10_000_001


def record(folder: Path, *, match: Match = Match.AUTO, **options: Any) -> TiffRecording:
    """A scan written, its sidecar made, both opened."""
    pattern, csv = write_tiff_scan(folder, FRAMES, **{"x": X_M, "y": Y_M} | options)
    make_sidecar(pattern, csv, folder / "s.h5", match=match)
    return TiffRecording(pattern, folder / "s.h5")


def handmade(folder: Path, **datasets: Any) -> Path:
    with h5py.File(folder / "hand.h5", "w") as file:
        for name, values in datasets.items():
            file[f"entry/{name}"] = values
    return folder / "hand.h5"


def ids(recording: TiffRecording) -> list[int]:
    return [frame.unique_id for frame in recording.frames()]


def account(recording: TiffRecording) -> Account:
    """Account of the recording by a ledger, as the ingest makes it."""
    ledger = Ledger(recording.first_unique_id, None)
    ordinals = [ledger.receive(frame.unique_id, index).ordinal for index, frame in enumerate(recording.frames())]
    ledger.mark(ordinals, FrameStatus.STORED)
    assert recording.n_expected is not None
    ledger.expect(recording.n_expected)
    return ledger.close(recording.n_exposed)


def test_it_is_a_recording(tmp_path):
    recording: Recording = record(tmp_path)
    assert recording.frame_shape == (5, 7) and recording.dtype == np.uint16 and recording.n_frames == N
    assert recording.layout == "TIFF files with a sidecar" and recording.axis_signs is None
    assert recording.is_on_sample and recording.notes == [] and recording.path.name == "scan001_*.tif"
    with recording as same:
        assert same is recording


def test_frames_come_bit_for_bit_with_their_own_values(tmp_path):
    energy, exposure = 700 + np.arange(N) / 3, 0.01 * (1 + np.arange(N))
    recording = record(tmp_path, energy_eV=energy, exposure_s=exposure, det_dist_m=0.12, pixel_m=1.1e-5)
    for index, frame in enumerate(recording.frames()):
        assert isinstance(frame, Frame)
        np.testing.assert_array_equal(frame.pixels, FRAMES[index])
        assert frame.attributes == {
            "x": X_M[index], "y": Y_M[index], "energy": energy[index], "exposure": exposure[index],
        }  # fmt: skip
    assert [(rule.name, rule.how, rule.attribute, rule.scale) for rule in recording.rules] == [
        (name, How.ATTRIBUTE, name, 1.0) for name in ("x", "y", "energy")
    ]
    assert recording.exposure_attribute == "exposure"
    facts = recording.facts
    assert (facts.det_dist_m, facts.pixel_m) == (0.12, 1.1e-5)
    assert facts.energy_eV == pytest.approx(energy.mean()) and facts.exposure_s == pytest.approx(exposure.mean())


def test_one_energy_for_the_scan_is_a_number_and_every_frames(tmp_path):
    recording = record(tmp_path, energy_eV=710.0, missing=(3,))
    assert recording.facts.energy_eV == 710.0 and math.isnan(recording.facts.det_dist_m)
    assert {frame.attributes["energy"] for frame in recording.frames()} == {710.0}
    assert recording.exposure_attribute == ""


def test_missing_file_is_lost_and_shifts_nothing(tmp_path):
    recording = record(tmp_path, missing=(3, 4))
    assert ids(recording) == [1, 2, 5, 6]
    assert [frame.attributes["x"] for frame in recording.frames()] == X_M[[0, 1, 4, 5]].tolist()
    assert recording.notes == [
        "scan001_0003.tif and scan001_0004.tif are missing",
        "2 of 6 rows have no frame: frame_index 3 and frame_index 4",
    ]
    found = account(recording)
    assert (found.expected, found.stored, found.lost) == (N, 4, 2)


@pytest.mark.parametrize("missing", [(1,), (6,), (1, 2, 6), (5, 6)])
def test_first_and_last_frames_are_expected_because_they_have_rows(tmp_path, missing):
    recording = record(tmp_path, missing=missing, match=Match.NUMBER)
    assert (recording.first_unique_id, recording.n_expected, recording.n_exposed) == (1, N, N)
    found = account(recording)
    assert (found.expected, found.lost, found.not_exposed) == (N, len(missing), 0)


@pytest.mark.parametrize("missing", [(0,), (3,), (2, 3), (5,), (0, 1, 5)])
def test_file_that_went_missing_after_the_sidecar_was_made_is_lost_though_matched_by_order(tmp_path, missing):
    """Rows from 1 and files from 0, as the log of a scan and its TIFFs often are: order matches them, names hold it."""
    pattern, csv = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M, first_number=0)
    header, *lines = csv.read_text().splitlines()
    rows = (f"{i + 1},{line.partition(',')[2]}" for i, line in enumerate(lines))
    csv.write_text("\n".join([header, *rows]))
    make_sidecar(pattern, csv, tmp_path / "s.h5")
    for number in missing:
        (tmp_path / f"scan001_{number:04d}.tif").unlink()
    recording = TiffRecording(pattern, tmp_path / "s.h5")
    there = [number for number in range(N) if number not in missing]
    assert ids(recording) == there
    assert [frame.attributes["x"] for frame in recording.frames()] == X_M[there].tolist()
    found = account(recording)
    assert (found.expected, found.stored, found.lost) == (N, len(there), len(missing))


def test_frame_without_a_row_has_no_position_and_its_row_says_so(tmp_path):
    pattern, csv = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M)
    lines = csv.read_text().splitlines()
    lines[4] = lines[4].split(",")[0] + ",n/a,n/a"
    csv.write_text("\n".join(line for line in lines if not line.startswith("2,")))
    make_sidecar(pattern, csv, tmp_path / "s.h5")
    recording = TiffRecording(pattern, tmp_path / "s.h5")
    assert recording.notes == ["1 of 6 frames has no row: scan001_0002.tif"]
    ledger = Ledger(recording.first_unique_id, None)
    pairer = Pairer(recording.rules)
    flags = {}
    for index, frame in enumerate(recording.frames()):
        receipt = ledger.receive(frame.unique_id, index)
        pairer.add_frame(frame, receipt.id, receipt.ordinal, 0.01, Window(0, 0))
        (exposure,) = pairer.take()
        flags[frame.unique_id] = exposure.flags
        assert math.isnan(exposure.values["x"]) == (frame.unique_id in (2, 4))
    assert flags == {1: 0, 2: Flag.MISSING, 3: 0, 4: Flag.INVALID, 5: 0, 6: 0}


# identity


def test_identity_is_the_unique_id_of_the_log(tmp_path):
    recording = record(tmp_path, unique_ids=np.arange(N) + 101, missing=(2,))
    assert ids(recording) == [101, 103, 104, 105, 106]
    assert (recording.first_unique_id, recording.n_expected) == (101, N)


def test_identity_is_that_of_the_files_if_a_frame_has_no_row(tmp_path):
    pattern, csv = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M, unique_ids=np.arange(N) + 101)
    csv.write_text("\n".join(csv.read_text().splitlines()[:-1]))
    make_sidecar(pattern, csv, tmp_path / "s.h5")
    recording = TiffRecording(pattern, tmp_path / "s.h5")
    assert ids(recording) == list(range(101, 107)) and recording.n_expected == N


def test_identity_is_the_number_of_the_file_if_nobody_says_otherwise(tmp_path):
    assert ids(record(tmp_path, first_number=17)) == list(range(17, 23))


def test_frames_that_the_detector_made_but_nobody_numbered_are_expected(tmp_path):
    """NDFileTIFF counts the files it writes; what it never got is a jump of the uniqueId only."""
    recording = record(tmp_path, unique_ids=[1, 2, 3, 5, 6, 9])
    assert ids(recording) == [1, 2, 3, 5, 6, 9] and recording.n_expected == 9


def test_detector_that_restarts_its_counter_begins_an_epoch(tmp_path):
    recording = record(tmp_path, unique_ids=[8, 9, 10, 1, 2, 3])
    found = account(recording)
    assert (recording.n_expected, found.expected, found.stored, found.duplicates) == (N, N, N, 0)


def test_numbers_that_are_no_counter_are_left_aside_when_matched_by_order(tmp_path):
    pattern, csv = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M, first_number=0)
    for index, path in enumerate(sorted(tmp_path.glob("*.tif"))):
        path.rename(tmp_path / f"scan001_{20261121093000 + 1000 * index}.tif")
    make_sidecar(pattern, csv, tmp_path / "s.h5", match=Match.ORDER)
    recording = TiffRecording(pattern, tmp_path / "s.h5")
    assert recording.n_expected == N and np.diff(ids(recording)).tolist() == [1] * (N - 1)
    assert [frame.attributes["x"] for frame in recording.frames()] == X_M.tolist()


def test_numbers_that_run_too_far_are_refused(tmp_path):
    for number in (1, 2 + MOST_FRAMES):
        write_tiff(tmp_path / f"s_{number}.tif", FRAMES[0])
    with pytest.raises(SourceError, match=r"no scan has more than 10000000; .* --match order"):
        TiffRecording(str(tmp_path / "s_*.tif"))


def test_counting_never_begins_below_0(tmp_path):
    recording = record(tmp_path, unique_ids=[0, 1, 2, 3, 4, 5], missing=(1,), first_number=1)
    assert recording.first_unique_id == 0 and recording.n_expected == N


# time


def test_stamps_of_the_log_and_of_areadetector_are_those_of_the_frames(tmp_path):
    recording = record(tmp_path, unique_ids=np.arange(N), timestamps_ns=STAMPS_NS)
    assert recording.has_timestamps
    assert [frame.timestamp_ns for frame in recording.frames()] == STAMPS_NS.tolist()
    alone = TiffRecording(str(recording.path))
    assert [frame.timestamp_ns for frame in alone.frames()] == STAMPS_NS.tolist()


def test_without_a_stamp_for_every_frame_there_are_none(tmp_path):
    pattern, _ = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M)
    stamped = handmade(tmp_path, posx_m=X_M[:-1], posy_m=Y_M[:-1], frame_index=range(1, N), timestamp_ns=STAMPS_NS[:-1])
    recording = TiffRecording(pattern, stamped)
    assert not recording.has_timestamps and {frame.timestamp_ns for frame in recording.frames()} == {0}


# without a sidecar, and with one made by hand


def test_without_a_sidecar_attributes_are_those_of_areadetector(tmp_path):
    for index in range(3):
        attributes = {"posx": 1.5 * index, "Beam": "on"}
        write_tiff(tmp_path / f"s_{index}.tif", FRAMES[index], unique_id=40 + index, attributes=attributes)
    recording = TiffRecording(str(tmp_path / "s_*.tif"))
    assert recording.rules == () and not recording.is_on_sample and recording.layout == "TIFF files"
    assert [frame.attributes for frame in recording.frames()] == [{"posx": 1.5 * n, "Beam": "on"} for n in range(3)]
    assert ids(recording) == [40, 41, 42] and recording.first_unique_id == 40


def test_what_areadetector_calls_x_is_never_taken_for_the_sidecars(tmp_path):
    for number in (1, 2, 3):
        write_tiff(tmp_path / f"s_{number}.tif", FRAMES[0], unique_id=number, attributes={"x": 99.0, "energy": 1.0})
    sidecar = handmade(tmp_path, posx_m=[1e-6, 3e-6], posy_m=[0.0, 0.0], frame_index=[1, 3])
    recording = TiffRecording(str(tmp_path / "s_*.tif"), sidecar)
    assert [frame.attributes for frame in recording.frames()] == [
        {"x": 1e-6, "y": 0, "energy": 1.0}, {"energy": 1.0}, {"x": 3e-6, "y": 0, "energy": 1.0},
    ]  # fmt: skip


def test_sidecar_made_by_hand_is_matched_by_the_same_rules(tmp_path):
    pattern, _ = write_tiff_scan(tmp_path, FRAMES, x=X_M, y=Y_M)
    pos = np.column_stack([X_M, Y_M])
    recording = TiffRecording(pattern, handmade(tmp_path, pos=pos))
    assert [frame.attributes["y"] for frame in recording.frames()] == Y_M.tolist()
    (tmp_path / "scan001_0003.tif").unlink()
    with pytest.raises(SourceError, match=r"hand\.h5 and .*6 rows for 5 frames numbered 1 to 6 with 1 missing"):
        TiffRecording(pattern, handmade(tmp_path, pos=pos))
    recording = TiffRecording(pattern, handmade(tmp_path, pos=pos, frame_index=range(1, N + 1)))
    assert [frame.attributes["x"] for frame in recording.frames()] == np.delete(X_M, 2).tolist()
    recording = TiffRecording(pattern, handmade(tmp_path, pos=pos, frame_index=range(N)), match=Match.NUMBER)
    assert [frame.attributes.get("x") for frame in recording.frames()] == [*X_M[[1, 2, 4, 5]].tolist(), None]


def test_names_of_files_decide_whatever_the_numbers_say(tmp_path):
    pattern, _ = write_tiff_scan(tmp_path, FRAMES[:3], x=0, y=0)
    names = np.array([f"scan001_000{n}.tif".encode() for n in (3, 1, 2)])
    recording = TiffRecording(pattern, handmade(tmp_path, posx_m=[3e-6, 1e-6, 2e-6], posy_m=[0.0] * 3, file=names))
    assert [frame.attributes["x"] for frame in recording.frames()] == [1e-6, 2e-6, 3e-6]


def test_sidecar_of_other_files_or_with_one_file_twice_is_refused(tmp_path):
    pattern, _ = write_tiff_scan(tmp_path, FRAMES[:2], x=0, y=0)
    positions = {"posx_m": [0.0, 0.0], "posy_m": [0.0, 0.0]}
    with pytest.raises(SourceError, match=r"made for other files: .* it names scan002_1\.tif"):
        TiffRecording(pattern, handmade(tmp_path, **positions, file=np.array([b"scan002_1.tif", b"scan002_2.tif"])))
    with pytest.raises(SourceError, match=r"rows 0 and 1 both belong to scan001_0001\.tif"):
        TiffRecording(pattern, handmade(tmp_path, **positions, file=np.array([b"scan001_0001.tif"] * 2)))


def test_sidecar_may_hold_only_what_is_one_for_the_scan(tmp_path):
    pattern, _ = write_tiff_scan(tmp_path, FRAMES, x=0, y=0)
    sidecar = handmade(tmp_path, energy_eV=710.0, det_dist_m=0.1, mask=np.eye(5, 7, dtype=np.uint8))
    recording = TiffRecording(pattern, sidecar)
    assert [rule.name for rule in recording.rules] == ["energy"] and recording.facts.det_dist_m == 0.1
    assert [frame.attributes for frame in recording.frames()] == [{"energy": 710.0}] * N
    np.testing.assert_array_equal(recording.references["mask"], np.eye(5, 7))


def test_distance_that_varies_is_averaged_and_told(tmp_path):
    recording = record(tmp_path, det_dist_m=np.linspace(0.1, 0.2, N))
    assert recording.facts.det_dist_m == pytest.approx(0.15)
    assert [note for note in recording.notes if "det_dist_m runs from 0.1 to 0.2; its mean 0.15 is taken" in note]


# stacks


def test_image_of_a_stack_finds_its_row(tmp_path):
    write_tiff(tmp_path / "stack.tif", FRAMES)
    sidecar = handmade(tmp_path, posx_m=X_M, posy_m=Y_M, frame_index=range(1, N + 1))
    recording = TiffRecording(str(tmp_path / "stack.tif"), sidecar)
    assert recording.layout == "a stack of TIFF images with a sidecar" and ids(recording) == list(range(N))
    assert [frame.attributes["x"] for frame in recording.frames()] == X_M.tolist()


def test_stacks_that_cannot_be_numbered_need_ids_or_the_operators_word(tmp_path):
    for number, part in ((1, FRAMES[:2]), (3, FRAMES[2:4]), (4, FRAMES[4:])):
        write_tiff(tmp_path / f"s_{number}.tif", part)
    pattern = str(tmp_path / "s_*.tif")
    with pytest.raises(SourceError, match="cannot be numbered"):
        TiffRecording(pattern)
    sidecar = handmade(tmp_path, posx_m=X_M, posy_m=Y_M)
    with pytest.raises(SourceError, match="cannot be numbered"):
        TiffRecording(pattern, sidecar)
    assert ids(TiffRecording(pattern, sidecar, Match.ORDER)) == list(range(N))
    sidecar = handmade(tmp_path, posx_m=X_M, posy_m=Y_M, unique_id=[1, 2, 5, 6, 7, 8])
    recording = TiffRecording(pattern, sidecar, Match.ORDER)
    assert ids(recording) == [1, 2, 5, 6, 7, 8] and recording.n_expected == 8


def test_frames_are_read_one_by_one(tmp_path):
    """A file that is broken after the first look does not take any other frame with it."""
    pattern, _ = write_tiff_scan(tmp_path, FRAMES, x=0, y=0)
    recording = TiffRecording(pattern)
    (tmp_path / "scan001_0004.tif").write_bytes(b"")
    frames = list(recording.frames())
    assert [frame.unique_id for frame in frames] == [*range(1, len(FRAMES) + 1)]
    (lost,) = [frame for frame in frames if isinstance(frame, UnreadableFrame)]
    assert lost.unique_id == 4 and "scan001_0004.tif is empty" in lost.reason
