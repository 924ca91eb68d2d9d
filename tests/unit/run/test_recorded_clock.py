"""Frames and a log by time must tell of the same time, or nothing is paired; outside of the log no value holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.core.exposure import Flag
from stream_service.errors import ConfigError, SourceError
from stream_service.run.recorded.ingest import Listener, Outcome, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks, load_readbacks
from stream_service.testing.memory_recording import PERIOD_NS, START_NS, MemoryRecording, frames_of

N = 20
EPICS_S = 631_152_000
FACTS = Facts(700.0, 0.1, 1e-5, 0.0)


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def log(path: Path, start_s: float, end_s: float, offset_s: float = 0.0, every_s: float = 0.01) -> Path:
    """x in micrometres is the time since the first frame in hundredths of a second, one line every 10 ms."""
    times_s = np.arange(start_s, end_s, every_s)
    lines = [f"{START_NS + round((t + offset_s) * 1e9)},{t * 100:.6f},0" for t in times_s]
    path.write_text("\n".join(["timestamp_ns,posx_um,posy_um", *lines]))
    return path


def recording(stamps_ns: list[int] | None = None, **more: Any) -> MemoryRecording:
    stamps_ns = [START_NS + i * PERIOD_NS for i in range(N)] if stamps_ns is None else stamps_ns
    n = len(stamps_ns)
    return MemoryRecording(
        frames_of(n), [{}] * n, stamps_ns=stamps_ns, rules=(), is_on_sample=False, facts=FACTS, **more
    )


def made(tmp_path: Path, recorded: MemoryRecording, readbacks: RecordedReadbacks) -> tuple[Any, list[str], Outcome]:
    heard, output = Heard(), tmp_path / "out.h5"
    outcome = ingest(recorded, output, IngestSettings(readbacks=readbacks), listener=heard)
    with h5py.File(output) as file:
        entry = file["/entry"]
        return (entry["posx_m"][()] * 1e6, entry["frames/flags"][()], entry["keep"][()]), heard.notes, outcome


def test_log_of_the_same_time_is_paired(tmp_path: Path) -> None:
    (x_um, flags, keep), notes, outcome = made(tmp_path, recording(), load_readbacks(log(tmp_path / "l.csv", -1, 1)))
    np.testing.assert_allclose(x_um, np.arange(N), atol=1e-6)
    assert not flags.any() and keep.all() and outcome.flagged == ""
    assert not any("outside" in note for note in notes)


@pytest.mark.parametrize(
    ("offset_s", "sentence"),
    [
        (-EPICS_S, rf"They are {EPICS_S} s apart, .*: the log may be .* EPICS epoch; --readbacks-offset-s {EPICS_S}"),
        (EPICS_S, rf"the frames may be counted from the EPICS epoch; --readbacks-offset-s -{EPICS_S}"),
        (-7200, r"With \+2 hours they fit: .*--readbacks-offset-s 7200"),
        (19800, r"With -5.5 hours they fit"),
        (-86400 * 3, "They are 2592"),
        (37, "They are 36"),
    ],
)
def test_log_of_another_time_is_refused_with_both_times_and_the_likely_cause(
    tmp_path: Path, offset_s: float, sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        made(tmp_path, recording(), load_readbacks(log(tmp_path / "l.csv", -1, 1, offset_s)))
    assert "was taken 2026-11-2" in str(caught.value) and "log" in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("offset_s", "found_s"), [(-EPICS_S, EPICS_S), (EPICS_S, -EPICS_S), (-7200, 7200), (3600, -3600)]
)
def test_cause_is_named_for_a_log_that_begins_after_the_first_frame(
    tmp_path: Path, offset_s: float, found_s: int
) -> None:
    """A log with a line for each frame, written after its readout, never holds the middle of the first exposure."""
    path = log(tmp_path / "l.csv", 0.005, 0.2, offset_s)
    with pytest.raises(SourceError, match=rf"--readbacks-offset-s {found_s}\. Give the log of this scan"):
        made(tmp_path, recording(), load_readbacks(path))


def test_offset_that_the_operator_states_is_added_and_recorded(tmp_path: Path) -> None:
    readbacks = load_readbacks(log(tmp_path / "l.csv", -1, 1, -EPICS_S), EPICS_S)
    (x_um, flags, _), _, _ = made(tmp_path, recording(), readbacks)
    np.testing.assert_allclose(x_um, np.arange(N), atol=1e-6)
    with h5py.File(tmp_path / "out.h5") as file:
        assert b'"readbacks_offset_s": 631152000.0' in file["/entry/process/settings"][()]
    assert not flags.any()


def test_offset_of_a_log_by_rows_has_no_meaning(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("frame_index,posx_um,posy_um\n0,1,1\n")
    with pytest.raises(ConfigError, match="--readbacks-offset-s has no meaning"):
        load_readbacks(tmp_path / "l.csv", 1.0)


@pytest.mark.parametrize("moves", ["x", "y"])
def test_what_lies_outside_of_a_log_is_not_held(tmp_path: Path, moves: str) -> None:
    """Five frames before the log, five after it; its other axis stands still, and its last update was long before."""
    csv = log(tmp_path / "l.csv", 0.0455, 0.1446, every_s=0.01)
    if moves == "y":
        csv.write_text(csv.read_text().replace("posx_um,posy_um", "posy_um,posx_um"))
    (_, flags, keep), notes, outcome = made(tmp_path, recording(), load_readbacks(csv))
    outside = [True] * 5 + [False] * 9 + [True] * 6
    assert (flags != 0).tolist() == outside and keep.tolist() == [int(not one) for one in outside]
    assert set(flags[flags != 0]) == {Flag.UNBRACKETED}
    assert "5 of 20 frames were taken before the log of readbacks begins: they are stored, and not used" in notes
    assert "6 of 20 frames were taken after it ends: they are stored, and not used" in notes
    assert any("frames outside of it have no position" in note for note in notes)
    assert outcome.flagged == "11 of 20 rows are flagged (unbracketed 11): stored, not used"


def test_frames_without_stamps_are_refused_for_a_log_by_time(tmp_path: Path) -> None:
    without = recording([0] * N, has_timestamps=False)
    with pytest.raises(SourceError, match="have no time stamps: give a log with unique_id or frame_index"):
        made(tmp_path, without, load_readbacks(log(tmp_path / "l.csv", -1, 1)))


def test_one_stamp_for_all_frames_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"all 20 frames of scan.h5 have one stamp \(2026-11-2"):
        made(tmp_path, recording([START_NS] * N), load_readbacks(log(tmp_path / "l.csv", -1, 1)))


# the log itself


def written(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    path.write_text("\n".join(["timestamp_ns,posx_um,posy_um", *(",".join(map(str, row)) for row in rows)]))
    return path


def test_log_in_any_order_of_lines_is_put_in_order(tmp_path: Path) -> None:
    lines = log(tmp_path / "l.csv", -1, 1).read_text().splitlines()
    np.random.default_rng(0).shuffle(body := lines[1:])
    for shuffled in (body, lines[:0:-1], [*lines[100:], *lines[1:100]]):
        (tmp_path / "l.csv").write_text("\n".join([lines[0], *shuffled]))
        x_um = made(tmp_path, recording(), load_readbacks(tmp_path / "l.csv"))[0][0]
        np.testing.assert_allclose(x_um, np.arange(N), atol=1e-6)
        (tmp_path / "out.h5").unlink()


def test_clock_of_a_log_that_was_set_back_is_refused(tmp_path: Path) -> None:
    rows = [(START_NS + i * PERIOD_NS - (2_000_000_000 if i > 250 else 0), i, 0) for i in range(400)]
    with pytest.raises(SourceError, match=r"step back by 1.5 s, and what follows covers a time that is logged already"):
        load_readbacks(written(tmp_path / "l.csv", rows))


def test_value_that_is_no_number_is_an_update_that_nobody_trusts_and_an_empty_cell_is_none(tmp_path: Path) -> None:
    rows = [
        (START_NS + i * PERIOD_NS - 1_000_000, "nan" if i == 8 else i, "" if i > 0 else 0) for i in range(-2, N + 30)
    ]
    readbacks = load_readbacks(written(tmp_path / "l.csv", rows))
    assert readbacks.notes == (
        f"{tmp_path / 'l.csv'}: 1 of 52 values of posx_m is not a number; frames beside it are flagged",
    )
    (_, flags, keep), _, _ = made(tmp_path, recording(), readbacks)
    assert np.flatnonzero(flags).tolist() == [7, 8] and np.flatnonzero(keep == 0).tolist() == [7, 8]


@pytest.mark.parametrize("unit", ["furlong", "eV", ""])
def test_position_in_a_unit_nobody_knows_is_refused(tmp_path: Path, unit: str) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        for name in ("x", "y"):
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"], group["timestamp_ns"] = [1.0, 2.0], np.array([1, 2])
            group["value"].attrs["units"] = unit
    has = f"the unit '{unit}'" if unit else r"no unit \(@units\)"
    with pytest.raises(SourceError, match=f"has {has}; it must be one of m, mm, um"):
        load_readbacks(tmp_path / "r.h5")


def run_file(path: Path, *, live: bool, end_ns: int, start_ns: int = START_NS) -> Path:
    """x and y were posted once, long before the last frame."""
    with h5py.File(path, "w") as file:
        for name in ("x", "y"):
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"], group["timestamp_ns"] = [1.0], np.array([START_NS - 5_000_000_000])
            group["value"].attrs["units"] = "um"
        file["/entry/frames/timestamp_ns"] = np.array([[START_NS], [START_NS + 3 * PERIOD_NS], [START_NS + 10**18]])
        file["/entry/frames/flags"] = np.array([0, 0, Flag.UNBRACKETED], np.uint32)
        file["/entry/run/start_timestamp_ns"], file["/entry/run/end_timestamp_ns"] = start_ns, end_ns
        file["/entry/process/settings"] = np.bytes_(b'{"request": {}}' if live else b'{"ingest": {}}')
    return path


def test_last_update_of_a_live_run_holds_until_the_run_ended(tmp_path: Path) -> None:
    readbacks = load_readbacks(run_file(tmp_path / "r.h5", live=True, end_ns=START_NS + 10 * PERIOD_NS))
    (x_um, flags, _), _, _ = made(tmp_path, recording(), readbacks)
    np.testing.assert_allclose(x_um[:11], 1)
    assert (flags != 0).tolist() == [False] * 11 + [True] * 9


@pytest.mark.parametrize(("live", "start_ns"), [(False, START_NS), (True, START_NS + 10**15)])
def test_end_of_an_ingest_or_a_replay_says_nothing_of_the_readbacks(tmp_path: Path, live: bool, start_ns: int) -> None:
    path = run_file(tmp_path / "r.h5", live=live, end_ns=START_NS + 10**16, start_ns=start_ns)
    (_, flags, _), _, _ = made(tmp_path, recording(), load_readbacks(path))
    assert (flags != 0).tolist() == [False] * 4 + [True] * 16


# what lies between two entries


def test_entries_too_far_apart_do_not_tell_where_the_axis_was(tmp_path: Path) -> None:
    """One entry a second of an axis that moves."""
    seconds = recording([START_NS + i * 100_000_000 for i in range(N)])
    csv = log(tmp_path / "l.csv", -1, 4, every_s=1.0)
    (_, flags, keep), notes, _ = made(tmp_path, seconds, load_readbacks(csv))
    assert flags.tolist() == [Flag.UNCERTAIN] * N and not keep.any()
    assert any("20 of 20 frames lie between entries of the log too far apart" in note for note in notes)


@pytest.mark.parametrize("cut", ["hole", "blank", "jump"])
def test_hole_in_a_sampled_log_is_not_rest(tmp_path: Path, cut: str) -> None:
    lines = log(tmp_path / "l.csv", -1, 4).read_text().splitlines()
    inside = range(130, 231)  # lines from 0.29 s to 1.29 s
    if cut == "hole":
        lines = [line for i, line in enumerate(lines) if i not in inside]
    elif cut == "blank":
        lines = [",".join([line.split(",")[0], "", "0"]) if i in inside else line for i, line in enumerate(lines)]
    else:  # a clock that jumped ahead by a second
        cells = [line.split(",") for line in lines]
        lines = [
            ",".join([str(int(a) + 10**9) if i in inside or i > 130 else a, b, c]) if i else lines[0]
            for i, (a, b, c) in enumerate(cells)
        ]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    seconds = recording([START_NS + i * 100_000_000 for i in range(13)])
    (x_um, flags, keep), _, _ = made(tmp_path, seconds, load_readbacks(tmp_path / "l.csv"))
    assert flags.tolist() == [0, 0, 0] + [Flag.UNCERTAIN] * 10 and not keep[3:].any()
    np.testing.assert_allclose(x_um[:3], [0, 10, 20], atol=1e-6)


def test_entries_on_change_hold_when_it_is_said(tmp_path: Path) -> None:
    """A step scan: an entry when the stage has arrived."""
    rows = [(START_NS + i * 1_000_000_000, i, 0) for i in range(-1, 5)]
    readbacks = load_readbacks(written(tmp_path / "l.csv", rows), on_change=True)
    recorded = recording([START_NS + i * 1_000_000_000 + 300_000_000 for i in range(4)])
    (x_um, flags, _), _, _ = made(tmp_path, recorded, readbacks)
    np.testing.assert_allclose(x_um, range(4))
    assert not flags.any()


def history_file(path: Path, values_um: list[float], stamps_s: list[float], moving: Any = None) -> Path:
    """As a live run recorded it: the updates of x; y stands still."""
    histories = {"x": (values_um, stamps_s), "y": ([0.0], stamps_s[:1])} | ({"x_moving": moving} if moving else {})
    with h5py.File(path, "w") as file:
        for name, (values, times_s) in histories.items():
            group = file.create_group(f"/entry/readbacks/{name}")
            group["value"] = np.array(values, float)
            group["timestamp_ns"] = START_NS + np.round(np.array(times_s) * 1e9).astype(np.int64)
            group["value"].attrs["units"] = "um"
    return path


@pytest.mark.parametrize("kind", ["file of a live run", "log of two axes in turn"])
def test_silence_between_updates_is_no_rest_unless_somebody_says_so(tmp_path: Path, kind: str) -> None:
    """A stage that posts once a second while it moves at 10 um/s; live, every row of it is flagged."""
    times_s = [float(t) for t in range(-1, 5)]
    if kind == "file of a live run":
        path = history_file(tmp_path / "r.h5", [10 * t for t in times_s], times_s)
    else:
        rows = [(START_NS + round(t * 1e9), 10 * t, "") for t in times_s]
        rows += [(START_NS + round((t + 0.5) * 1e9), "", 0) for t in (-1.5, *times_s)]
        path = written(tmp_path / "l.csv", sorted(rows, key=lambda row: row[0]))
    recorded = [START_NS + i * 100_000_000 + 50_000_000 for i in range(N)]
    (x_um, flags, keep), notes, _ = made(tmp_path, recording(recorded), load_readbacks(path))
    assert (np.abs(x_um - np.arange(N) - 0.5) > 0.1).any(), "they cannot be known"
    assert flags.tolist() == [Flag.UNCERTAIN] * N and not keep.any()
    assert any("to tell how x moved between" in note or "how x and y moved between" in note for note in notes)


def test_updates_of_a_file_hold_when_it_is_said_that_they_came_on_change(tmp_path: Path) -> None:
    path = history_file(tmp_path / "r.h5", list(range(-1, 5)), list(range(-1, 5)))
    recorded = recording([START_NS + i * 1_000_000_000 + 300_000_000 for i in range(4)])
    (x_um, flags, _), notes, _ = made(tmp_path, recorded, load_readbacks(path, on_change=True))
    np.testing.assert_allclose(x_um, range(4))
    assert not flags.any() and not any("too far apart" in note for note in notes)


def test_motion_whose_stamps_step_back_is_refused_like_a_position(tmp_path: Path) -> None:
    """Sorted by stamp it would say that the axis rests while it moves."""
    moving = ([0, 1, 0, 1, 0], [-3.0, 0.0, 0.6, -1.4, 0.5])
    path = history_file(tmp_path / "r.h5", [0, 0.0, 5, 10], [-3, -1, 0.1, 0.5], moving)
    with pytest.raises(SourceError, match=r"x_moving: the time stamps step back by 1\.9 s"):
        load_readbacks(path)


def test_frame_without_a_stamp_takes_no_time_from_those_after_it(tmp_path: Path) -> None:
    stamps_ns = [0 if i in (0, 5, 6) else START_NS + i * PERIOD_NS for i in range(N)]
    (x_um, flags, _), notes, _ = made(tmp_path, recording(stamps_ns), load_readbacks(log(tmp_path / "l.csv", -1, 1)))
    assert [i for i, flag in enumerate(flags) if flag == Flag.NO_TIME] == [0, 5, 6] and np.count_nonzero(flags) == 3
    assert np.isnan(x_um[[0, 5, 6]]).all()
    assert any("3 of 20 frames have the stamp of the frame before, an earlier one or none" in note for note in notes)


def test_stamps_that_stand_still_are_no_times(tmp_path: Path) -> None:
    stamps_ns = [START_NS + i // 4 * 4 * PERIOD_NS for i in range(N)]
    (x_um, flags, keep), notes, outcome = made(
        tmp_path, recording(stamps_ns), load_readbacks(log(tmp_path / "l.csv", -1, 1))
    )
    fresh = np.arange(N) % 4 == 0
    assert ((flags == 0) == fresh).all() and ((keep == 1) == fresh).all() and set(flags) == {0, Flag.NO_TIME}
    np.testing.assert_allclose(x_um[fresh], np.arange(N)[fresh], atol=1e-6)
    assert outcome.flagged == "15 of 20 rows are flagged (no_time 15): stored, not used"
    assert any(note.startswith("15 of 20 frames") and note.endswith("uniqueId 2, 3, 4, 6, 7, ...") for note in notes)
