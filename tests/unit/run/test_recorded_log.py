"""A log by time beside frames whose ids or order are not plain: nothing of it is lost, and no frame loses its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.errors import SourceError
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_readbacks import RecordedHistory, RecordedReadbacks
from stream_service.testing.memory_recording import PERIOD_NS, START_NS, MemoryRecording, attributes_of, frames_of

S_NS = 1_000_000_000
FACTS = Facts(energy_eV=700.0, det_dist_m=0.1, pixel_m=1e-5, exposure_s=0.001)
LONG = 40_000
"""Updates: more than pairing keeps of a channel at once."""


def every(period_ns: int, n: int, begin_ns: int = START_NS - S_NS) -> RecordedHistory:
    """An axis that moves at constant speed."""
    return RecordedHistory(begin_ns + np.arange(n) * period_ns, np.arange(n) * 0.05, "um")


def moving_until(end_ns: int) -> RecordedHistory:
    return RecordedHistory(np.array([START_NS - S_NS - 1, end_ns]), np.array([1.0, 0.0]))


def log_of(**histories: RecordedHistory) -> IngestSettings:
    return IngestSettings(facts=FACTS, readbacks=RecordedReadbacks(Path("log.csv"), histories))


def recorded(ids: list[int], shape: tuple[int, int] = (6, 8), **more: Any) -> MemoryRecording:
    frames = np.zeros((len(ids), *shape), np.uint16)
    return MemoryRecording(frames, [{}] * len(ids), ids=ids, rules=(), facts=FACTS, **more)


def flags(path: Path) -> list[int]:
    with h5py.File(path) as file:
        return file["/entry/frames/flags"][()].ravel().tolist()


@pytest.mark.parametrize(
    ("ids", "stamps_s"), [([1, 2, 4, 5], [0, 1, 2, 40]), ([1, 2, 3, 5], [0, 1, 2, 3])], ids=["pause", "end"]
)
def test_frame_whose_id_waits_keeps_its_readbacks_however_long_the_log_goes_on(
    tmp_path: Path, ids: list[int], stamps_s: list[int]
) -> None:
    axis = every(1_000_000, LONG + 2000)
    recording = recorded(ids, stamps_ns=[START_NS + s * S_NS for s in stamps_s])
    ingest(recording, tmp_path / "out.h5", log_of(x=axis, y=axis))
    assert flags(tmp_path / "out.h5") == [0] * 4


def test_log_before_a_first_frame_whose_id_waits_is_recorded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_service.run.run_rows.MAX_EARLY_READBACKS", 10)
    axis = every(10_000_000, 300)
    settings = IngestSettings(facts=FACTS, readbacks=log_of(x=axis, y=axis).readbacks, first_unique_id=1)
    ingest(recorded([4, 5, 6]), tmp_path / "out.h5", settings)
    with h5py.File(tmp_path / "out.h5") as file:
        assert len(file["/entry/readbacks/x/value"]) == len(file["/entry/readbacks/y/value"]) == 300


def test_memory_takes_no_readback_from_large_frames_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two frames come at once after a gap, and the turn of the axis that both need is told by the second update to come
    monkeypatch.setattr("stream_service.run.recorded.recorded_sources.RecordedSources.budget_bytes", 100)
    axis, moves = every(100_000_000, 60), moving_until(START_NS + 4 * S_NS)
    ids = [*range(1, 9), *range(11, 15)]
    ingest(recorded(ids), tmp_path / "out.h5", log_of(x=axis, y=axis, x_moving=moves, y_moving=moves))
    assert flags(tmp_path / "out.h5") == [0] * len(ids)


def test_frames_that_come_late_take_back_nothing_that_a_record_has_told(tmp_path: Path) -> None:
    # x stands for the last ten seconds, which only the end of the log tells
    x, y = every(S_NS // 2, 10), every(S_NS // 2, 50)
    settings = log_of(x=x, y=y, x_moving=moving_until(START_NS + 4 * S_NS), y_moving=moving_until(START_NS + 15 * S_NS))
    late = [71, 72, 73]
    ids = [*(n for n in range(1, 101) if n not in late), *late, *range(101, 120)]
    recording = recorded(ids, stamps_ns=[START_NS + n * 10 * PERIOD_NS for n in ids])
    outcome = ingest(recording, tmp_path / "out.h5", settings, live=True)
    assert outcome.account.is_complete and outcome.rows == len(ids)


def test_recording_of_which_no_frame_can_be_stored_is_refused_with_the_account(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(1), attributes_of(1), ids=[5000])
    settings = IngestSettings(first_unique_id=1)
    for live in (False, True):
        with pytest.raises(SourceError, match=r"no frame can be stored.* 1 with an implausible id"):
            ingest(recording, tmp_path / "out.h5", settings, live=live)
    with pytest.raises(SourceError, match="no frame can be stored"):
        replay(recording, tmp_path, settings)
    assert not list(tmp_path.iterdir())
