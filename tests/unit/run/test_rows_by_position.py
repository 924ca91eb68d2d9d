"""Rows by position: a detector that takes any number of frames at each, of which some are exposed in the moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
import pytest
from killed_run import go_on, killed
from scripted_run import Bench, ScriptedSources, frames

from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.pairing.readback import Readback
from stream_service.core.run import RunState
from stream_service.errors import ConfigError
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.run import Run
from stream_service.settings.preprocessing import Preprocessing
from stream_service.sources.tables.recorded_readbacks import load_readbacks
from stream_service.standard_file import validate_file
from stream_service.testing.memory_recording import MemoryRecording, attributes_of, frames_of
from stream_service.testing.scripted_raw_file import ScriptedRawFile

T0_NS = int(corpus.STAMP_S * 1e9)
MS = 1_000_000
MOST = 6


@dataclass
class Stepped:
    """What a scan would be: frames of a free-running detector, one each millisecond, and a stage that steps."""

    visits: Sequence[tuple[float, int]]
    """Place in um, and frames that are exposed while the stage stands there."""
    n_moving: int = 1
    """Frames that are exposed in each move."""
    rows: list[list[int]] = field(default_factory=list)
    """Frames of each position, by uniqueId."""
    moving: list[int] = field(default_factory=list)
    events: list[Readback] = field(default_factory=list)

    def __post_init__(self) -> None:
        last, x_um = 0, 3.0
        for place_um, n in self.visits:
            n_moving = self.n_moving if place_um != x_um else 0
            if n_moving:
                self._move(last, n_moving, x_um, place_um)
            self.moving += range(last + 1, last + n_moving + 1)
            self.rows.append(list(range(last + n_moving + 1, last + n_moving + n + 1)))
            last, x_um = last + n_moving + n, place_um
        self.n_frames = last

    def _move(self, last: int, n_moving: int, from_um: float, to_um: float) -> None:
        """In the middle of the frames that are exposed in it; what is posted last is stamped as the motion ends."""
        start_ns, end_ns = T0_NS + last * MS + MS // 4, T0_NS + (last + n_moving) * MS - MS // 4
        self.events.append(Readback("x_moving", 1.0, start_ns))
        for part in (0.25, 0.5, 0.75, 1.0):
            stamp_ns = start_ns + round(part * (end_ns - start_ns))
            self.events.append(Readback("x", from_um + part * (to_um - from_um), stamp_ns))
        self.events.append(Readback("x_moving", 0.0, end_ns))


SCAN = Stepped([(3.0, 4), (3.5, 2), (4.0, 6), (4.5, 1), (3.0, 3), (3.5, 5)])


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(scan: Stepped = SCAN, preprocessing: dict[str, Any] | None = None, **request: Any) -> Bench:
        given = {"group_by": "position", "frames_per_position": MOST, "exposure_s": 0.0009} | request
        b = Bench(tmp_path, preprocessing=preprocessing, **given)
        b.beamline.readbacks.events += scan.events
        return b

    return make


def recorded(ids: Sequence[int]) -> list[Frame]:
    pixels = [np.full((6, 8), n & 0xFFFF, np.uint16) for n in ids]
    return [
        Frame(n, T0_NS + n * MS, image, {"energy": 700.0}, is_backfilled=True)
        for n, image in zip(ids, pixels, strict=True)
    ]


def rows_in(b: Bench, *, used: bool = True) -> list[list[int]]:
    """uniqueIds of each row, in the order they were taken; those that are to be used, or the others."""
    with b.file() as file:
        ids, keep = file["/entry/frames/unique_id"][()], file["/entry/keep"][()]
        n_frames, data = file["/entry/frames/n_frames"][()], file["/entry/data"][:, 0, 0]
    found = [[n for n in row.tolist() if n >= 0] for row in ids]
    assert [len(row) for row in found] == n_frames.tolist()
    np.testing.assert_allclose(data, [sum(row) for row in found])
    return sorted(row for row, is_kept in zip(found, keep, strict=True) if bool(is_kept) == used)


def check(b: Bench) -> None:
    """What holds of every file."""
    assert [finding for finding in validate_file(b.run.setup.path) if finding.level == "error"] == []
    account = b.run.status().account
    settled = account.stored + account.backfilled + account.lost + account.incomplete + account.not_exposed
    assert settled == account.expected and account.pending == 0


def test_frames_of_one_position_are_a_row_however_many_they_are(bench):
    b = bench()
    run = b.play(frames(range(1, SCAN.n_frames + 1)), b.exposed(SCAN.n_frames), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert rows_in(b) == sorted(SCAN.rows)
    assert rows_in(b, used=False) == [[n] for n in SCAN.moving]
    with b.file() as file:
        flags, x_m = file["/entry/frames/flags"][()], file["/entry/posx_m"][()]
        assert set(flags[file["/entry/keep"][()] == 0]) == {Flag.MOVING}
        used = np.argsort(file["/entry/frames/unique_id"][:, 0][file["/entry/keep"][()] == 1])
        np.testing.assert_allclose(-1e6 * x_m[file["/entry/keep"][()] == 1][used], [x for x, _ in SCAN.visits])
    assert f"{len(SCAN.moving)} of {len(SCAN.moving) + len(SCAN.rows)} rows are flagged (moving" in run.message
    check(b)


def test_more_frames_than_a_row_may_have_are_another_row_of_the_position(bench):
    scan = Stepped([(3.0, 14), (4.0, 2)])
    b = bench(scan)
    run = b.play(frames(range(1, scan.n_frames + 1)), b.exposed(scan.n_frames), b.stop)
    assert run.state is RunState.COMPLETE
    assert rows_in(b) == [[*range(1, 7)], [*range(7, 13)], [13, 14], [16, 17]]
    check(b)


def test_frames_that_overtake_each_other_and_lost_ones_leave_the_rows_of_others_as_they_are(bench):
    lost, order = {2, 6, 8}, sorted(range(1, SCAN.n_frames + 1), key=lambda n: n + 5 * (n % 3))
    b = bench()
    run = b.play(frames(n for n in order if n not in lost), b.exposed(SCAN.n_frames), b.stop)
    assert run.state is RunState.INCOMPLETE
    assert rows_in(b) == sorted([n for n in row if n not in lost] for row in SCAN.rows)
    assert {n for n, status in b.statuses().items() if status is FrameStatus.LOST} == lost
    assert (
        "1 missing frame was taken amid the frames of one row; 2 missing frames were taken between two" in run.message
    )
    check(b)


@pytest.mark.parametrize("lost", [{2}, {1, 2}, {5}, {4, 5, 6}, {8, 11, 22}, {*range(5, 20)}, {23, 24, 25, 26}])
def test_lost_frames_that_are_found_are_in_the_rows_in_which_they_would_have_been(bench, lost):
    b = bench()
    everything = range(1, SCAN.n_frames + 1)
    raw = ScriptedRawFile(recorded(everything))
    b.run.setup.open_raw_file = lambda: raw
    run = b.play(frames(n for n in everything if n not in lost), b.exposed(SCAN.n_frames), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert rows_in(b) == sorted(SCAN.rows)
    moving_or_replaced = rows_in(b, used=False)
    assert [n for n in SCAN.moving if [n] not in moving_or_replaced] == []
    assert "missing frame" not in run.message
    check(b)


def test_rows_stay_as_they_are_where_the_raw_file_has_less_than_came(bench):
    """The frame that is found makes a row of its own."""
    b = bench()
    raw = ScriptedRawFile(recorded([8, 9, 10, 12]))
    b.run.setup.open_raw_file = lambda: raw
    everything = range(1, SCAN.n_frames + 1)
    b.play(frames(n for n in everything if n != 10), b.exposed(SCAN.n_frames), b.stop)
    assert rows_in(b) == sorted([*(row for row in SCAN.rows if 10 not in row), [10], [9, *range(11, 15)]])
    assert b.run.state is RunState.COMPLETE
    check(b)


@pytest.mark.parametrize("grouping", ["sum", "mean", "first", "best"])
def test_a_live_run_and_an_ingest_of_the_same_exposures_give_the_same_rows(bench, tmp_path, grouping):
    b = bench(preprocessing={"grouping": grouping})
    everything = range(1, SCAN.n_frames + 1)
    assert b.play(frames(everything), b.exposed(SCAN.n_frames), b.stop).state is RunState.COMPLETE
    images = np.array([np.full((6, 8), n, np.uint16) for n in everything])
    stamps_ns = [T0_NS + n * MS for n in everything]
    recording = MemoryRecording(
        images, [{"energy": 700.0, "exposure": 0.0009}] * len(images), stamps_ns=stamps_ns, is_on_sample=False, rules=()
    )
    settings = IngestSettings(
        preprocessing=Preprocessing(group_by="position", frames_per_position=MOST, grouping=grouping),
        profile=b.profile,
        readbacks=load_readbacks(b.run.setup.path),
    )
    ingest(recording, tmp_path / "again.h5", settings)
    assert columns(tmp_path / "again.h5") == columns(b.run.setup.path)


def columns(path: Path) -> dict[str, bytes]:
    names = (
        *("data", "posx_m", "posy_m", "keep", "frames/unique_id", "frames/n_frames", "frames/flags"),
        *("frames/exposure_s", "frames/position_uncertainty_m", "frames/bracket_s", "frames/status"),
    )
    with h5py.File(path) as file:
        return {name: file[f"/entry/{name}"][()].tobytes() for name in names}


def test_rows_tell_their_planned_positions(bench):
    """Also of one that is close to the next, and of one of which every frame was lost."""
    scan = Stepped([(3.0, 2), (3.5, 2), (3.53, 2), (4.0, 2), (3.0, 2)], n_moving=1)
    planned = {"planned_x_m": [-1e-6 * x for x, _ in scan.visits], "planned_y_m": [4e-6] * 5, "n_positions": 5}
    b = bench(scan, **planned)
    gone = scan.rows[3]
    run = b.play(frames(n for n in range(1, scan.n_frames + 1) if n not in gone), b.exposed(scan.n_frames), b.stop)
    with b.file() as file:
        rows = zip(file["/entry/frames/unique_id"][:, 0], file["/entry/frames/planned"], strict=True)
        planned_of = dict(sorted((int(first), int(position)) for first, position in rows))
    assert planned_of == {
        **{row[0]: n for n, row in enumerate(scan.rows) if n != 3},
        **dict.fromkeys(scan.moving, -1),
    }
    assert run.state is RunState.INCOMPLETE
    check(b)


def test_what_cannot_be_grouped_by_position_is_refused_when_the_run_is_armed(bench):
    for request, words in (
        ({"extra_frames": 4, "n_positions": 2}, "extra_frames = 4 are reserved for repeats"),
        ({"frames_per_position": 1}, "needs frames_per_position, the most frames"),
        ({"preprocessing": {"grouping": "none"}}, "grouping: none keeps a row for each"),
    ):
        with pytest.raises(ConfigError, match=words):
            bench(**request).run.arm()


@pytest.mark.parametrize(
    ("changes", "k", "words"),
    [
        ({}, 1, "--group-by position needs --frames-per-pos"),
        ({"rejected": frozenset({3})}, 4, "--reject-json names positions by their number"),
    ],
)
def test_what_cannot_be_grouped_by_position_is_refused_before_a_recording_is_read(tmp_path, changes, k, words):
    recording = MemoryRecording(frames_of(4), attributes_of(4))
    preprocessing = Preprocessing(group_by="position", frames_per_position=k)
    with pytest.raises(ConfigError, match=words):
        ingest(recording, tmp_path / "a.h5", IngestSettings(preprocessing=preprocessing, **changes))
    assert list(tmp_path.iterdir()) == []


def test_positions_on_the_frames_tell_rows_too(tmp_path):
    """Not whether the stage moved: a frame in a move is a row like any other."""
    places = [0.0, 0.0, 0.0, 0.4, 1.0, 1.0, 0.0]
    attributes = [{"x": 1e-6 * x, "y": 0.0, "energy": 700.0} for x in places]
    preprocessing = Preprocessing(group_by="position", frames_per_position=4, grouping="mean")
    recording = MemoryRecording(frames_of(len(places)), attributes)
    ingest(recording, tmp_path / "a.h5", IngestSettings(preprocessing=preprocessing))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["/entry/frames/n_frames"][()].tolist() == [3, 1, 2, 1]
        np.testing.assert_allclose(file["/entry/posx_m"][()], [0.0, 0.4e-6, 1e-6, 0.0], atol=1e-12)
        assert file["/entry/keep"][()].all()


def test_what_positions_do_not_tell_is_said_when_the_run_is_armed(bench):
    b = bench(planned_x_m=[0.0, 1e-6, 1.005e-6], planned_y_m=[0.0] * 3)
    b.run.arm()
    assert "planned positions 1 and 2 are 5 nm apart" in b.run.message
    b.run.disarm()


def test_a_run_whose_service_was_killed_goes_on_and_has_the_rows_it_would_have_had(bench):
    """The row that was open is found once more: its frames so far are in no file but the raw one."""
    heard = [one for one in SCAN.events if one.timestamp_ns < T0_NS + 10 * MS]
    b = bench(Stepped([]))
    b.beamline.readbacks.events += heard
    unfinished = killed(b, 10)
    again = bench(Stepped([]))
    latest = {one.channel: one for one in [*again.beamline.readbacks.events, *heard]}
    again.beamline.readbacks.events = [*latest.values(), *SCAN.events[len(heard) :]]
    again.sources = ScriptedSources(again.profile, again.beamline)
    setup = ResumedSetup(again.profile, unfinished, again.sources)
    setup.open_raw_file = lambda: ScriptedRawFile(recorded(range(1, SCAN.n_frames + 1)))
    again.run = Run(setup, again.sources, again.clock)
    go_on(again, frames(range(11, SCAN.n_frames + 1)), again.settles(), again.exposed(SCAN.n_frames), again.stop)
    assert rows_in(again) == sorted(SCAN.rows), again.run.message
    check(again)
