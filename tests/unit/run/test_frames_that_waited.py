"""Frames that waited before they were received: a clock that stepped meanwhile is shown by the next frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import corpus
import h5py
import pytest
from scripted_run import Bench, frame

from stream_service.core.exposure import Flag
from stream_service.core.frame import UNKNOWN_WAIT_S
from stream_service.core.run import RunState
from stream_service.sources.live.pva_queue import Received
from stream_service.standard_file import validate_file

TAKEN_S = 20.0
"""When those that wait are taken out, by the clock of their exposures."""


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **options: Bench(tmp_path, **options)


def prompt(n: int, at_s: float, ahead_s: float = 0.0) -> Any:
    """Frame n, exposed at this moment, by a clock that is so far ahead."""
    return Received(frame(n, seconds=corpus.STAMP_S + at_s + ahead_s), 100.0 + at_s)


def waited(n: int, at_s: float, ahead_s: float = 0.0) -> Any:
    received = frame(n, seconds=corpus.STAMP_S + at_s + ahead_s)
    return Received(received, 100.0 + TAKEN_S, TAKEN_S - 5.0)


def flags_of(path: Path) -> dict[int, int]:
    with h5py.File(path) as file:
        flags, keep = file["/entry/frames/flags"][()], file["/entry/keep"][()]
        assert ((flags == 0) == (keep == 1)).all()
        return dict(zip(file["/entry/frames/unique_id"][:, 0].tolist(), flags.tolist(), strict=True))


def steps(frames: Iterable[Any]) -> list[list[Any]]:
    return [[each] for each in frames]


BEFORE = [prompt(n, float(n)) for n in range(1, 6)]


def test_clock_that_stepped_meanwhile_is_found_out_by_the_next_frame(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=10)
    backlog = [waited(6, 6.0), waited(7, 7.0), waited(8, 8.0, 3.0), waited(9, 9.0, 3.0)]
    run = b.play(*steps([*BEFORE, *backlog]), b.settles(), b.settles(), [prompt(10, 21.0, 3.0)])
    assert run.state is RunState.COMPLETE
    assert flags_of(run.setup.path) == {n: 0 if n < 6 else Flag.NO_TIME for n in range(1, 11)}
    assert "rows of frames that had waited were stamped by a clock that had stepped" in run.message
    assert "they are not used" in run.message
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


def test_next_frame_shows_that_it_did_not(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=12)
    backlog = [waited(n, float(n)) for n in range(6, 10)]
    after = [prompt(n, 11.0 + n) for n in range(10, 13)]
    run = b.play(*steps([*BEFORE, *backlog]), b.settles(), *steps(after))
    assert set(flags_of(run.setup.path).values()) == {0}
    assert "clock" not in run.message


def test_where_no_frame_follows_it_is_said_that_nobody_knows(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=9)
    run = b.play(*steps([*BEFORE, *(waited(n, float(n)) for n in range(6, 10))]))
    assert set(flags_of(run.setup.path).values()) == {0}
    assert "the last 4 frames came late, and none after" in run.message


def test_old_frame_that_a_new_connection_begins_with_does_not_set_the_clock_of_those_after_it(
    bench: Callable[..., Bench],
) -> None:
    """A service that is started again gets the last frame that was taken while it was away."""
    b = bench(n_positions=5)
    old = Received(prompt(1, 1.0).message, 100.0 + TAKEN_S, UNKNOWN_WAIT_S)
    run = b.play(*steps([old, *(prompt(n, TAKEN_S + n) for n in range(2, 6))]))
    assert run.state is RunState.COMPLETE
    assert set(flags_of(run.setup.path).values()) == {0}
    assert "clock" not in run.message


def test_frame_further_ahead_than_others_have_waited_tells_nothing_of_them(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=10)
    backlog = [waited(6, 6.0), waited(7, 7.0), waited(8, 8.0)]
    run = b.play(*steps([*BEFORE, *backlog]), b.settles(), b.settles(), [prompt(9, 21.0, 3600.0)], [prompt(10, 22.0)])
    assert run.state is RunState.COMPLETE
    assert flags_of(run.setup.path) == {n: Flag.NO_TIME if n == 9 else 0 for n in range(1, 11)}


def test_frames_that_waited_are_still_unproven_after_one_that_is_too_far_ahead(bench: Callable[..., Bench]) -> None:
    b = bench(n_positions=10)
    backlog = [waited(6, 6.0), waited(7, 7.0), waited(8, 8.0, 3.0)]
    after = [[prompt(9, 21.0, 3600.0)], [prompt(10, 22.0, 3.0)]]
    run = b.play(*steps([*BEFORE, *backlog]), b.settles(), b.settles(), *after)
    assert flags_of(run.setup.path) == {n: 0 if n < 6 else Flag.NO_TIME for n in range(1, 11)}
