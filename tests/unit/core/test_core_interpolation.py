"""Value of a channel at one moment, and when it is known. Times in plain numbers, one unit for all."""

from __future__ import annotations

import math

import pytest

from stream_service.core.exposure import Flag
from stream_service.core.pairing.history import History
from stream_service.core.pairing.interpolation import best_guess, reading_by_gap, reading_with_motion
from stream_service.core.pairing.readback import Readback

INVALID = -1.0
"""Stands for a value in alarm severity INVALID."""


def history(*updates: tuple[int, float], confirmed: int | None = None) -> History:
    made = History()
    for stamp, value in updates:
        made.add(Readback("x", value, stamp, is_valid=value != INVALID))
    if confirmed is not None:
        made.confirm(confirmed)
    return made


def lost(channel: History) -> History:
    channel.is_connected = False
    return channel


MOVE = ((0, 0.0), (1000, 1.0), (1100, 0.0))


def test_move_is_a_line_between_its_updates():
    assert reading_with_motion(1075, history((0, 0.0), (1050, 5.0), (1100, 10.0)), history(*MOVE))[:2] == (
        7.5,
        Flag.NONE,
    )


def test_move_begins_where_the_axis_stood():
    channel = history((0, 4.0), (1050, 9.0))
    assert reading_with_motion(1010, channel, history(*MOVE))[:2] == (5.0, Flag.NONE)


def test_motion_that_is_posted_again_is_still_the_same_move():
    motion = history((0, 0.0), (1000, 1.0), (1060, 1.0), (1100, 0.0))
    assert reading_with_motion(1075, history((0, 0.0), (1050, 5.0), (1100, 10.0)), motion)[:2] == (7.5, Flag.NONE)


def test_next_move_is_not_taken_for_this_one():
    motion = history((0, 1.0), (100, 0.0), (200, 1.0), (300, 0.0))
    channel = history((0, 0.0), (80, 8.0), (250, 50.0), confirmed=400)
    assert reading_with_motion(90, channel, motion)[:2] == (8.0, Flag.NONE)
    assert reading_with_motion(150, channel, motion)[:2] == (8.0, Flag.NONE)
    assert reading_with_motion(225, channel, motion)[:2] == (29.0, Flag.NONE)


def test_end_of_a_move_is_known_without_any_later_update():
    motion = history(*MOVE)
    channel = history((0, 0.0), (1050, 5.0))
    assert reading_with_motion(1075, channel, motion) is None
    channel.confirm(1099)
    assert reading_with_motion(1075, channel, motion) is None
    channel.confirm(1100)
    assert reading_with_motion(1075, channel, motion)[:2] == (5.0, Flag.NONE)


def test_later_update_is_not_used_before_the_end_of_the_motion_is_known_to_lie_behind_it():
    motion = history((0, 0.0), (1000, 1.0), confirmed=1080)
    channel = history((0, 0.0), (1050, 5.0), (1100, 10.0))
    assert reading_with_motion(1075, channel, motion) is None
    motion.confirm(1099)
    assert reading_with_motion(1075, channel, motion)[:2] == (7.5, Flag.NONE)


@pytest.mark.parametrize("invalid", [1050, 1100])
def test_line_from_or_to_an_invalid_update_is_flagged(invalid):
    values = {0: 0.0, 1050: 5.0, 1100: 10.0} | {invalid: INVALID}
    reading = reading_with_motion(1075, history(*values.items()), history(*MOVE))
    assert reading is not None and reading[1] == Flag.INVALID


@pytest.mark.parametrize("gone", ["channel", "motion", "both"])
def test_moving_axis_that_lost_its_connection_is_flagged_at_once(gone):
    channel = history((0, 0.0), (1050, 5.0), confirmed=1080)
    motion = history((0, 0.0), (1000, 1.0), confirmed=1080)
    if gone != "motion":
        lost(channel)
    if gone != "channel":
        lost(motion)
    assert reading_with_motion(1075, channel, motion)[:2] == (5.0, Flag.DISCONNECTED)


def test_motion_that_began_during_a_disconnection_flags_its_line():
    """When it left its place cannot be known."""
    channel = history((0, 0.0), (2050, 5.0), (2100, 10.0))
    motion = lost(history((0, 0.0), confirmed=500))
    motion.add(Readback("m", 1.0, 2000, is_after_gap=True))
    motion.confirm(3000)
    assert reading_with_motion(2025, channel, motion)[:2] == (0.0, Flag.DISCONNECTED)
    assert reading_with_motion(2075, channel, motion)[:2] == (7.5, Flag.NONE)


def test_motion_history_that_begins_later_is_flagged():
    assert reading_with_motion(5, history((0, 1.0), confirmed=10), history((8, 0.0), confirmed=10))[:2] == (
        1.0,
        Flag.UNBRACKETED,
    )


def test_close_updates_are_a_line_and_it_is_waited_for():
    channel = history((0, 0.0), confirmed=30)
    assert reading_by_gap(25, channel, gap_ns=100) is None, "an update within the gap would mean motion"
    channel.add(Readback("x", 5.0, 50))
    assert reading_by_gap(25, channel, gap_ns=100)[:2] == (2.5, Flag.NONE)


