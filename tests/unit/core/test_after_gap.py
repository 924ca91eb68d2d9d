"""A frame after lost ones waits for the next, which tells whether the clock stood; no other frame waits."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.core.frame import NO_STAMP, Frame, FrameId
from stream_service.core.pairing.after_gap import AfterGap, Came
from stream_service.core.receipt import Arrival, Receipt

PIXELS = np.zeros((1, 1), np.uint16)


def came(ordinal: int, stamp_ns: int, *, is_backfilled: bool = False) -> Came:
    frame = Frame(ordinal + 1, stamp_ns, PIXELS, {}, is_backfilled=is_backfilled)
    return Came(frame, Receipt(Arrival.NEW, FrameId(0, ordinal + 1), ordinal), 0.01, at_s=float(ordinal))


def taken(*frames: Came) -> list[list[tuple[int, bool]]]:
    """Ordinal, and whether it is repeated, of the frames that go on with each."""
    after_gap = AfterGap()
    return [[(each.receipt.ordinal, each.is_repeated) for each in after_gap.take(frame)] for frame in frames]


def test_frames_without_a_gap_go_on_at_once() -> None:
    assert taken(came(0, 10), came(1, 20), came(2, 20)) == [[(0, False)], [(1, False)], [(2, False)]]


@pytest.mark.parametrize(("next_ns", "is_repeated"), [(40, True), (50, False)])
def test_the_next_frame_decides_on_one_after_a_gap(next_ns: int, is_repeated: bool) -> None:
    assert taken(came(0, 10), came(3, 40), came(4, next_ns)) == [[(0, False)], [], [(3, is_repeated), (4, False)]]


def test_the_frame_that_was_overtaken_lets_it_go_on_behind_it() -> None:
    assert taken(came(0, 10), came(2, 20), came(1, 20)) == [[(0, False)], [], [(1, False), (2, False)]]


@pytest.mark.parametrize(("next_ns", "is_repeated"), [(40, True), (50, False)])
def test_one_that_comes_late_after_a_gap_is_checked_by_the_one_that_overtook_it(
    next_ns: int, is_repeated: bool
) -> None:
    frames = came(0, 10), came(4, next_ns), came(3, 40), came(5, 60)
    assert taken(*frames) == [[(0, False)], [], [(3, is_repeated), (4, False)], [(5, False)]]


def test_so_is_one_that_comes_two_places_late() -> None:
    """The clock stands from 3 on, which was lost."""
    frames = came(0, 10), came(6, 40), came(4, 40), came(5, 40), came(7, 60)
    assert taken(*frames) == [[(0, False)], [], [(4, True)], [(5, False), (6, False)], [(7, False)]]


def test_one_whose_frame_before_came_late_is_not_after_a_gap() -> None:
    frames = came(0, 10), came(4, 40), came(2, 30), came(3, 40)
    assert taken(*frames) == [[(0, False)], [], [(2, False)], [(3, False), (4, False)]]


def test_others_that_come_late_or_were_fetched_decide_nothing() -> None:
    frames = came(0, 10), came(4, 50), came(2, 30), came(3, 40, is_backfilled=True), came(5, 60)
    assert taken(*frames) == [[(0, False)], [], [(2, False)], [(3, False)], [(4, False), (5, False)]]


def test_every_frame_after_a_gap_waits_for_its_next() -> None:
    assert taken(came(1, 10), came(3, 20), came(5, 20)) == [[], [(1, False)], [(3, True)]]


def test_a_frame_without_a_stamp_has_no_time_anyway() -> None:
    assert taken(came(3, NO_STAMP)) == [[(3, False)]]


def test_it_goes_on_when_its_time_is_over() -> None:
    after_gap = AfterGap()
    after_gap.take(came(3, 40))
    assert after_gap.release(came_before_s=3.0) == [] and after_gap.kept is not None
    assert [each.receipt.ordinal for each in after_gap.release(came_before_s=3.1)] == [3]
    assert after_gap.kept is None and after_gap.release() == []
