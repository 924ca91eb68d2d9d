"""Frames that are fetched, beside a stream that may bring them all the same."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.lost_frames import LostFrames, misordered_frames, shifted_frames
from stream_service.core.receipt import Arrival


def lossy() -> tuple[Ledger, LostFrames]:
    """Of five frames, the second and the fourth did not come."""
    ledger = Ledger(1, 5)
    for unique_id in (1, 3, 5):
        ledger.mark([ledger.receive(unique_id, 10 * unique_id).ordinal], FrameStatus.STORED)
    missing = ledger.missing()
    ledger.reopen(missing)
    return ledger, LostFrames(ledger, missing)


def test_frame_that_comes_by_itself_while_it_is_fetched_is_taken_once() -> None:
    ledger, lost = lossy()
    assert ledger.receive(4, 40).arrival is Arrival.NEW
    assert lost.find(4, 40) is None
    found = lost.find(2, 20)
    assert found is not None and found.ordinal == 1
    assert (ledger.n_received, ledger.all_in) == (5, True)


def test_frame_that_comes_after_it_was_fetched_is_a_duplicate() -> None:
    ledger, lost = lossy()
    assert lost.find(4, 40) is not None
    assert ledger.receive(4, 40).arrival is Arrival.DUPLICATE
    assert ledger.n_received == 4


@pytest.mark.parametrize(("stamps", "is_wrong"), [((20, 30, 40), False), ((30, 40, 20), True), ((30, 30, 30), False)])
def test_gap_whose_stamps_contradict_the_ids_is_told_as_a_whole(stamps: tuple[int, ...], is_wrong: bool) -> None:
    ledger = Ledger(1, 8)
    for unique_id in (1, 5, 6, 8):
        ledger.mark([ledger.receive(unique_id, 10 * unique_id).ordinal], FrameStatus.STORED)
    ledger.reopen(ledger.missing())
    lost = LostFrames(ledger, ledger.missing())
    for unique_id, at_ns in zip((2, 3, 4, 7), (*stamps, 70), strict=True):
        found = lost.find(unique_id, at_ns)
        assert found is not None
        ledger.mark([found.ordinal], FrameStatus.BACKFILLED)
    assert misordered_frames(ledger).tolist() == ([1, 2, 3] if is_wrong else [])


@pytest.mark.parametrize(("n_entries", "is_told"), [(5, True), (6, False)])
def test_frame_with_an_implausible_id_shifts_those_after_it_unless_the_entries_add_up(
    n_entries: int, is_told: bool
) -> None:
    """Without a plan: it is that of a frame that did not come, or of one more."""
    ledger = Ledger(1, None)
    for unique_id, at_ns in ((1, 10), (3, 30), (-5, 40), (4, 50), (5, 60)):
        ledger.receive(unique_id, at_ns)
    assert ledger.counts.n_implausible == ledger.n_overtaken == 1
    assert shifted_frames(ledger, 5, {n_entries}).tolist() == ([] if is_told else [3, 4])


def test_frame_of_another_time_has_no_place() -> None:
    _, lost = lossy()
    assert lost.find(2, 5) is None and lost.find(2, 35) is None
    assert lost.unique_ids.tolist() == np.array([2, 4]).tolist()


def reset_ledger(n_expected: int | None) -> Ledger:
    """Frames 1 and 2, then from 1 on again to 3; 3 and 4 of the first epoch, made before the reset, did not come."""
    ledger = Ledger(1, n_expected)
    for unique_id, at_ns in ((1, 10), (2, 20), (1, 50), (2, 60), (3, 70)):
        ledger.mark([ledger.receive(unique_id, at_ns).ordinal], FrameStatus.STORED)
    return ledger


def test_frames_lost_just_before_a_reset_are_looked_for_and_stand_behind_all_others() -> None:
    ledger = reset_ledger(7)
    lost = LostFrames(ledger, ledger.missing(), n_made=5)
    assert lost.unique_ids.tolist() == [3, 4]
    found = [lost.find(unique_id, at_ns) for unique_id, at_ns in ((3, 30), (3, 70), (4, 40), (4, 41), (5, 45))]
    assert [each and (each.id, each.ordinal) for each in found] == [((0, 3), 5), None, ((0, 4), 6), None, None]
    ledger.mark([5, 6], FrameStatus.BACKFILLED)
    account = ledger.close(5)
    assert (account.is_complete, account.stored, account.backfilled) == (True, 5, 2)
    epochs, unique_ids, _, _ = ledger.columns()
    assert list(zip(epochs.tolist(), unique_ids.tolist(), strict=True))[4:] == [(1, 3), (0, 3), (0, 4)]
    assert lost.displaced == {5, 6}
    assert [ledger.is_in_order(ordinal) for ordinal in (5, 6)] == [True, True], "between those of their epoch"
    in_order = ledger.epochs.order_of(np.array([0, 0, 0, 0, 1, 1, 1]), np.array([1, 2, 3, 4, 1, 2, 3]))
    assert in_order.tolist() == list(range(7))


def test_no_more_frames_are_looked_for_than_may_have_been_made() -> None:
    ledger = reset_ledger(5)
    lost = LostFrames(ledger, ledger.missing(), n_made=5)
    assert lost.unique_ids.tolist() == []
    assert lost.find(3, 30) is None


def test_frames_of_a_run_of_unknown_length_are_looked_for_by_their_stamps() -> None:
    ledger = reset_ledger(None)
    lost = LostFrames(ledger, ledger.missing(), n_made=5)
    assert lost.find(3, 30) is not None and lost.find(5, 55) is None
    assert ledger.close(5).expected == 6


def test_detector_that_counts_anew_at_each_position_has_lost_nothing_by_that() -> None:
    ledger = Ledger(1, None)
    for position in range(300):
        ledger.receive(1, 10 * position + 1, is_confirmed=True)
    assert ledger.n_seen == 300
    assert LostFrames(ledger, ledger.missing(), n_made=300).unique_ids.tolist() == []
    assert ledger.n_unknown(300) == 0