def test_silence_for_a_gap_is_rest():
    channel = history((0, 7.0), confirmed=99)
    assert reading_by_gap(25, channel, gap_ns=100) is None
    channel.confirm(100)
    assert reading_by_gap(25, channel, gap_ns=100)[:2] == (7.0, Flag.NONE)
    channel.add(Readback("x", 8.0, 101))
    assert reading_by_gap(25, channel, gap_ns=100)[:2] == (7.0, Flag.NONE)


def test_updates_exactly_a_gap_apart_are_a_line():
    assert reading_by_gap(50, history((0, 0.0), (100, 10.0)), gap_ns=100)[:2] == (5.0, Flag.NONE)


def test_rest_that_was_proved_before_a_disconnection_is_no_less_true_after_it():
    channel = lost(history((0, 7.0), confirmed=200))
    assert reading_by_gap(150, channel, gap_ns=100)[:2] == (7.0, Flag.NONE)
    channel.add(Readback("x", 9.0, 1000, is_after_gap=True))
    assert reading_by_gap(150, channel, gap_ns=100)[:2] == (7.0, Flag.NONE)
    assert reading_by_gap(500, channel, gap_ns=100)[:2] == (7.0, Flag.DISCONNECTED)


def test_channel_without_interpolation_steps_at_its_updates():
    channel = history((0, 0.0), (10, 1.0), confirmed=20)
    assert [reading_by_gap(time, channel, gap_ns=0)[:2] for time in (9, 10, 11)] == [
        (0.0, Flag.NONE),
        (1.0, Flag.NONE),
        (1.0, Flag.NONE),
    ]


def test_guess_is_the_last_value_before_or_else_the_first_after():
    assert best_guess(5, history((0, 1.0), (10, 2.0)))[:2] == (1.0, Flag.UNBRACKETED)
    assert best_guess(-5, history((0, 1.0)))[:2] == (1.0, Flag.UNBRACKETED)
    assert best_guess(5, history((0, INVALID)))[:2] == (INVALID, Flag.UNBRACKETED | Flag.INVALID)


def worth(reading):
    return reading.uncertainty, reading.bracket_ns


def test_a_moving_axis_may_be_as_far_off_as_its_speed_changes_allow():
    """Speeds of 0, 0.1 and 0.2 per ns: c = 0.2 in all, and c·t·(T-t)/T is 0.2 * 25 in the middle of 100 ns."""
    channel = history((0, 0.0), (1100, 10.0), (1200, 30.0), (1300, 60.0))
    motion = history((0, 0.0), (1000, 1.0), (1300, 0.0))
    reading = reading_with_motion(1150, channel, motion, tolerance=1e-3)
    assert reading.value == pytest.approx(20.0) and reading.flag == Flag.UNCERTAIN
    assert worth(reading) == (pytest.approx(5.0), 100)
    assert worth(reading_with_motion(1101, channel, motion, tolerance=1e-3)) == (pytest.approx(0.2 * 0.99), 100)


def test_at_constant_speed_there_is_no_uncertainty_and_at_rest_nothing_to_bracket():
    channel = history((0, 0.0), (1100, 10.0), (1200, 20.0), (1300, 30.0), (1400, 40.0))
    motion = history((0, 0.0), (1000, 1.0), (1400, 0.0))
    assert worth(reading_with_motion(1250, channel, motion, tolerance=1e-3)) == (pytest.approx(0.0, abs=1e-12), 100)
    uncertainty, bracket_ns = worth(reading_with_motion(500, channel, motion, tolerance=1e-3))
    assert uncertainty == 0.0 and math.isnan(bracket_ns)


def test_first_stretch_of_a_move_is_bracketed_by_its_start():
    reading = reading_with_motion(1025, history((0, 0.0), (1050, 5.0), (1100, 10.0)), history(*MOVE), tolerance=1e-3)
    assert reading.bracket_ns == 50


def test_start_that_has_no_time_leaves_the_whole_step_open():
    """The next move's start is stamped with the end of the last one, and so with the update that came with it."""
    channel = history((1100, 10.0), (1300, 20.0), (1400, 30.0))
    reading = reading_with_motion(
        1250, channel, history((0, 1.0), (1100, 0.0), (1100, 1.0), (1400, 0.0)), tolerance=0.1
    )
    assert reading.flag == Flag.UNCERTAIN and reading.uncertainty == 10.0


def test_updates_that_agree_leave_as_much_open_as_they_differ():
    reading = reading_by_gap(50, history((0, 1.0), (150, 1.5)), gap_ns=100, tolerance=1.0, rests_in_silence=False)
    assert reading.flag == Flag.NONE and reading.uncertainty == 0.5


@pytest.mark.parametrize("values", [{0: INVALID, 100: 1.0}, {0: 0.0, 100: INVALID}], ids=["before", "after"])
def test_what_a_flagged_reading_is_worth_is_not_known(values):
    assert math.isnan(reading_by_gap(50, history(*values.items()), gap_ns=100).uncertainty)
    assert math.isnan(best_guess(50, history(*values.items())).uncertainty)
