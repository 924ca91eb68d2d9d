"""Recorded frames, whatever file they were in: identity, groups, exposure times, what is left out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S

from stream_service.core.frame import Frame
from stream_service.core.run import EndReason
from stream_service.errors import ConfigError, PtychostreamError, SourceError
from stream_service.kernels import Corrections, Geometry
from stream_service.kernels import Grouping as Group
from stream_service.kernels.reference import reduce_frames
from stream_service.run.recorded.ingest import Listener, Outcome, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings, load_rejected
from stream_service.settings.beamlines import load_named_profile
from stream_service.settings.preprocessing import Preprocessing
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_readbacks import RecordedHistory, RecordedReadbacks, load_readbacks
from stream_service.testing.memory_recording import (
    PERIOD_NS,
    STAGE,
    START_NS,
    Breaking,
    MemoryRecording,
    at_one_place,
    attributes_of,
    frames_of,
)


def made(
    tmp_path: Path, recording: Any, listener: Listener | None = None, **settings: Any
) -> tuple[h5py.File, Outcome]:
    output = tmp_path / "out.h5"
    outcome = ingest(recording, output, IngestSettings(**settings), listener=listener)
    return h5py.File(output), outcome


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.told: list[tuple[int, int | None]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, done: int, total: int | None) -> None:
        self.told.append((done, total))


def test_frames_keep_their_identity_stamps_and_values(tmp_path: Path) -> None:
    frames = frames_of(5)
    file, outcome = made(tmp_path, MemoryRecording(frames, attributes_of(5), ids=[7, 8, 9, 10, 11]))
    with file:
        assert file["/entry/frames/unique_id"][:, 0].tolist() == [7, 8, 9, 10, 11]
        assert file["/entry/frames/timestamp_ns"][0, 0] == START_NS + 7 * PERIOD_NS
        assert np.array_equal(file["/entry/data"][()], frames)
        assert np.array_equal(file["/entry/pos"][()], [(1e-6 * i, -2e-6 * i) for i in range(5)])
        assert file["/entry/energy_eV"][()] == 702.0
        assert file["/entry/run/state"][()] == b"COMPLETE"
    assert outcome.account.is_complete and outcome.rows == 5


def test_ids_missing_in_the_recording_are_lost_and_shift_no_group(tmp_path: Path) -> None:
    frames = frames_of(8)
    kept = [0, 1, 3, 4, 5, 6, 7]  # id 3 is missing
    recording = MemoryRecording(frames[kept], [attributes_of(8)[i] for i in kept], ids=[i + 1 for i in kept])
    file, outcome = made(tmp_path, recording, preprocessing=Preprocessing(frames_per_position=2))
    with file:
        assert file["/entry/frames/unique_id"][()].tolist() == [[1, 2], [5, 6], [7, 8]]
        assert np.array_equal(file["/entry/data"][1], frames[4].astype(float) + frames[5])
        assert file["/entry/run/state"][()] == b"INCOMPLETE"
    account = outcome.account
    assert (account.expected, account.stored, account.lost, account.incomplete) == (8, 6, 1, 1)
    assert "missing ids: 3-4" in outcome.sentence


def test_a_head_that_was_never_recorded_shifts_no_group_once_it_is_told(tmp_path: Path) -> None:
    frames = frames_of(5)
    recording = MemoryRecording(frames, attributes_of(5), ids=[2, 3, 4, 5, 6])
    file, outcome = made(tmp_path, recording, preprocessing=Preprocessing(frames_per_position=2), first_unique_id=1)
    with file:
        assert file["/entry/frames/unique_id"][()].tolist() == [[3, 4], [5, 6]]
    assert (outcome.account.lost, outcome.account.incomplete) == (1, 1)


def test_frames_planned_and_never_taken_are_accounted(tmp_path: Path) -> None:
    file, outcome = made(tmp_path, MemoryRecording(frames_of(4), attributes_of(4), n_expected=6))
    file.close()
    assert (outcome.account.expected, outcome.account.not_exposed) == (6, 2)


def test_frames_that_were_taken_and_are_not_there_are_lost(tmp_path: Path) -> None:
    file, outcome = made(tmp_path, MemoryRecording(frames_of(4), attributes_of(4), n_expected=6, n_exposed=6))
    file.close()
    assert (outcome.account.expected, outcome.account.lost) == (6, 2)


def test_more_captured_ids_than_planned_frames_are_all_kept(tmp_path: Path) -> None:
    # a plugin that dropped two frames captures until it has the number it was asked for
    file, outcome = made(tmp_path, MemoryRecording(frames_of(4), attributes_of(4), ids=[1, 3, 5, 6], n_expected=4))
    file.close()
    assert (outcome.account.expected, outcome.account.stored, outcome.account.lost) == (6, 4, 2)


def test_a_frame_recorded_twice_is_stored_once(tmp_path: Path) -> None:
    frames = frames_of(3)[[0, 1, 1, 2]]
    stamps = [START_NS + i * PERIOD_NS for i in (1, 2, 2, 3)]
    recording = MemoryRecording(frames, attributes_of(4), ids=[1, 2, 2, 3], stamps_ns=stamps)
    file, outcome = made(tmp_path, recording)
    with file:
        assert file["/entry/frames/unique_id"][:, 0].tolist() == [1, 2, 3]
    assert outcome.account.duplicates == 1


def test_a_counter_that_was_reset_begins_a_new_epoch(tmp_path: Path) -> None:
    stamps = [START_NS + i * PERIOD_NS for i in range(6)]
    recording = MemoryRecording(frames_of(6), attributes_of(6), ids=[1, 2, 3, 1, 2, 3], stamps_ns=stamps)
    file, outcome = made(tmp_path, recording)
    with file:
        assert file["/entry/frames/epoch"][:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert outcome.account.is_complete


@pytest.mark.parametrize("wrong", [4_000_000, -5, 2, 12])
def test_one_wrong_id_in_a_recording_moves_no_account(tmp_path: Path, wrong: int) -> None:
    ids = [1, 2, 3, 4, wrong, 6, 7, 8]
    stamps = [START_NS + n * PERIOD_NS for n in range(8)]
    file, outcome = made(tmp_path, MemoryRecording(frames_of(8), attributes_of(8), ids=ids, stamps_ns=stamps))
    said = "7 of 8 frames stored in 7 rows, 1 lost, 1 with an implausible id, ignored (missing ids: 5)"
    assert outcome.sentence == said
    assert file["/entry/frames/unique_id"][:, 0].tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert file["/entry/run/end_reason"][()].decode() == EndReason.RECORDING_READ


def test_recordings_without_stamps_keep_their_order(tmp_path: Path) -> None:
    recording = MemoryRecording(
        frames_of(4), attributes_of(4), ids=[0, 1, 2, 3], stamps_ns=[0] * 4, has_timestamps=False
    )
    file, outcome = made(tmp_path, recording)
    with file:
        assert file["/entry/frames/timestamp_ns"][:, 0].tolist() == [0] * 4
    assert outcome.account.is_complete


def test_unequal_exposures_of_a_group_are_combined_by_time(tmp_path: Path) -> None:
    frames = frames_of(6)
    frames[1::3, 2, 3] = 5000  # the long exposure saturates here
    times_s = [0.01, 0.1, 0.03] * 2
    attributes = [one | {"exposure": time_s} for one, time_s in zip(attributes_of(6), times_s, strict=True)]
    preprocessing = Preprocessing(frames_per_position=3, grouping="sum", sat=4000)
    file, _ = made(tmp_path, MemoryRecording(frames, attributes), preprocessing=preprocessing)
    expected = reduce_frames(
        frames[:3], times_s[:3], Geometry(raw_shape=(6, 8)), Corrections(saturation_level=4000), Group.SUM
    )
    with file:
        assert np.array_equal(file["/entry/data"][0], expected.out)
        assert not np.array_equal(expected.out, frames[:3].sum(axis=0)), "combined by time, not added"
        assert file["/entry/frames/exposure_s"][0] == pytest.approx(0.14)


def test_incomplete_last_group_is_accounted(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(7), attributes_of(7))
    file, outcome = made(tmp_path, recording, preprocessing=Preprocessing(frames_per_position=3))
    with file:
        assert len(file["/entry/data"]) == 2
    assert (outcome.account.stored, outcome.account.incomplete) == (6, 1)


def test_stage_positions_follow_the_profile_and_its_units(tmp_path: Path) -> None:
    attributes: list[Any] = [{"posx": 3.0 + i, "posy": 4.0, "energy": 700.0} for i in range(3)]
    profile = load_named_profile("sim")
    heard = Heard()
    recording = MemoryRecording(frames_of(3), attributes, rules=STAGE, is_on_sample=False)
    file, _ = made(tmp_path, recording, heard, profile=profile)
    with file:
        assert np.array_equal(file["/entry/pos"][()], [(-(3.0 + i) * 1e-6, -4.0 * 1e-6) for i in range(3)])
        assert file["/entry/energy_eV"][()] == 700.0
    assert any("--readbacks" in note for note in heard.notes), "the profile wants their history"


def test_stage_positions_without_a_profile_are_taken_as_they_are_and_that_is_said(tmp_path: Path) -> None:
    attributes: list[Any] = [{"posx": 3.0, "posy": 4.0}] * 2
    heard = Heard()
    recording = MemoryRecording(frames_of(2), attributes, rules=STAGE, is_on_sample=False)
    file, _ = made(tmp_path, recording, heard, facts=Facts(energy_eV=650.0))
    with file:
        np.testing.assert_allclose(file["/entry/pos"][0], [3e-6, 4e-6])
        assert file["/entry/energy_eV"][()] == 650.0
        assert file["/entry/frames/energy_eV"][()].tolist() == [650.0, 650.0]
    assert any("stage_map" in note for note in heard.notes)


def test_positions_recorded_apart_are_paired_at_mid_exposure(tmp_path: Path) -> None:
    """One axis moves at 1 um per frame; updates are stamped between the frames."""
    n = 40
    stamps = np.array([START_NS + i * PERIOD_NS for i in range(-2, n + 4)]) + 3_000_000
    x_um = (stamps - START_NS) / PERIOD_NS
    histories = {
        "x": RecordedHistory(stamps, x_um, "um"),
        "y": RecordedHistory(stamps[:1], np.array([5.0]), "um"),
    }
    readbacks = RecordedReadbacks(Path("readbacks.h5"), histories)
    attributes: list[Any] = [{"energy": 700.0}] * n
    recording = MemoryRecording(frames_of(n), attributes, ids=list(range(n)), rules=(), is_on_sample=False)
    file, _ = made(tmp_path, recording, profile=load_named_profile("sim"), readbacks=readbacks)
    with file:
        # frames are stamped at their end, 10 ms long: the middle is 5 ms, half a period, earlier
        np.testing.assert_allclose(file["/entry/posx_m"][()], -1e-6 * (np.arange(n) - 0.5), atol=1e-15)
        np.testing.assert_allclose(file["/entry/posy_m"][()], -5e-6)
        assert not file["/entry/frames/flags"][()].any()
        assert np.array_equal(file["/entry/readbacks/x/value"][()], x_um)
        assert np.array_equal(file["/entry/readbacks/x/timestamp_ns"][()], stamps)


def test_history_longer_than_pairing_keeps_is_fed_as_the_frames_come(tmp_path: Path) -> None:
    n, updates_per_frame = 30, 2500
    stamps = START_NS + np.arange(n * updates_per_frame) * (PERIOD_NS // updates_per_frame)
    x_um = np.arange(len(stamps)) / updates_per_frame
    histories = {"x": RecordedHistory(stamps, x_um, "um"), "y": RecordedHistory(stamps[:1], np.zeros(1), "um")}
    recording = MemoryRecording(frames_of(n), [{"energy": 700.0}] * n, ids=list(range(n)), rules=(), is_on_sample=False)
    readbacks = RecordedReadbacks(Path("readbacks.h5"), histories)
    file, _ = made(tmp_path, recording, profile=load_named_profile("sim"), readbacks=readbacks)
    with file:
        assert len(file["/entry/readbacks/x/value"]) == n * updates_per_frame
        np.testing.assert_allclose(-1e6 * file["/entry/posx_m"][1:], np.arange(1, n) - 0.5, atol=1e-3)


def test_numbers_that_only_the_profile_says_are_named(tmp_path: Path) -> None:
    heard = Heard()
    recording = MemoryRecording(frames_of(2), attributes_of(2), facts=Facts(pixel_m=2e-5))
    file, _ = made(tmp_path, recording, heard, profile=load_named_profile("sim"))
    with file:
        assert (file["/entry/det_dist_m"][()], file["/entry/pixel_m"][()]) == (0.1, 2e-5)
    assert [note for note in heard.notes if "profile says" in note] == [
        "det_dist_m is 0.1, as the profile says: it is neither recorded nor given",
        "pixel_m is 2e-05, as recorded; the profile says 7.5e-05: if that is right, give --pixel-m",
    ]


def test_frame_without_a_position_is_stored_flagged_and_not_used(tmp_path: Path) -> None:
    attributes = attributes_of(3)
    del attributes[1]["x"]
    file, outcome = made(tmp_path, MemoryRecording(frames_of(3), attributes))
    with file:
        assert file["/entry/keep"][()].tolist() == [1, 0, 1]
        assert np.isnan(file["/entry/posx_m"][1])
        assert file["/entry/frames/flags"][()].astype(bool).tolist() == [False, True, False]
    assert outcome.account.is_complete


def test_rejected_positions_are_kept_in_the_file_and_not_used(tmp_path: Path) -> None:
    listed = tmp_path / "ptypy_indices.json"
    listed.write_text(json.dumps({"reject_indices": [0, 2], "accept_indices": [1]}))
    recording = MemoryRecording(frames_of(6), at_one_place(attributes_of(6), 2))
    preprocessing = Preprocessing(frames_per_position=2)
    file, _ = made(tmp_path, recording, preprocessing=preprocessing, rejected=load_rejected(listed))
    with file:
        assert file["/entry/keep"][()].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rejected": frozenset({2, 500})}, r"names position 2, 500, but scan.h5 has 2 positions, 0 to 1:"),
        ({"first_unique_id": 7}, r"--first-id 7: scan.h5 has no frame of this or a later uniqueId; the last is 6"),
        ({"first_unique_id": 2}, r"--first-id 2: scan.h5 begins with uniqueId 1, before it: .* leave it out"),
        ({"preprocessing": Preprocessing(frames_per_position=7)}, r"--frames-per-pos 7: scan.h5 has 6 frames"),
        (
            {"preprocessing": Preprocessing(roi_center="40,2")},
            r"ROI centre: row 40 lies outside of the frame, .* 0 to 5",
        ),
        ({"preprocessing": Preprocessing(roi=(60, 8))}, r"needs rows -27 to 32, but the frame has rows 0 to 5"),
    ],
)
def test_what_the_recording_does_not_have_is_refused_with_what_it_has(tmp_path: Path, settings: Any, sentence: str):
    chosen = {"preprocessing": Preprocessing(frames_per_position=3)} | settings
    with pytest.raises(ConfigError, match=sentence):
        made(tmp_path, MemoryRecording(frames_of(6), at_one_place(attributes_of(6), 3)), **chosen)
    assert not (tmp_path / "out.h5").exists()


def test_position_whose_frames_are_missing_may_be_rejected(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(4), attributes_of(4), ids=[1, 2, 5, 6], n_expected=8)
    file, _ = made(tmp_path, recording, rejected=frozenset({3, 5, 7}))
    with file:
        assert file["/entry/keep"][()].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not JSON"), ("[1]", "has no list"), ('{"reject_indices": [1.5]}', "whole numbers"), ("{}", "no list")],
)
def test_reject_list_that_is_none_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "indices.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_rejected(path)


@pytest.mark.parametrize(
    ("changes", "settings", "sentence"),
    [
        ({"rules": ()}, {}, "does not say where x and y are"),
        ({"facts": Facts()}, {}, "give --det-dist-m, --pixel-m"),
        (
            {"facts": Facts(det_dist_m=-1.0, pixel_m=1.0)},
            {},
            r"is -1 m, outside .* Give the right one: --det",
        ),
        ({}, {"preprocessing": Preprocessing(roi=(7, 7))}, "make the ROI smaller"),
        ({"references": {"dark": np.zeros((2, 2))}}, {}, "dark"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_file(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    recording = MemoryRecording(frames_of(3), attributes_of(3), **changes)
    with pytest.raises(PtychostreamError, match=sentence):
        made(tmp_path, recording, **settings)
    assert list(tmp_path.iterdir()) == []


def test_recording_that_breaks_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="frames 3 to 5"):
        made(tmp_path, Breaking(frames_of(6), attributes_of(6)))
    assert list(tmp_path.iterdir()) == []


def test_followed_recording_that_breaks_leaves_the_rows_so_far_and_says_failed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        ingest(Breaking(frames_of(6), attributes_of(6)), tmp_path / "out.h5", IngestSettings(), live=True)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/run/state"][()] == b"FAILED"
        assert len(file["/entry/data"]) == 3


def test_followed_recording_that_is_interrupted_leaves_the_rows_so_far_and_says_aborted(tmp_path: Path) -> None:
    class Interrupting(Listener):
        def progress(self, done: int, total: int | None) -> None:
            raise KeyboardInterrupt

    is_over = threading.Event()

    class Growing(MemoryRecording):
        """The last frames have not come yet."""

        def frames(self) -> Iterator[Frame]:
            for place, frame in enumerate(super().frames()):
                if place == 3:
                    is_over.wait(HANG_S)
                yield frame

    recording = Growing(frames_of(6), attributes_of(6))
    with pytest.raises(KeyboardInterrupt):
        ingest(recording, tmp_path / "out.h5", IngestSettings(), live=True, listener=Interrupting())
    is_over.set()
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/run/state"][()] == b"ABORTED"
        assert len(file["/entry/data"]) > 0


def test_follower_that_cannot_begin_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    output.write_text("precious")
    settings = IngestSettings(preprocessing=Preprocessing(roi=(7, 7)))
    with pytest.raises(PtychostreamError, match="make the ROI smaller"):
        ingest(MemoryRecording(frames_of(3), attributes_of(3)), output, settings, live=True, force=True)
    assert output.read_text() == "precious"


def test_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no frames"):
        made(tmp_path, MemoryRecording(frames_of(0), []))


def test_output_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(2), attributes_of(2))
    with pytest.raises(ConfigError, match="does not exist"):
        ingest(recording, tmp_path / "nowhere" / "out.h5", IngestSettings())


def test_progress_ends_at_the_total_and_notes_are_told_once(tmp_path: Path) -> None:
    heard = Heard()
    recording = MemoryRecording(frames_of(5), attributes_of(5, energy=700.0))
    recording.notes.append("it was not closed")
    file, _ = made(tmp_path, recording, heard)
    file.close()
    assert heard.told[-1] == (5, 5)
    assert heard.notes == ["it was not closed"]


def test_readbacks_of_a_standard_file_are_found(tmp_path: Path) -> None:
    path = tmp_path / "live_std.h5"
    with h5py.File(path, "w") as file:
        for name in ("x", "y", "x_moving"):
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"], group["timestamp_ns"] = [3.0, 1.0, 2.0], np.array([30, 10, 20])
            group["value"].attrs["units"] = "um"
    readbacks = load_readbacks(path)
    assert set(readbacks.histories) == {"x", "y", "x_moving"}
    assert readbacks.histories["x"].values.tolist() == [1.0, 2.0, 3.0], "in the order of time"
    assert readbacks.histories["x"].scale == 1e-6


def log_of(path: Path, key: str, keys: list[int], x_um: list[Any]) -> RecordedReadbacks:
    lines = [f"{key},posx_um,posy_um,energy_eV", *(f"{k},{x},2,700" for k, x in zip(keys, x_um, strict=True))]
    path.write_text("\n".join(lines))
    return load_readbacks(path)


@pytest.mark.parametrize(("key", "first"), [("unique_id", 11), ("frame_index", 0)])
def test_log_with_a_row_for_each_frame_is_paired_by_identity(tmp_path: Path, key: str, first: int) -> None:
    heard = Heard()
    log = log_of(tmp_path / "log.csv", key, [first + 3, first, first + 1, first + 9], [3, 0, 1, 9])
    recording = MemoryRecording(frames_of(4), [{}] * 4, ids=[11, 12, 13, 14], rules=(), is_on_sample=False)
    file, outcome = made(tmp_path, recording, heard, profile=load_named_profile("sim"), readbacks=log)
    with file:
        np.testing.assert_allclose(file["/entry/posx_m"][()], [0, -1e-6, np.nan, -3e-6], atol=1e-18)
        assert file["/entry/keep"][()].tolist() == [1, 1, 0, 1]
        assert file["/entry/energy_eV"][()] == 700.0
    assert outcome.account.is_complete
    assert any("1 frame has no row" in note for note in heard.notes)
    assert any("1 of 4 rows" in note for note in heard.notes)


def test_log_with_time_stamps_alone_is_a_history(tmp_path: Path) -> None:
    n = 20
    stamps = [START_NS + i * PERIOD_NS + 3_000_000 for i in range(-2, n + 2)]
    log = log_of(tmp_path / "log.csv", "timestamp_ns", stamps, [i - 2 + 0.3 for i in range(n + 4)])
    recording = MemoryRecording(frames_of(n), [{}] * n, ids=list(range(n)), rules=(), is_on_sample=False)
    file, _ = made(tmp_path, recording, profile=load_named_profile("sim"), readbacks=log)
    with file:
        np.testing.assert_allclose(file["/entry/posx_m"][()], -1e-6 * (np.arange(n) - 0.5), atol=1e-15)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("posx_um,posy_um\n1,2", "which frame a row belongs to"),
        ("unique_id,posx_um,posy_um\n1,1,2\n1,1,2", "1 repeats a unique_id"),
        ("unique_id,posx_um\n1,1", "posy"),
    ],
)
def test_log_that_cannot_be_paired_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=sentence):
        load_readbacks(path)


def test_readbacks_that_are_refused_leave_hdf5_to_other_threads(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "readbacks.h5", "w") as file:
        for name in ("x", "y"):
            file[f"/entry/readbacks/{name}/value"] = [1.0]
    with pytest.raises(SourceError, match="needs two datasets") as kept:
        load_readbacks(tmp_path / "readbacks.h5")
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(len(h5py.File(tmp_path / "readbacks.h5"))), daemon=True)
    other.start()
    other.join(HANG_S)
    assert found == [1], kept


@pytest.mark.parametrize(
    ("values", "stamps", "sentence"),
    [
        ([1.0, 2.0], [1], "one stamp per value"),
        (["a"], [1], "no history"),
        ([1.0], [0.5], "no history"),
        ([], [], "no updates of x"),
    ],
)
def test_readbacks_that_are_no_histories_are_refused(tmp_path: Path, values: Any, stamps: Any, sentence: str) -> None:
    path = tmp_path / "readbacks.h5"
    with h5py.File(path, "w") as file:
        for name in ("x", "y"):
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"], group["timestamp_ns"] = values, np.array(stamps, None if stamps else np.int64)
    with pytest.raises(SourceError, match=sentence):
        load_readbacks(path)
