"""Groups that never fill let go of their pixels."""

from __future__ import annotations

import numpy as np

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameId
from stream_service.core.grouping import MOST_POSITIONS_BEHIND, Grouper
from stream_service.core.partition import ByIndex

PIXELS = np.zeros((1, 1), np.uint16)


def exposure(ordinal: int) -> Exposure:
    return Exposure(Frame(ordinal, ordinal, PIXELS, {}), FrameId(0, ordinal), ordinal, 0.1, {})


def test_single_frames_are_groups_at_once():
    (group,) = Grouper(ByIndex(1)).add(exposure(7))
    assert [member.ordinal for member in group.exposures] == [7]


def test_group_is_in_the_order_of_exposure_however_it_came():
    grouper = Grouper(ByIndex(3))
    assert grouper.add(exposure(5)) == []
    assert grouper.add(exposure(3)) == []
    (group,) = grouper.add(exposure(4))
    assert [member.ordinal for member in group.exposures] == [3, 4, 5]


def test_group_is_given_up_when_much_later_exposures_come():
    grouper = Grouper(ByIndex(2))
    grouper.add(exposure(0))
    for ordinal in range(2, 2 * (MOST_POSITIONS_BEHIND + 1)):
        grouper.add(exposure(ordinal))
    assert grouper.take_given_up() == []
    grouper.add(exposure(2 * (MOST_POSITIONS_BEHIND + 1)))
    assert [lost.ordinal for lost in grouper.take_given_up()] == [0]
    assert grouper.take_given_up() == []


def test_group_stays_open_while_a_member_waits_for_its_readbacks():
    """And no longer; groups that have lost a member are given up meanwhile."""
    grouper = Grouper(ByIndex(2))
    grouper.add(exposure(0))
    grouper.add(exposure(2))
    for ordinal in range(4, 100):
        grouper.add(exposure(ordinal))
    assert [lost.ordinal for lost in grouper.take_given_up({1}.__contains__)] == [2]
    (group,) = grouper.add(exposure(1))
    assert [member.ordinal for member in group.exposures] == [0, 1]
    assert grouper.held_bytes == 0
    grouper.add(exposure(200))
    grouper.add(exposure(300))
    assert [lost.ordinal for lost in grouper.take_given_up(set().__contains__)] == [200]


def test_open_groups_are_bounded_over_a_hundred_thousand_frames_of_which_every_second_is_lost():
    """No group ever fills: nothing may pile up for all that."""
    grouper = Grouper(ByIndex(2))
    n_held = most_held = 0
    for ordinal in range(0, 200_000, 2):
        assert grouper.add(exposure(ordinal)) == []
        n_held += 1 - len(grouper.take_given_up())
        most_held = max(most_held, n_held)
    assert most_held <= MOST_POSITIONS_BEHIND + 2
    assert len(grouper.leftover()) == n_held


def test_leftover_is_handed_back_once():
    grouper = Grouper(ByIndex(2))
    grouper.add(exposure(3))
    grouper.add(exposure(0))
    assert [left.ordinal for left in grouper.leftover()] == [0, 3]
    assert grouper.leftover() == []


def test_group_that_was_given_up_is_gathered_once_more_and_not_given_up_again():
    grouper = Grouper(ByIndex(2))
    for ordinal in (0, *range(2, 40)):
        grouper.add(exposure(ordinal))
    assert [lost.ordinal for lost in grouper.take_given_up()] == [0]
    grouper.reopen(np.array([0]))
    assert grouper.add(exposure(1)) == []
    assert grouper.take_given_up() == []
    (group,) = grouper.add(exposure(0))
    assert [member.ordinal for member in group.exposures] == [0, 1]
    grouper.add(exposure(0))
    assert [lost.ordinal for lost in grouper.take_given_up()] == [0]
