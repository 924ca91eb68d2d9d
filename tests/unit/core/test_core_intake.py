"""One wrong id moves nothing in the account, and every frame that came is in it."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.core.epochs import MAX_JUMP
from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.intake import Intake
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival

PIXELS = np.zeros((1, 1), np.uint16)
WRONG = [0, -1, -(2**31), 2**31 - 1, 4_000_000, 2 * MAX_JUMP, 1000, 30, 12, 8, 7, 3]
"""Ids that a frame with the true id 6 may carry by mistake."""


def frame(unique_id: int, stamp_ns: int) -> Frame:
    return Frame(unique_id, stamp_ns, PIXELS, {})


def take(
    ledger: Ledger, ids: list[int], *, counter: int | None = None, step_ns: int = 10
) -> list[tuple[Arrival, int, int]]:
    """Answers of the ledger to frames in this order: arrival, id and ordinal."""
    intake = Intake(ledger)
    entered = []
    for n, unique_id in enumerate(ids):
        entered += intake.admit(frame(unique_id, 1000 + n * step_ns))
    entered += intake.decide(counter, is_last=True)
    assert intake.waiting is None
    ledger.mark([receipt.ordinal for _, receipt in entered if receipt.arrival is Arrival.NEW], FrameStatus.STORED)
    return [(receipt.arrival, frame.unique_id, receipt.ordinal) for frame, receipt in entered]


def new(entered: list[tuple[Arrival, int, int]]) -> list[tuple[int, int]]:
    return [(unique_id, ordinal) for arrival, unique_id, ordinal in entered if arrival is Arrival.NEW]


@pytest.mark.parametrize("step_ns", [10, 0])
@pytest.mark.parametrize("n_expected", [None, 12])
@pytest.mark.parametrize("wrong", WRONG)
def test_one_wrong_id_moves_nothing(n_expected, wrong, step_ns):
    ledger = Ledger(1, n_expected)
    ids = [1, 2, 3, 4, 5, wrong, 7, 8, 9, 10, 11, 12]
    entered = take(ledger, ids, counter=12, step_ns=step_ns)
    right = {(n, n - 1) for n in range(1, 13) if n != 6}
    assert set(new(entered)) == right, "a twin of a wrong id has one place all the same"
    account = ledger.close(ledger.exposed_by_counter(12))
    assert (account.expected, account.not_exposed) == (12, 0)
    assert (account.stored, account.lost) == (ledger.n_received, 12 - ledger.n_received)
    assert ledger.n_received + account.unexpected + account.duplicates + account.before_run == 12, (
        "every frame is accounted for"
    )


@pytest.mark.parametrize("wrong", [1, 2**31 - 1, 4_000_000, -5])
@pytest.mark.parametrize("place", [0, 11])
def test_wrong_id_at_the_ends_moves_nothing(place, wrong):
    ids = [101 + n for n in range(12)]
    ids[place] = wrong
    ledger = Ledger(101, None)
    entered = take(ledger, ids, counter=112)
    if (place, wrong) != (0, 1):  # a detector that resets its counter begins like this
        assert len(new(entered)) == 11
    account = ledger.close(ledger.exposed_by_counter(112))
    assert ledger.n_received + account.unexpected == 12


def test_frames_after_a_loss_are_entered_together():
    ledger = Ledger(1, None)
    intake = Intake(ledger)
    assert len(intake.admit(frame(1, 10))) == 1
    assert intake.admit(frame(5000, 20)) == []
    assert [receipt.ordinal for _, receipt in intake.admit(frame(5003, 30))] == [4999, 5002]


def test_a_detector_that_loses_every_second_frame_loses_no_more_here():
    ids = list(range(1, 100, 2))
    assert new(take(Ledger(1, None), ids, counter=100)) == [(n, n - 1) for n in ids]


def test_counter_tells_whether_a_lonely_frame_is_right():
    for counter, confirmed in ((4, True), (3, False), (None, True)):
        assert bool(new(take(Ledger(1, None), [1, 4], counter=counter))[1:]) is confirmed
    assert new(take(Ledger(1, None), [1, 5000], counter=None)) == [(1, 0)]


def test_counter_decides_during_the_run_only_for_the_frame():
    intake = Intake(Ledger(1, None))
    intake.admit(frame(1, 10))
    intake.admit(frame(9, 20))
    assert intake.decide(2) == []
    assert intake.waiting is not None
    assert [frame.unique_id for frame, _ in intake.decide(9)] == [9]


def test_restarted_counter_begins_an_epoch_for_all_its_frames():
    ledger = Ledger(1, None)
    entered = take(ledger, [1, 2, 3, 1, 2, 3, 4, 5], counter=5)
    assert new(entered) == [(1, 0), (2, 1), (3, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)]
    assert ledger.close(ledger.exposed_by_counter(5)).lost == 0


def test_detector_that_counts_from_one_at_every_position():
    assert new(take(Ledger(1, None), [1] * 5, counter=1)) == [(1, n) for n in range(5)]
    assert new(take(Ledger(1, None), [1, 2] * 3, counter=2)) == [(1, 0), (2, 1), (1, 2), (2, 3), (1, 4), (2, 5)]


def test_restart_before_the_first_frame_is_the_beginning():
    assert new(take(Ledger(58, 3), [1, 2, 3], counter=3)) == [(1, 0), (2, 1), (3, 2)]
    assert new(take(Ledger(58, 3), [2, 3], counter=3)) == [(2, 1), (3, 2)]


def test_counter_that_someone_sets_far_ahead_goes_on_from_there():
    """What lies between was never made: nothing of it is lost."""
    ledger = Ledger(1, None)
    far = 3 * MAX_JUMP
    assert new(take(ledger, [1, 2, far, far + 1], counter=far + 1)) == [(1, 0), (2, 1), (far, 2), (far + 1, 3)]
    assert ledger.close().lost == 0


@pytest.mark.parametrize("back_ns", [5, 2_000_000_000])
def test_clock_set_back_during_the_run_loses_nothing(back_ns):
    """Also where frames are lost and where the detector resets its counter at that moment."""
    for ids in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 6, 7, 8], [1, 2, 3, 1, 2, 3]):
        ledger = Ledger(1, None)
        intake = Intake(ledger)
        stamps = [10**10 + n * 10 - (back_ns if n >= 3 else 0) for n in range(6)]
        entered = [one for n, stamp in zip(ids, stamps, strict=True) for one in intake.admit(frame(n, stamp))]
        entered += intake.decide(ids[-1], is_last=True)
        assert [frame.unique_id for frame, receipt in entered if receipt.arrival is Arrival.NEW] == ids


def test_frames_between_the_old_one_and_the_run_are_not_of_it():
    """Frame 55 stood there when we subscribed, the counter showed 57: two were still on their way."""
    ledger = Ledger(58, None, last_before=(55, 1000))
    entered = take(ledger, [55, 56, 57, 58, 59], step_ns=1)
    assert [arrival for arrival, _, _ in entered] == [Arrival.BEFORE_RUN] * 3 + [Arrival.NEW] * 2
    assert new(entered) == [(58, 0), (59, 1)]


@pytest.mark.parametrize("off_ns", [-25, -5, 5, 1000])
def test_a_copy_with_another_stamp_moves_nothing(off_ns):
    """Alone it is no reset of the counter, whether the clock would have been set back with it or not."""
    ledger = Ledger(1, 10)
    came = [frame(unique_id, 10 * unique_id) for unique_id in range(1, 11)]
    came.insert(6, frame(5, 50 + off_ns))
    intake = Intake(ledger)
    entered = [each for one in came for each in intake.admit(one)] + intake.decide(10, is_last=True)
    found = [each.receipt.id for each in entered if each.receipt.arrival is Arrival.NEW]
    assert found == [(0, unique_id) for unique_id in range(1, 11)]
    assert len(entered) == len(came)


def test_frame_that_comes_twice_while_it_waits_is_a_duplicate():
    ledger = Ledger(1, None)
    intake = Intake(ledger)
    intake.admit(frame(1, 10))
    intake.admit(frame(4, 20))
    assert intake.admit(frame(4, 20)) == []
    arrivals = [receipt.arrival for _, receipt in intake.admit(frame(5, 30))]
    assert arrivals == [Arrival.NEW, Arrival.DUPLICATE, Arrival.NEW]


def test_overtaken_frames_are_all_entered():
    intake = Intake(Ledger(1, None))
    stamps = {1: 10, 3: 30, 2: 20, 4: 40, 7: 70, 6: 60}
    entered = [one for n, stamp in stamps.items() for one in intake.admit(frame(n, stamp))]
    assert sorted(frame.unique_id for frame, receipt in entered if receipt.arrival is Arrival.NEW) == sorted(stamps)


@pytest.mark.parametrize("always", [0, 1, 7])
def test_detector_that_does_not_count_makes_an_epoch_of_every_frame(always):
    assert len(new(take(Ledger(always, None), [always] * 6))) == 6


def test_frames_without_stamps_are_told_apart_by_what_is_given_instead():
    intake = Intake(Ledger(1, None))
    entered = [one for n, unique_id in enumerate([1, 2, 1, 2]) for one in intake.admit(frame(unique_id, 0), n)]
    assert [receipt.ordinal for _, receipt in entered] == [0, 1, 2, 3]


def test_last_frame_before_a_reset_of_the_counter_is_one_though_others_were_lost_before_it() -> None:
    ledger = Ledger(16, None)
    intake = Intake(ledger)
    came = [(16, 10), (17, 20), (20, 50), (1, 60), (2, 70), (3, 80)]
    entered = [each for unique_id, at_ns in came for each in intake.admit(frame(unique_id, at_ns))]
    assert [each.receipt.arrival for each in entered] == [Arrival.NEW] * 6
    assert [each.receipt.ordinal for each in entered] == [0, 1, 4, 5, 6, 7]


@pytest.mark.parametrize(("unique_id", "at_ns"), [(4_000_017, 50), (20, 65), (20, 15)])
def test_wrong_id_before_a_reset_of_the_counter_is_none(unique_id: int, at_ns: int) -> None:
    ledger = Ledger(16, None)
    intake = Intake(ledger)
    came = [(16, 10), (17, 20), (unique_id, at_ns), (1, 60), (2, 70), (3, 80)]
    entered = [each for came_id, came_ns in came for each in intake.admit(frame(came_id, came_ns))]
    new = [(each.frame.unique_id, each.receipt.ordinal) for each in entered if each.receipt.arrival is Arrival.NEW]
    assert new == [(16, 0), (17, 1), (1, 2), (2, 3), (3, 4)]
