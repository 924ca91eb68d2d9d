"""Epochs that the source of frames says: ids that begin again, late epochs and duplicates are told by them alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.epochs import MAX_JUMP
from stream_service.core.frame import Frame, FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.intake import Entered, Intake
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival
from stream_service.core.stream import Series

PIXELS = np.zeros((1, 1), np.uint16)
STAMP_NS = 1000
"""Of all frames, where stamps are to tell nothing."""


def frame(epoch: int | None, unique_id: int, stamp_ns: int = STAMP_NS) -> Frame:
    return Frame(unique_id, stamp_ns, PIXELS, {}, epoch=epoch)


def enter(ledger: Ledger, *came: tuple[int, int], is_last: bool = True) -> list[Entered]:
    """Frames by epoch and id, as they came."""
    intake = Intake(ledger)
    entered = [one for epoch, unique_id in came for one in intake.admit(frame(epoch, unique_id))]
    return entered + intake.decide(None, is_last=is_last)


def new(entered: list[Entered]) -> list[tuple[FrameId, int]]:
    return [(one.receipt.id, one.receipt.ordinal) for one in entered if one.receipt.arrival is Arrival.NEW]


def arrivals(entered: list[Entered]) -> list[Arrival]:
    return [one.receipt.arrival for one in entered]


@pytest.mark.parametrize("first", [0, 1])
def test_ids_that_begin_again_are_new_frames(first):
    ledger = Ledger(first, None, restart_unique_id=first)
    came = [(epoch, first + n) for epoch in range(3) for n in range(2)]
    assert new(enter(ledger, *came)) == [(FrameId(*one), place) for place, one in enumerate(came)]
    assert ledger.close().is_complete is False and ledger.n_received == 6


@pytest.mark.parametrize("begin", [0, 5, 1000])
def test_epochs_are_counted_from_that_of_the_begin_whatever_it_is_called(begin):
    ledger = Ledger(0, None, restart_unique_id=0, epoch=begin)
    entered = enter(ledger, (begin, 0), (begin, 1), (begin + 1, 0), (begin + 7, 0))
    assert [frame_id for frame_id, _ in new(entered)] == [(0, 0), (0, 1), (1, 0), (2, 0)]


def test_one_frame_a_series_is_entered_at_once():
    """SIMPLON armed at each position: every id is the same, and nothing waits."""
    ledger = Ledger(1, 4, restart_unique_id=1)
    intake = Intake(ledger)
    for epoch in range(4):
        assert len(intake.admit(frame(epoch, 1))) == 1
    assert ledger.all_in


def test_lost_head_of_a_series_counts():
    ledger = Ledger(0, None, restart_unique_id=0)
    assert [place for _, place in new(enter(ledger, (0, 0), (1, 2), (1, 3)))] == [0, 3, 4]
    assert ledger.ranges_with(FrameStatus.PENDING)[0] == (FrameId(0, 0), FrameId(0, 0))
    ledger.mark([0, 3, 4], FrameStatus.STORED)
    assert ledger.close().lost == 2
    assert ledger.ranges_with(FrameStatus.LOST) == [(FrameId(1, 0), FrameId(1, 1))]


def test_late_frame_of_an_epoch_before_has_its_place_there():
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (0, 2), (0, 3), (1, 0), (0, 1), (1, 1))
    assert sorted(new(entered)) == [((0, 0), 0), ((0, 1), 1), ((0, 2), 2), ((0, 3), 3), ((1, 0), 4), ((1, 1), 5)]


@pytest.mark.parametrize("late", [(0, 2), (0, 4), (0, 3), (1, 0), (1, 1)])
def test_late_frame_costs_no_frame_that_waits(late):
    """It follows neither the last frame nor the one that waits: it says nothing of the gap before that."""
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (0, 1), (0, 3), (0, 4), (1, 1), (1, 2), (1, 5), late, (1, 6), (1, 7))
    assert {(1, 5), (1, 6), (1, 7)} <= {frame_id for frame_id, _ in new(entered)}
    assert ledger.account().implausible == 0


def test_late_frame_beyond_the_last_of_its_epoch_has_no_place_and_is_told():
    """The next epoch has begun where it would belong: places of frames that are stored do not move."""
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (1, 0), (0, 1), (1, 1))
    assert arrivals(entered) == [Arrival.NEW, Arrival.NEW, Arrival.UNEXPECTED, Arrival.NEW]
    assert ledger.account().implausible == 1


def test_epoch_that_goes_back_is_none_of_the_next_ids():
    """After (1, 0) comes (0, 5): neither does the second epoch begin anew, nor does anything wait for it."""
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (0, 1), (1, 0), (0, 5), (1, 1), (1, 2))
    assert [place for _, place in new(entered)] == [0, 1, 2, 3, 4]


def test_epoch_before_the_first_one_is_from_before_the_run():
    ledger = Ledger(0, 2, restart_unique_id=0, epoch=7)
    entered = enter(ledger, (6, 41), (6, 42), (7, 0), (6, 43), (7, 1))
    assert arrivals(entered) == [
        Arrival.BEFORE_RUN, Arrival.BEFORE_RUN, Arrival.NEW, Arrival.BEFORE_RUN, Arrival.NEW,
    ]  # fmt: skip
    assert ledger.all_in and ledger.account().before_run == 3


def test_epoch_of_which_nothing_came_in_time_has_no_places():
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (2, 0), (1, 0), (2, 1))
    assert arrivals(entered) == [Arrival.NEW, Arrival.NEW, Arrival.UNEXPECTED, Arrival.NEW]


def test_same_id_of_the_same_epoch_is_a_duplicate_whatever_its_stamp():
    ledger = Ledger(0, None, restart_unique_id=0)
    intake = Intake(ledger)
    came = [frame(0, 0, 10), frame(0, 1, 20), frame(0, 1, 99), frame(1, 0, 30), frame(0, 0, 5), frame(1, 0, 31)]
    entered = [one for each in came for one in intake.admit(each)]
    assert arrivals(entered) == [
        Arrival.NEW, Arrival.NEW, Arrival.DUPLICATE, Arrival.NEW, Arrival.DUPLICATE, Arrival.DUPLICATE,
    ]  # fmt: skip
    assert ledger.account().duplicates == 3


def test_last_frame_before_the_run_is_none_of_a_later_epoch():
    """Its id and stamp are those of a frame of the series; its epoch is not."""
    ledger = Ledger(1, None, restart_unique_id=1, epoch=3, last_before=(2, STAMP_NS))
    assert arrivals(enter(ledger, (4, 1), (4, 2))) == [Arrival.NEW, Arrival.NEW]


@pytest.mark.parametrize("wrong", [4_000_000, 2**31 - 1, 2 * MAX_JUMP, 777])
@pytest.mark.parametrize("place", range(1, 7))
def test_one_wrong_id_moves_nothing(wrong, place):
    came = [(epoch, n) for epoch in range(2) for n in range(4)]
    came[place] = (came[place][0], wrong)
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, *came)
    assert ledger.account().implausible == 1
    if place != 3:  # the last of its epoch: how many that had nobody knows
        assert set(new(entered)) == {(FrameId(*one), n) for n, one in enumerate(came) if n != place}
    assert {frame_id for frame_id, _ in new(entered)} == {FrameId(*one) for n, one in enumerate(came) if n != place}


def test_last_frame_of_an_epoch_after_a_small_gap_is_entered_as_at_the_end_of_a_run():
    """No frame of its epoch comes any more that could confirm it."""
    ledger = Ledger(0, None, restart_unique_id=0)
    entered = enter(ledger, (0, 0), (0, 5), (1, 0), (1, 1))
    assert new(entered) == [((0, 0), 0), ((0, 5), 5), ((1, 0), 6), ((1, 1), 7)]


def test_counter_that_goes_on_over_the_series_makes_no_millions_of_lost_frames():
    """Its ids do not begin again, whatever the source says of epochs."""
    far = 3 * MAX_JUMP
    ledger = Ledger(far, None, restart_unique_id=0)
    entered = enter(ledger, (0, far), (0, far + 1), (1, far + 2), (1, far + 3), (1, far + 4))
    assert [place for _, place in new(entered)] == [0, 1, 2, 3, 4]
    assert ledger.close().expected == 5


def test_frames_without_an_epoch_are_found_beside_those_with_one():
    ledger = Ledger(1, None)
    intake = Intake(ledger)
    came = [frame(0, 1, 10), frame(None, 2, 20), frame(1, 1, 30), frame(None, 2, 40)]
    entered = [one for each in came for one in intake.admit(each)]
    assert new(entered) == [((0, 1), 0), ((0, 2), 1), ((1, 1), 2), ((1, 2), 3)]


@given(
    st.lists(st.tuples(st.integers(0, 4) | st.none(), st.integers(0, 6), st.integers(0, 3)), max_size=40),
    st.none() | st.integers(1, 20),
    st.sampled_from([0, 1]),
    st.integers(0, 2),
)
def test_account_adds_up_whatever_epochs_are_said(messages, n_expected, restart_id, begin):
    ledger = Ledger(0, n_expected, restart_unique_id=restart_id, epoch=begin)
    intake = Intake(ledger)
    entered = [one for epoch, id_, stamp_ns in messages for one in intake.admit(frame(epoch, id_, stamp_ns))]
    entered += intake.decide(None, is_last=True)
    assert len(entered) == len(messages), "every frame comes out once"
    places = [place for _, place in new(entered)]
    assert len(set(places)) == len(places) == ledger.n_received
    account = ledger.close()
    assert account.lost + account.not_exposed + len(places) >= account.expected >= len(places)
    assert len(places) + account.duplicates + account.unexpected + account.before_run == len(messages)
    epochs, ids, _, _ = ledger.columns()
    for frame_id, place in new(entered):
        assert (epochs[place], ids[place]) == frame_id


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_each_frame_that_comes_has_its_own_identity_in_any_order_within_its_epoch(lengths, data):
    """Each epoch comes whole before the next one begins; within it, stamps tell a frame that was overtaken."""
    came = [
        (epoch, unique_id)
        for epoch, length in enumerate(lengths)
        for unique_id in data.draw(st.permutations(range(length)))
    ]
    ledger = Ledger(0, None, restart_unique_id=0)
    intake = Intake(ledger)
    entered = [one for epoch, unique_id in came for one in intake.admit(frame(epoch, unique_id, unique_id))]
    entered += intake.decide(max(lengths), is_last=True)
    assert {frame_id for frame_id, _ in new(entered)} == {FrameId(*one) for one in came}


def announce(ledger: Ledger, *lengths: int | None) -> None:
    for epoch, n_frames in enumerate(lengths):
        ledger.announce(Series(epoch, n_frames, ledger.first_unique_id))


def test_announced_series_of_which_nothing_came_has_its_places():
    """One frame a position, and that of the second one is lost."""
    ledger = Ledger(1, 3)
    intake = Intake(ledger)
    places = []
    for epoch in range(3):
        ledger.announce(Series(epoch, 1))
        if epoch != 1:
            places += new(intake.admit(frame(epoch, 1)))
    assert places == [((0, 1), 0), ((2, 1), 2)]
    ledger.mark([0, 2], FrameStatus.STORED)
    assert ledger.close().lost == 1
    assert ledger.ranges_with(FrameStatus.LOST) == [((1, 1), (1, 1))]


@pytest.mark.parametrize("first", [0, 1])
def test_lost_tail_of_an_announced_series_counts_at_once(first):
    ledger = Ledger(first, 8, restart_unique_id=first)
    intake = Intake(ledger)
    ledger.announce(Series(0, 4, first))
    for n in range(3):
        intake.admit(frame(0, first + n))
    ledger.announce(Series(1, 4, first))
    assert ledger.n_seen == 4 and ledger.is_announced_whole
    assert new(intake.admit(frame(1, first))) == [((1, first), 4)]
    assert new(intake.admit(frame(0, first + 3))) == [((0, first + 3), 3)], "it was late, and is not lost"


def test_series_that_is_announced_after_its_first_frames_is_no_other_one():
    ledger = Ledger(1, 4)
    intake = Intake(ledger)
    entered = intake.admit(frame(0, 1))
    announce(ledger, 2)
    entered += intake.admit(frame(0, 2))
    announce(ledger, 2, 2)
    announce(ledger, 2)
    entered += [*intake.admit(frame(1, 1)), *intake.admit(frame(1, 2))]
    assert [place for _, place in new(entered)] == [0, 1, 2, 3] and ledger.all_in


def test_series_of_no_length_and_one_longer_than_the_plan_reserve_nothing():
    """A detector that is set to count on until it is stopped."""
    ledger = Ledger(1, 4)
    announce(ledger, None, 1_000_000, 1_000_000)
    assert new(enter(ledger, (2, 1), (2, 2))) == [((0, 1), 0), ((0, 2), 1)]
    assert not ledger.is_announced_whole


def test_length_of_a_series_tells_nothing_where_nobody_planned():
    """It may have been stopped: what it has not made is not lost."""
    ledger = Ledger(1, None)
    announce(ledger, 100)
    enter(ledger, (0, 1))
    announce(ledger, 100, 100)
    assert new(enter(ledger, (1, 1))) == [((1, 1), 1)]


@given(st.data())
def test_whatever_is_lost_or_late_of_announced_series_the_others_have_their_places(data):
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    ids = [(epoch, n + 1) for epoch, length in enumerate(lengths) for n in range(length)]
    kept = data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1))
    ledger = Ledger(1, len(ids))
    announce(ledger, *lengths)
    assert dict(new(enter(ledger, *kept))) == {one: ids.index(one) for one in kept}
    ledger.mark([ids.index(one) for one in kept], FrameStatus.STORED)
    account = ledger.close(len(ids))
    assert account.lost == len(ids) - len(kept) and account.stored == len(kept)
