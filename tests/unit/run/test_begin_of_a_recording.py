"""Where a recording begins is told by the frame that was taken first, and never made up by one with a wrong id."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.core.run import EndReason, RunState
from stream_service.run.recorded.ingest import Listener, Outcome, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.testing.memory_recording import PERIOD_NS, START_NS, MemoryRecording, attributes_of, frames_of

IDS = [70000, 2, 3, 4, 5, 6]


class Growing(MemoryRecording):
    """More may come, so that nobody knows the ids of all."""

    identities = None


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def made(
    tmp_path: Path, ids: list[int], stamps_ns: list[int], kind: type[MemoryRecording] = MemoryRecording
) -> tuple[list[int], Outcome, str, list[str]]:
    heard, output = Heard(), tmp_path / "out.h5"
    recording = kind(frames_of(len(ids)), attributes_of(len(ids)), ids=ids, stamps_ns=stamps_ns)
    outcome = ingest(recording, output, IngestSettings(), listener=heard)
    with h5py.File(output) as file:
        assert file["/entry/run/state"][()].decode() == outcome.state
        stored, reason = file["/entry/frames/unique_id"][:, 0].tolist(), file["/entry/run/end_reason"][()].decode()
    return stored, outcome, reason, heard.notes


def stamps_of(ids: list[int]) -> list[int]:
    """By the ids: the stamp of a wrong one is wrong, too."""
    return [START_NS + id * PERIOD_NS for id in ids]


def test_first_frame_with_a_wrong_id_and_stamp_makes_no_other_one_old(tmp_path: Path) -> None:
    stored, outcome, reason, notes = made(tmp_path, IDS, stamps_of(IDS))
    assert stored == IDS[1:]
    assert (outcome.state, reason) == (RunState.INCOMPLETE, EndReason.RECORDING_READ), "a frame of it is not stored"
    assert "1 frame with an implausible id is not stored (id 70000)" in notes
    assert "from before the run" not in outcome.sentence


def test_while_it_grows_nothing_is_said_to_be_from_before_the_run(tmp_path: Path) -> None:
    stored, outcome, _, _ = made(tmp_path, IDS, stamps_of(IDS), Growing)
    assert stored == IDS and outcome.state is RunState.INCOMPLETE
    assert outcome.sentence == "6 of 7 frames stored in 6 rows, 1 lost (missing ids: 1:1)"


def test_late_frames_of_the_run_are_still_late(tmp_path: Path) -> None:
    ids = [1, 2, 4, 5, 3, 6]
    assert made(tmp_path, ids, stamps_of(ids))[1].state is RunState.COMPLETE


@pytest.mark.parametrize("kind", [MemoryRecording, Growing])
def test_counter_that_was_reset_after_its_first_frame_is_an_epoch(tmp_path: Path, kind: type[MemoryRecording]) -> None:
    ids = [70000, 1, 2, 3, 4]
    stored, outcome, reason, _ = made(tmp_path, ids, [START_NS + n * PERIOD_NS for n in range(5)], kind)
    assert (stored, outcome.state, reason) == (ids, RunState.COMPLETE, EndReason.ALL_IN)


def test_recording_without_stamps_does_not_make_up_when_it_began(tmp_path: Path) -> None:
    """Neither the time of day nor 1970."""
    recording = MemoryRecording(frames_of(3), attributes_of(3), stamps_ns=[0] * 3, has_timestamps=False)
    ingest(recording, tmp_path / "out.h5", IngestSettings())
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/run/start_timestamp_ns"][()] == 0 and file["/entry_1/start_time"][()] == b""


def test_wrong_stamp_of_the_first_frame_is_not_the_start(tmp_path: Path) -> None:
    stamps_ns = [START_NS + n * PERIOD_NS for n in range(5)]
    made(tmp_path, [1, 2, 3, 4, 5], [stamps_ns[0] + 3600 * 10**9, *stamps_ns[1:]])
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/run/start_timestamp_ns"][()] == 0
        assert np.count_nonzero(file["/entry/frames/flags"][()]) == 0  # its position came with it
