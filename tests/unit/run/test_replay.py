"""A recording fed through the live path gives what an ingest of it gives, and paces itself as it was recorded."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.core.run import EndReason, RunState
from stream_service.errors import ConfigError, SourceError
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.settings.beamlines import load_named_profile
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.recorded_choices import Match
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

OF_THE_MOMENT = {"entry/run/end_timestamp_ns", "entry/run/heartbeat", "entry_1/end_time"}
"""All else is equal."""


def datasets_of(file: h5py.File) -> dict[str, Any]:
    found: dict[str, Any] = {}
    file.visititems(lambda name, node: found.update({name: node[()]} if isinstance(node, h5py.Dataset) else {}))
    return {name: value for name, value in found.items() if name not in OF_THE_MOMENT}


def assert_same_as_ingest(tmp_path: Path, recording: Any, settings: IngestSettings) -> None:
    status = replay(recording, tmp_path, settings, rate_hz=2000.0)
    outcome = ingest(recording, tmp_path / "offline.h5", settings)
    assert status.account == outcome.account
    with h5py.File(tmp_path / "scan_std.h5") as live, h5py.File(tmp_path / "offline.h5") as offline:
        there, here = datasets_of(live), datasets_of(offline)
    assert there.keys() == here.keys() and len(there) > 50
    for name, value in there.items():
        np.testing.assert_array_equal(value, here[name], err_msg=name)


def test_replay_equals_ingest(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1, 2] = 1
    references = {"mask": mask, "dark": np.full((6, 8), 3.0)}
    recording = MemoryRecording(frames_of(20), at_one_place(attributes_of(20), 2), references=references)
    preprocessing = Preprocessing(frames_per_position=2, rotate=90, flip="v", sat=50)
    assert_same_as_ingest(tmp_path, recording, IngestSettings(preprocessing=preprocessing))


def test_replay_of_a_recording_with_holes_equals_ingest(tmp_path: Path) -> None:
    kept = [0, 1, 3, 4, 5, 8, 9]
    recording = MemoryRecording(frames_of(7), attributes_of(7), ids=kept)
    assert_same_as_ingest(tmp_path, recording, IngestSettings(preprocessing=Preprocessing(frames_per_position=2)))


def test_replay_begins_with_the_id_that_is_given(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(5), attributes_of(5), ids=[2, 3, 4, 5, 6])
    settings = IngestSettings(preprocessing=Preprocessing(frames_per_position=2, allow_spread=True), first_unique_id=1)
    assert_same_as_ingest(tmp_path, recording, settings)


def test_replay_finds_gaps_and_kinds_of_flats_as_an_ingest_does(tmp_path: Path) -> None:
    frames = frames_of(12).astype("u4")
    frames[:, 2:4], frames[7, 5, 5] = 2**32 - 1, 2**32 - 1
    references = {"dark": np.full((6, 8), 3.0), "flat": np.linspace(0.9, 1.1, 48).reshape(6, 8)}
    assert_same_as_ingest(tmp_path, MemoryRecording(frames, attributes_of(12), references=references), IngestSettings())


def test_replay_leaves_out_what_was_rejected_as_an_ingest_does(tmp_path: Path) -> None:
    assert_same_as_ingest(
        tmp_path, MemoryRecording(frames_of(5), attributes_of(5)), IngestSettings(rejected=frozenset({1}))
    )


def test_replay_pairs_recorded_readbacks_as_an_ingest_does(tmp_path: Path) -> None:
    n = 60
    stamps = START_NS + np.arange(-5, n + 5) * PERIOD_NS + 3_000_000
    histories = {
        "x": RecordedHistory(stamps, np.cumsum(np.random.default_rng(5).normal(size=len(stamps))), "um"),
        "y": RecordedHistory(stamps[:1], np.array([2.0]), "um"),
    }
    recording = MemoryRecording(frames_of(n), [{"energy": 700.0}] * n, ids=list(range(n)), rules=(), is_on_sample=False)
    settings = IngestSettings(
        profile=load_named_profile("sim"), readbacks=RecordedReadbacks(Path("readbacks.h5"), histories)
    )
    assert_same_as_ingest(tmp_path, recording, settings)


def test_replay_pairs_a_log_with_rows_as_an_ingest_does(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "frame_index,posx_um,posy_um,energy_eV\n" + "".join(f"{i},{i * i},{-i},{700 + i}\n" for i in range(9))
    )
    recording = MemoryRecording(frames_of(10), [{}] * 10, rules=(), is_on_sample=False)
    # nine rows for ten frames, so that it must be said which ones they are
    settings = IngestSettings(profile=load_named_profile("sim"), readbacks=load_readbacks(log), match=Match.NUMBER)
    assert_same_as_ingest(tmp_path, recording, settings)


def test_replay_flags_what_a_sampled_log_does_not_tell_as_an_ingest_does(tmp_path: Path) -> None:
    log, n = tmp_path / "log.csv", 100
    lines = [f"{START_NS + i * PERIOD_NS},{i},0" for i in range(-5, n + 40) if not 20 < i < 70]
    log.write_text("timestamp_ns,posx_um,posy_um\n" + "\n".join(lines))
    recording = MemoryRecording(frames_of(n), [{"energy": 700.0}] * n, ids=list(range(n)), rules=(), is_on_sample=False)
    recording.facts = type(recording.facts)(700.0, 0.1, 1e-5, 0.01)
    assert_same_as_ingest(tmp_path, recording, IngestSettings(readbacks=load_readbacks(log)))
    with h5py.File(tmp_path / "scan_std.h5") as file:
        keep = file["/entry/keep"][()]
        # with the legs beside the hole, whose ends do not tell how fast the axis went
        assert np.flatnonzero(keep == 0).tolist() == list(range(20, 72))


def test_one_energy_of_the_scan_is_that_of_every_frame(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(3), [{"posx": 1.0, "posy": 2.0}] * 3, rules=STAGE, is_on_sample=False)
    recording.facts = type(recording.facts)(700.0, 0.1, 1e-5, 0.01)
    assert_same_as_ingest(tmp_path, recording, IngestSettings())


def test_frames_come_in_their_own_rhythm(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(11), attributes_of(11))  # 10 ms apart
    replay(recording, tmp_path / "warm", IngestSettings(), rate_hz=1e4)
    began_s = time.monotonic()
    replay(recording, tmp_path, IngestSettings(), speed=0.2)
    assert time.monotonic() - began_s > 10 * 0.01 / 0.2


def test_recording_that_breaks_in_the_middle_is_told_and_its_rows_are_kept(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"frames 3 to 5 .*; .*scan_std.h5 keeps the 3 rows before that, and is FAILED"
    ):
        replay(Breaking(frames_of(6), attributes_of(6)), tmp_path, IngestSettings(), rate_hz=1000.0)
    with h5py.File(tmp_path / "scan_std.h5") as file:
        assert len(file["/entry/data"]) == 3
        assert file["/entry/run/state"][()].decode() == RunState.FAILED
        assert "frames 3 to 5 cannot be read" in file["/entry/run/message"][()].decode()
        assert (file["/entry/ledger/expected"][()], file["/entry/ledger/lost"][()]) == (6, 3)


def test_group_that_waits_to_be_judged_is_kept_where_a_recording_breaks(tmp_path: Path) -> None:
    """The first one, whose exposures lie apart, waits for the second, which tells the usual step."""
    settings = IngestSettings(preprocessing=Preprocessing(frames_per_position=3, allow_spread=True))
    with pytest.raises(SourceError, match=r"scan_std.h5 keeps the 1 row before that"):
        replay(Breaking(frames_of(6), attributes_of(6)), tmp_path, settings, rate_hz=1000.0)


def test_replay_never_overwrites_a_file(tmp_path: Path) -> None:
    recording = MemoryRecording(frames_of(2), attributes_of(2))
    replay(recording, tmp_path, IngestSettings(), rate_hz=1000.0)
    with pytest.raises(Exception, match="exists already"):
        replay(recording, tmp_path, IngestSettings(), rate_hz=1000.0)


def test_replay_loads_no_library_of_epics():
    """What the core calls events knows nothing of Channel Access."""
    code = (
        "import stream_service.run.recorded.replay, sys; print(sorted({'epics', 'caproto', 'p4p'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_replay_refuses_groups_that_are_no_positions_as_an_ingest_does(tmp_path: Path) -> None:
    """Soon, of a long scan, and at its end, of a short one; the file that others may follow says so."""
    settings = IngestSettings(preprocessing=Preprocessing(frames_per_position=3))
    for n in (60, 24):
        recording = MemoryRecording(frames_of(n), attributes_of(n))
        with pytest.raises(ConfigError, match=r"give --frames-per-pos 1, or --allow-spread") as offline:
            ingest(recording, tmp_path / "offline.h5", settings)
        with pytest.raises(ConfigError) as live:
            replay(recording, tmp_path / str(n), settings, rate_hz=1000.0)
        path = tmp_path / str(n) / "scan_std.h5"
        if n == 24:
            assert str(live.value).startswith(f"{offline.value}; {path} keeps the ")
        with h5py.File(path) as file:
            assert file["/entry/run/state"][()] == b"FAILED"
            assert file["/entry/run/end_reason"][()].decode() == EndReason.REFUSED


def test_reason_of_a_recording_that_breaks_is_the_recording(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        replay(Breaking(frames_of(6), attributes_of(6)), tmp_path, IngestSettings(), rate_hz=1000.0)
    with pytest.raises(SourceError, match=r"out.h5 keeps the 3 rows before that, and is FAILED"):
        ingest(Breaking(frames_of(6), attributes_of(6)), tmp_path / "out.h5", IngestSettings(), live=True)
    for name in ("scan_std.h5", "out.h5"):
        with h5py.File(tmp_path / name) as file:
            assert file["/entry/run/end_reason"][()].decode() == "the recording cannot be read to its end"


def test_notes_of_a_replay_come_as_they_are_known_and_once(tmp_path: Path) -> None:
    heard: list[str] = []
    rows = []
    recording = MemoryRecording(frames_of(6), attributes_of(6), notes=["the recording says something"])
    status = replay(
        recording,
        tmp_path,
        IngestSettings(rejected=frozenset({1, 4})),
        rate_hz=100.0,
        on_note=lambda text: (heard.append(text), rows.append((tmp_path / "scan_std.h5").exists()))[0],
    )
    assert heard.count("the recording says something") == 1
    (about_rejected,) = [text for text in heard if "reject list" in text]
    assert about_rejected == "2 positions are stored and not used (keep = 0), as the reject list says: 1, 4"
    assert not rows[heard.index(about_rejected)], "before the first frame"
    assert len(set(heard)) == len(heard) and not any(text in status.message for text in heard)


@pytest.mark.parametrize(
    ("name", "made"),
    [("demo_std.h5", "demo_replay_std.h5"), ("s7_raw.h5", "s7_replay_std.h5"), ("a b.cxi", "a_b_std.h5")],
)
def test_file_of_a_replay_never_has_the_name_of_the_scans_own(tmp_path: Path, name: str, made: str) -> None:
    replay(MemoryRecording(frames_of(2), attributes_of(2), path=Path(name)), tmp_path, IngestSettings(), rate_hz=1e3)
    assert [path.name for path in tmp_path.iterdir()] == [made]
