"""Arrays that hardware captured and that come when the scan is over: rows without an entry are put right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
import pytest
from scripted_arrays import by_index, come_later, tell
from scripted_run import Bench, frames

from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame
from stream_service.core.pairing.readback import Entries
from stream_service.core.run import RunState
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.run import Run
from stream_service.settings.profile import Profile
from stream_service.standard_file import validate_file
from stream_service.testing.scripted_raw_file import ScriptedRawFile

RING = {"ring_current": 200.0}


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(frames_per_row: int = 1, grouping: str = "sum", **request: Any) -> Bench:
        b = Bench(tmp_path, at_rest=RING, frames_per_position=frames_per_row, **request)
        profile = by_index(tmp_path).model_dump()
        profile["preprocessing"] |= {"grouping": grouping if frames_per_row > 1 else "none"}
        b.profile = Profile.model_validate(profile)
        b.prepare(b.profile)
        return b

    return make


def used(path: Path) -> list[tuple[list[int], float, int, int]]:
    """ids, position of the stage in micrometres, flags, and the row that is replaced, of the rows that are used."""
    with h5py.File(path) as file:
        frames, keep = file["/entry/frames"], file["/entry/keep"][()] != 0
        columns = frames["unique_id"][()], np.round(-1e6 * file["/entry/posx_m"][()], 6), frames["flags"][()]
        rows = zip(*(column[keep].tolist() for column in (*columns, frames["replaces"][()])), strict=True)
        return sorted(rows)


def test_rows_of_an_array_that_comes_after_the_scan_are_put_right(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=4)
    come_later(b, (8.0, 2), (12.0, 5))
    run = b.play(frames([1, 2, 3, 4]))
    assert used(run.setup.path) == [([n], n - 1.0, 0, n - 1) for n in (1, 2, 3, 4)]
    with b.file() as file:
        assert file["/entry/frames/flags"][:4].tolist() == [Flag.MISSING] * 4
        assert file["/entry/keep"][()].tolist() == [0] * 4 + [1] * 4
        np.testing.assert_array_equal(file["/entry/data"][:4], file["/entry/data"][4:])
    assert "4 rows put right by later rows" in run.message and "4 belong to frames, 1 to none that came" in run.message
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


def test_end_does_not_wait_for_ever_for_entries_that_do_not_come(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=3)
    before_s = b.clock.now_s
    come_later(b, (8.0, 2))
    run = b.play(frames([1, 2, 3]))
    assert used(run.setup.path) == [([n], n - 1.0, 0, n - 1) for n in (1, 2)]
    assert b.clock.now_s - before_s < 60
    assert "2 belong to frames, 0 to none that came, and 1 frame has none (rows flagged)" in run.message


@pytest.mark.parametrize("first_s", [0.0, 8.0])
def test_end_does_not_wait_for_hardware_that_captures_for_ever(bench: Callable[..., Bench], first_s: float) -> None:
    """The entries of the frames are there at once, or after these have left without them."""
    b = bench(n_positions=3)
    b.profile = by_index(b.profile.service.data_root, may_end_apart=False)
    b.prepare(b.profile)
    before_s = b.clock.now_s
    come_later(b, *((first_s + 0.5 * n, 3 + n) for n in range(400)))
    run = b.play(frames([1, 2, 3]))
    assert b.clock.now_s - before_s < 60, run.message


def test_array_that_comes_long_after_its_times_is_waited_for(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=3)
    b.profile = by_index(b.profile.service.data_root, times={"pv": "PANDA:T", "dataset": "/T"})
    b.prepare(b.profile)
    b.sources.readbacks.events.append(Entries("x_times", corpus.STAMP_S + 0.001 * np.arange(1.0, 4.0)))
    come_later(b, (9.0, 3))
    run = b.play(frames([1, 2, 3]))
    assert used(run.setup.path) == [([n], n - 1.0, 0, n - 1) for n in (1, 2, 3)], run.message


def test_frame_that_was_fetched_has_its_entry_late_too(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=3)
    recorded = [
        Frame(n, int(corpus.STAMP_S * 1e9) + n * 1_000_000, np.full((6, 8), n, np.uint16), {"energy": 700.0})
        for n in (1, 2, 3)
    ]
    raw = ScriptedRawFile([replace(frame, is_backfilled=True) for frame in recorded])
    b.run.setup.open_raw_file = lambda: raw  # type: ignore[method-assign]
    come_later(b, (15.0, 3))
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert [row[:3] for row in used(run.setup.path)] == [([n], n - 1.0, 0) for n in (1, 2, 3)]


@pytest.mark.further(but=1)
@pytest.mark.parametrize("grouping", ["sum", "first", "best"])
def test_run_that_goes_on_after_a_kill_puts_right_what_was_written_before(
    bench: Callable[..., Bench], grouping: str
) -> None:
    b = bench(2, grouping, n_positions=3)
    left: dict[Path, bytes] = {}

    def kill() -> None:
        b.file_is_written()
        left.update((path, path.read_bytes()) for path in (b.run.setup.path, *unfinished_journals(b.profile)))

    tell(b, 7, is_from_before=True)()
    b.play(frames([1, 2, 3, 4]), *[b.waits(2.0)] * 4, *b.settles(), kill, b.stop)
    for path, content in left.items():
        path.write_bytes(content)
    again = bench(2, grouping, n_positions=3)
    (journal,) = unfinished_journals(again.profile)
    unfinished = UnfinishedRun.read(journal)
    again.sources.begin = unfinished.armed.series.to_core  # type: ignore[method-assign]
    setup = ResumedSetup(again.profile, unfinished, again.sources)
    again.run = Run(setup, again.sources, again.clock)
    again.detector.shown = 4
    tell(again, 7, is_from_before=True)()
    come_later(again, (10.0, 6))
    run = again.play(lambda: None, frames([5, 6]))
    assert run.state is RunState.COMPLETE, run.message
    mean = 0.0 if grouping == "first" else 0.5
    *before, after = [row[:3] for row in used(setup.path)]
    assert before == ([] if grouping == "best" else [([1, 2], mean, 0), ([3, 4], 2 + mean, 0)])
    assert after[0] == [5, 6] and after[2] == 0
    assert "not emptied" not in run.message and "to none that came" not in run.message
