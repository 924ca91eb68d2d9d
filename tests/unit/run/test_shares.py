"""A service that gets every so many-th frame of a scan accounts for these, and is COMPLETE when it has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from scripted_run import Bench, frames

from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import RunState
from stream_service.core.share import Share
from stream_service.errors import ConfigError
from stream_service.standard_file import validate_file
from stream_service.testing.scripted_raw_file import ScriptedRawFile

N, OF = 22, 4
T0_NS = int(corpus.STAMP_S * 1e9)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(**request: Any) -> Bench:
        b = Bench(tmp_path, **{"n_positions": N, "planned_x_m": [0.0] * N, "planned_y_m": [0.0] * N, **request})
        detector = b.profile.detector.model_copy(update={"shards": OF})
        b.profile = b.sources.profile = b.profile.model_copy(update={"detector": detector})
        b.prepare(b.profile)
        return b

    return make


def share(first: int) -> list[int]:
    """uniqueIds, from 1."""
    return list(range(1 + first, N + 1, OF))


def check(b: Bench, own: Sequence[int]) -> None:
    assert [finding for finding in validate_file(b.run.setup.path) if finding.level == "error"] == []
    assert sorted(b.statuses()) == list(own)
    account = b.run.status().account
    settled = account.stored + account.backfilled + account.lost + account.incomplete + account.not_exposed
    assert settled == account.expected == len(own)
    with b.file() as file:
        planned = dict(zip(b.rows(), file["/entry/frames/planned"][()].tolist(), strict=True))
    assert planned == {n: n - 1 for n in b.rows()}


@pytest.mark.parametrize("first", range(OF))
def test_a_share_is_complete_and_its_rows_know_their_planned_positions(bench, first):
    b = bench()
    run = b.play(frames(share(first)), b.exposed(N), b.detector_stops)
    assert run.state is RunState.COMPLETE, run.message
    assert sorted(b.rows()) == share(first)
    assert (run.status().gaps, run.status().received) == (0, len(share(first)))
    assert run.status().coverage.n_lacking == 0
    check(b, share(first))


@pytest.mark.parametrize("lost", [{2}, {22}, {6, 10, 14}, {2, 22}])
def test_lost_frames_of_a_share_are_its_own(bench, lost):
    b = bench()
    run = b.play(frames(n for n in share(1) if n not in lost), b.exposed(N), b.stop)
    assert run.state is RunState.INCOMPLETE
    assert {n for n, status in b.statuses().items() if status is FrameStatus.LOST} == lost
    assert run.status().missing_ids == ", ".join(map(str, sorted(lost)))
    check(b, share(1))


def test_they_are_fetched_and_those_of_others_are_not(bench):
    b = bench()
    everything = [
        Frame(n, T0_NS + n * 1_000_000, np.full((6, 8), n, np.uint16), {"energy": 700.0}, is_backfilled=True)
        for n in range(1, N + 1)
    ]
    raw = ScriptedRawFile(everything)
    b.run.setup.open_raw_file = lambda: raw
    run = b.play(frames(n for n in share(2) if n not in (7, 19)), b.exposed(N), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert raw.asked == [[7, 19]]
    check(b, share(2))


def test_frames_of_another_share_are_told_of_and_not_stored(bench):
    """The plugin has passed over a service whose queue was full: from then on its turns have moved."""
    b = bench()
    run = b.play(frames([1, 5, 9, 14, 18, 22]), b.exposed(N), b.stop)
    assert run.state is RunState.INCOMPLETE
    assert sorted(b.rows()) == [1, 5, 9]
    assert run.status().account.of_others == 3
    assert "3 of the share of another service, ignored" in run.message
    check(b, share(0))


def test_rows_and_repeats_that_would_need_frames_of_others_are_refused(bench):
    for request, words in (
        ({"frames_per_position": 2}, "the frames of a position go to different services"),
        ({"extra_frames": 4}, "leave extra_frames out"),
    ):
        with pytest.raises(ConfigError, match=words):
            bench(**request).run.arm()


@pytest.mark.parametrize("of", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 7, 10, 23])
def test_shares_are_all_frames_each_once(n, of):
    shares = [Share(of, first) for first in range(of)]
    assert sum(one.n_among(n) for one in shares) == n
    assert sorted(place for one in shares for place in list(range(n))[one.places(n)]) == list(range(n))
    for one in shares:
        assert one.next_after(n) >= n and one.has(one.next_after(n)) and one.next_after(n) - n < of
