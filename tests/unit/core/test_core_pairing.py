"""Pairing of readbacks and frames, case by case; `tests/property/test_pairing.py` has the general claims."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId, FrameTime
from stream_service.core.pairing.history import MOST_UPDATES
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How, channels_followed

MS = 1_000_000
PIXELS = np.zeros((2, 2), np.uint16)
MOTOR = ChannelRule("x", How.TIMESTAMP, moving="x_moving")
ENERGY = ChannelRule("energy", How.ATTRIBUTE, attribute="energy")


class Bench:
    """A pairer, and channels in milliseconds."""

    def __init__(self, *rules: ChannelRule) -> None:
        self.pairer = Pairer(rules)
        self.n_frames = 0

    def posts(self, channel: str, *updates: tuple[float, float], **flags: bool) -> None:
        for at_ms, value in updates:
            self.pairer.add_readback(Readback(channel, value, round(at_ms * MS), **flags))

    def confirms(self, until_ms: float, *channels: str) -> None:
        for channel in channels or ("x", "x_moving"):
            self.pairer.confirm(channel, round(until_ms * MS))

    def frame(self, mid_ms: float, exposure_ms: float = 10, *, number: int | None = None, **attributes: object) -> None:
        """The next frame of the run, or the one with this number."""
        end_ns = round((mid_ms + exposure_ms / 2) * MS)
        number = self.n_frames if number is None else number
        frame = Frame(number, end_ns, PIXELS, attributes)  # type: ignore[arg-type]
        window = FrameTime().window(end_ns, exposure_ms / 1000)
        self.pairer.add_frame(frame, FrameId(0, number), number, exposure_ms / 1000, window)
        self.n_frames = number + 1

    def one(self) -> Exposure:
        (exposure,) = self.pairer.take()
        return exposure


@pytest.fixture
def motor() -> Bench:
    """At rest at 0 since long ago; moves from 1000 to 1100 ms to 10, posts at 1050 and 1100; rests."""
    bench = Bench(MOTOR)
    bench.posts("x", (0, 0.0), (1050, 5.0), (1100, 10.0))
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1100, 0.0))
    return bench


def test_old_value_of_an_axis_at_rest_is_not_stale():
    bench = Bench(MOTOR)
    bench.posts("x", (0, 7.25))
    bench.posts("x_moving", (0, 0.0))
    bench.frame(mid_ms=3_600_000)
    bench.confirms(3_600_010)
    assert (bench.one().values["x"], bench.pairer.take()) == (7.25, [])


def test_frame_waits_until_silence_is_confirmed():
    bench = Bench(MOTOR)
    bench.posts("x", (0, 7.25))
    bench.posts("x_moving", (0, 0.0))
    bench.frame(100)
    assert bench.pairer.take() == []
    bench.confirms(200, "x")
    assert bench.pairer.take() == []
    bench.confirms(200, "x_moving")
    assert bench.one().flags == Flag.NONE


def test_late_readback_still_pairs(motor):
    bench = Bench(MOTOR)
    bench.frame(1060)
    assert bench.pairer.take() == []
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1100, 0.0))
    bench.posts("x", (0, 0.0), (1050, 5.0))
    assert bench.pairer.take() == []
    bench.posts("x", (1100, 10.0))
    assert bench.one().values["x"] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("mid_ms", "expected"),
    [(999, 0.0), (1000, 0.0), (1025, 2.5), (1050, 5.0), (1075, 7.5), (1100, 10.0), (1101, 10.0), (5000, 10.0)],
)
def test_moving_axis_is_where_it_was_at_mid_exposure(motor, mid_ms, expected):
    motor.frame(mid_ms)
    motor.confirms(10_000)
    exposure = motor.one()
    assert exposure.values["x"] == pytest.approx(expected, abs=1e-12)
    assert exposure.flags == Flag.NONE


def test_frame_that_catches_the_start_of_a_move_is_not_drawn_towards_its_end(motor):
    """The update before is an hour old, the next one is far away: between them the axis stood still for an hour."""
    motor.frame(mid_ms=998, exposure_ms=20)
    motor.confirms(10_000)
    assert motor.one().values["x"] == 0.0


def test_axis_that_arrived_between_two_posts_rests_where_it_was_last_seen():
    """The next update belongs to the next move; nothing is interpolated towards it."""
    bench = Bench(MOTOR)
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1120, 0.0), (1130, 1.0), (1180, 0.0))
    bench.posts("x", (0, 0.0), (1050, 5.0), (1100, 10.0), (1180, 90.0))
    bench.frame(1110, exposure_ms=1)
    bench.confirms(10_000)
    assert bench.one().values["x"] == 10.0


def test_axis_that_only_pretends_to_move_stays_where_it_is():
    bench = Bench(MOTOR)
    bench.posts("x", (0, 3.0))
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1005, 0.0))
    bench.frame(1002, exposure_ms=2)
    bench.confirms(2000)
    exposure = bench.one()
    assert (exposure.values["x"], exposure.flags) == (3.0, Flag.NONE)


def test_without_a_motion_channel_close_updates_mean_motion_and_distant_ones_rest():
    bench = Bench(ChannelRule("x", How.TIMESTAMP, gap_s=0.1))
    bench.posts("x", (0, 0.0), (50, 5.0), (1000, 6.0))
    bench.frame(25)
    bench.frame(500)
    bench.confirms(2000, "x")
    moving, resting = bench.pairer.take()
    assert moving.values["x"] == pytest.approx(2.5)
    assert resting.values["x"] == 5.0


def test_channel_that_jumps_is_held():
    bench = Bench(ChannelRule("shutter", How.TIMESTAMP, is_continuous=False))
    bench.posts("shutter", (0, 0.0), (10, 1.0))
    bench.frame(9)
    bench.frame(10)
    bench.confirms(20, "shutter")
    assert [exposure.values["shutter"] for exposure in bench.pairer.take()] == [0.0, 1.0]


def test_scale_makes_si_units():
    bench = Bench(ChannelRule("x", How.TIMESTAMP, scale=1e-6, is_continuous=False))
    bench.posts("x", (0, 12.5))
    bench.frame(10)
    bench.confirms(20, "x")
    assert bench.one().values["x"] == 12.5 * 1e-6


def test_invalid_readback_is_flagged(motor):
    motor.posts("x", (1500, math.nan), is_valid=False)
    motor.frame(1600)
    motor.confirms(2000)
    exposure = motor.one()
    assert exposure.flags == Flag.INVALID
    assert math.isnan(exposure.values["x"])


def test_invalid_motion_is_flagged(motor):
    motor.posts("x_moving", (1500, 0.0), is_valid=False)
    motor.frame(1600)
    motor.confirms(2000)
    assert motor.one().flags == Flag.INVALID


def test_frame_before_the_history_began_is_flagged():
    bench = Bench(MOTOR)
    bench.frame(10)
    bench.posts("x", (500, 5.0))
    bench.posts("x_moving", (500, 0.0))
    assert bench.one().flags == Flag.UNBRACKETED


def test_frame_during_a_disconnection_is_flagged_at_once(motor):
    motor.frame(2000)
    motor.pairer.disconnect("x")
    exposure = motor.one()
    assert (exposure.values["x"], exposure.flags) == (10.0, Flag.DISCONNECTED)


def test_first_update_lets_a_frame_leave_that_the_lost_motion_flags():
    bench = Bench(MOTOR)
    bench.posts("x_moving", (0, 0.0))
    bench.frame(100)
    bench.pairer.disconnect("x_moving")
    assert bench.pairer.take() == []
    bench.posts("x", (50, 1.0))
    assert bench.one().flags == Flag.DISCONNECTED


def test_frame_before_the_first_update_leaves_whatever_is_known_of_the_motion():
    bench = Bench(MOTOR)
    bench.frame(100)
    assert bench.pairer.take() == []
    bench.posts("x", (200, 1.0))
    assert bench.one().flags == Flag.UNBRACKETED


def test_frame_before_a_disconnection_is_not_flagged(motor):
    motor.confirms(1500)
    motor.pairer.disconnect("x")
    motor.pairer.disconnect("x_moving")
    motor.frame(1400)
    assert motor.one().flags == Flag.NONE


def test_frame_after_a_disconnection_is_not_flagged(motor):
    motor.pairer.disconnect("x")
    motor.posts("x", (3000, 33.0), is_after_gap=True)
    motor.frame(2000)
    motor.frame(4000)
    motor.confirms(5000)
    during, later = motor.pairer.take()
    assert (during.values["x"], during.flags) == (10.0, Flag.DISCONNECTED)
    assert (later.values["x"], later.flags) == (33.0, Flag.NONE)


def test_move_is_not_interpolated_across_a_disconnection():
    bench = Bench(MOTOR)
    bench.posts("x_moving", (0, 0.0), (1000, 1.0))
    bench.posts("x", (0, 0.0), (1050, 5.0))
    bench.confirms(1060, "x")
    bench.pairer.disconnect("x")
    bench.posts("x", (1900, 90.0), is_after_gap=True)
    bench.frame(1055, exposure_ms=1)
    bench.confirms(2000)
    exposure = bench.one()
    assert (exposure.values["x"], exposure.flags) == (5.0, Flag.DISCONNECTED)


def test_giving_up_flags_what_is_not_known_and_keeps_what_is(motor):
    motor.confirms(1500)
    motor.frame(1400)
    motor.frame(1600)
    known, unknown = motor.pairer.give_up()
    assert known.flags == Flag.NONE
    assert (unknown.values["x"], unknown.flags) == (10.0, Flag.UNBRACKETED)


def test_giving_up_without_any_history_gives_not_a_number():
    bench = Bench(MOTOR)
    bench.frame(10)
    (exposure,) = bench.pairer.give_up()
    assert math.isnan(exposure.values["x"])
    assert exposure.flags == Flag.UNBRACKETED


def test_frame_that_is_known_passes_one_that_is_not(motor):
    motor.confirms(1500)
    motor.frame(1600, number=1)
    motor.frame(1400, number=0)
    assert [exposure.ordinal for exposure in motor.pairer.take()] == [0]
    motor.confirms(2000)
    assert [exposure.ordinal for exposure in motor.pairer.take()] == [1]


def test_frame_that_a_disconnection_flags_passes_one_that_waits_and_each_keeps_its_own_value():
    bench = Bench(MOTOR)
    bench.posts("x", (0, 0.0), (1050, 5.0), (1100, 10.0))
    bench.posts("x_moving", (0, 0.0), (1000, 1.0))
    bench.confirms(1500, "x")
    bench.frame(1075)
    bench.frame(2000)
    assert bench.pairer.take() == []
    bench.pairer.disconnect("x")
    lost = bench.one()
    assert (lost.ordinal, lost.values["x"], lost.flags) == (1, 10.0, Flag.DISCONNECTED)
    bench.posts("x_moving", (1100, 0.0))
    bench.confirms(1200, "x_moving")
    known = bench.one()
    assert (known.ordinal, known.values["x"], known.flags) == (0, 7.5, Flag.NONE)


def test_frames_that_are_known_together_leave_in_the_order_in_which_they_came(motor):
    for number, mid_ms in ((2, 1600), (0, 1400), (1, 1500)):
        motor.frame(mid_ms, number=number)
    motor.confirms(2000)
    assert [exposure.ordinal for exposure in motor.pairer.take()] == [2, 0, 1]


def test_frame_stamped_far_ahead_holds_up_no_other_and_spoils_none(motor):
    """It comes without a receipt: only the stamps tell that it is wrong."""
    for mid_ms in (1400, 1410, 3_600_000, 1420, 1430):
        motor.frame(mid_ms)
    motor.confirms(2000)
    assert [(exposure.ordinal, exposure.flags) for exposure in motor.pairer.take()] == [
        (0, Flag.NONE), (1, Flag.NONE), (3, Flag.NONE), (4, Flag.NONE),
    ]  # fmt: skip
    (ahead,) = motor.pairer.give_up()
    assert (ahead.ordinal, ahead.flags) == (2, Flag.UNBRACKETED)


def test_frames_that_wait_are_not_looked_at_again_until_their_readbacks_have_moved_on(motor, monkeypatch):
    """However many wait, and whatever other channels do: the x of all is silent, then it speaks."""
    looked_at = []
    resolve = Pairer._resolve
    monkeypatch.setattr(Pairer, "_resolve", lambda *a, **k: looked_at.append(a) or resolve(*a, **k))
    for n in range(1000):
        motor.frame(2000 + n, exposure_ms=1)
        motor.confirms(2001 + n, "x_moving")
        assert motor.pairer.take() == []
    assert len(looked_at) <= 1000
    motor.confirms(1999, "x")
    assert motor.pairer.take() == [] and len(looked_at) <= 1000
    motor.confirms(3000, "x")
    assert [exposure.ordinal for exposure in motor.pairer.take()] == list(range(1000))
    assert len(looked_at) <= 2002


def test_frames_of_a_move_are_looked_at_a_few_times_however_many_wait(monkeypatch):
    """1 kHz, while the axis posts at 10 Hz: each needs the two updates after it."""
    looked_at = []
    resolve = Pairer._resolve
    monkeypatch.setattr(Pairer, "_resolve", lambda *a, **k: looked_at.append(a) or resolve(*a, **k))
    bench = Bench(PRECISE)
    bench.posts("x", (0, 0.0))
    bench.posts("x_moving", (0, 0.0), (1, 1.0))
    n_paired = 0
    for now_ms in range(2, 5000):
        bench.frame(now_ms, exposure_ms=1)
        bench.confirms(now_ms)
        if now_ms % 100 == 0:
            bench.posts("x", (now_ms, float(now_ms)))
        n_paired += len(bench.pairer.take())
    assert n_paired >= 4700
    assert len(looked_at) <= 4 * n_paired


few_or_many = pytest.mark.parametrize("n_frames", [20_000, pytest.param(100_000, marks=pytest.mark.long)])


@few_or_many
def test_what_a_silent_channel_leaves_behind_is_forgotten(motor, n_frames):
    """At 1 kHz, of which no more than 100 frames may wait; the histories of the others do not grow."""
    for n in range(n_frames):
        motor.frame(2000 + n, exposure_ms=1)
        motor.posts("x_moving", (2000 + n, 0.0))
        motor.pairer.take()
        motor.pairer.give_up(len(motor.pairer) - 100 if len(motor.pairer) > 100 else 0)
    pairer = motor.pairer
    assert (len(pairer), pairer.waiting_bytes) == (100, 100 * PIXELS.nbytes)
    assert len(pairer._lines["x"]._frames) < 300
    assert len(pairer._histories["x_moving"].readbacks) < 12_000


def test_frame_that_was_overtaken_is_still_paired(motor):
    """An old frame after many new ones: the history reaches back far enough."""
    motor.posts("x", *[(2000 + 20 * n, float(n)) for n in range(200)])
    motor.posts("x_moving", (2000, 1.0))
    motor.frame(5000, number=1)
    motor.frame(1400, number=0)
    motor.confirms(10_000)
    late = motor.pairer.take()[1]
    assert (late.values["x"], late.flags) == (10.0, Flag.NONE)


@pytest.mark.parametrize(
    ("value", "expected", "flag"),
    [
        (705.5, 705.5, Flag.NONE),
        (7, 7.0, Flag.NONE),
        (True, 1.0, Flag.NONE),
        ("705.5", 705.5, Flag.NONE),
        (None, math.nan, Flag.DISCONNECTED),
        (math.nan, math.nan, Flag.INVALID),
        (-math.inf, -math.inf, Flag.INVALID),
        ("Undefined", math.nan, Flag.INVALID),
        ("", math.nan, Flag.INVALID),
        ("nan", math.nan, Flag.INVALID),
        ([1.0], math.nan, Flag.INVALID),
        (np.ones(2), math.nan, Flag.INVALID),
        (object(), math.nan, Flag.INVALID),
    ],
)
def test_attribute_is_taken_or_flagged(value, expected, flag):
    bench = Bench(ENERGY)
    bench.frame(10, energy=value)
    exposure = bench.one()
    assert exposure.flags == flag
    assert exposure.values["energy"] == pytest.approx(expected, nan_ok=True)


DMOV = (0, 0.0), (1000, 1.0), (1100, 0.0), (1100, 1.0), (1300, 0.0)
"""The second move begins at 1200, which its DMOV does not tell."""
PRECISE = ChannelRule("x", How.TIMESTAMP, moving="x_moving", tolerance=0.003)


def test_start_stamped_with_the_last_end_is_not_a_time():
    """The axis stood at 10 until 1200, and a line from 1100 would say that it left at once."""
    bench = Bench(PRECISE)
    bench.posts("x", (0, 0.0), (1050, 5.0), (1100, 10.0), (1250, 15.0), (1300, 20.0))
    bench.posts("x_moving", *DMOV)
    for mid_ms in (1150, 1275):
        bench.frame(mid_ms)
    bench.confirms(10_000)
    assert [exposure.flags for exposure in bench.pairer.take()] == [Flag.UNCERTAIN, Flag.UNCERTAIN]


def test_start_without_a_time_takes_nothing_from_what_was_known_before_it():
    bench = Bench(PRECISE)
    bench.posts("x", (0, 0.0), (1100, 10.0))
    bench.posts("x_moving", *DMOV[:3])
    bench.frame(1150)
    bench.confirms(1160)
    exposure = bench.one()
    assert (exposure.values["x"], exposure.flags) == (10.0, Flag.NONE)


def test_ramps_of_a_move_are_uncertain_and_its_cruise_is_not():
    bench = Bench(PRECISE)
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1600, 0.0))
    bench.posts("x", (0, 0.0), (1100, 5.0), (1200, 15.0), (1300, 25.0), (1400, 35.0), (1500, 45.0), (1600, 50.0))
    for mid_ms in (1050, 1150, 1250, 1350, 1450, 1550):
        bench.frame(mid_ms)
    bench.confirms(10_000)
    flags = [exposure.flags for exposure in bench.pairer.take()]
    assert flags == [Flag.UNCERTAIN, Flag.UNCERTAIN, Flag.NONE, Flag.NONE, Flag.UNCERTAIN, Flag.UNCERTAIN]


def test_step_smaller_than_the_tolerance_is_never_uncertain():
    bench = Bench(PRECISE)
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1100, 0.0))
    bench.posts("x", (0, 0.0), (1100, 0.002))
    bench.frame(1050)
    bench.confirms(10_000)
    assert bench.one().flags == Flag.NONE


def test_axis_that_moves_while_it_is_said_to_rest_is_flagged():
    """Its motion ends at 80 % of the way, or is another axis's."""
    bench = Bench(PRECISE)
    bench.posts("x_moving", (0, 0.0), (1000, 1.0), (1100, 0.0))
    bench.posts("x", (0, 0.0), (1100, 8.0), (1200, 9.5), (1300, 10.0))
    for mid_ms in (900, 1150, 1250, 1400):
        bench.frame(mid_ms)
    bench.confirms(10_000)
    flags = [exposure.flags for exposure in bench.pairer.take()]
    assert flags == [Flag.NONE, Flag.UNCERTAIN, Flag.UNCERTAIN, Flag.UNCERTAIN]
    assert bench.pairer.moving_at_rest == ["x"]


def test_start_of_a_motion_that_comes_after_its_readback_convicts_nobody():
    bench = Bench(PRECISE)
    bench.posts("x_moving", (0, 0.0))
    bench.posts("x", (0, 0.0), (1100, 8.0))
    bench.frame(900)
    bench.confirms(1000)
    assert bench.one().flags == Flag.NONE
    bench.posts("x_moving", (1050, 1.0))
    assert bench.pairer.moving_at_rest == []


def test_jitter_of_an_axis_at_rest_is_no_motion():
    bench = Bench(PRECISE)
    bench.posts("x_moving", (0, 0.0))
    bench.posts("x", *[(100 * n, 0.005 * (n % 2)) for n in range(20)])
    bench.frame(1050)
    bench.confirms(10_000)
    assert bench.one().flags == Flag.NONE


SOFT = ChannelRule("x", How.TIMESTAMP, gap_s=0.25, tolerance=0.003, rests_in_silence=False)


def test_axis_that_posts_seldom_and_tells_no_motion_is_flagged_where_it_may_have_moved():
    """It moves at 10 units a second all the time, and its record is processed twice a second."""
    bench = Bench(SOFT)
    bench.posts("x", *[(500 * n, 5.0 * n) for n in range(8)])
    for n in range(6):
        bench.frame(100 + 500 * n)
        bench.frame(400 + 500 * n)
    bench.confirms(10_000, "x")
    assert {exposure.flags for exposure in bench.pairer.take()} == {Flag.UNCERTAIN}


def test_silence_is_rest_only_where_the_profile_says_so():
    for rule, flag in ((SOFT, Flag.UNCERTAIN), (replace(SOFT, rests_in_silence=True), Flag.NONE)):
        bench = Bench(rule)
        bench.posts("x", (0, 7.0))
        bench.frame(5000)
        bench.confirms(6000, "x")
        exposure = bench.one()
        assert (exposure.values["x"], exposure.flags) == (7.0, flag)


def test_move_that_begins_after_a_long_rest_is_flagged_from_where_it_may_have_begun():
    bench = Bench(replace(SOFT, rests_in_silence=True))
    bench.posts("x", (0, 0.0), (5000, 1.0))
    bench.frame(4000)
    bench.frame(4900)
    bench.confirms(6000, "x")
    assert [exposure.flags for exposure in bench.pairer.take()] == [Flag.NONE, Flag.UNCERTAIN]


def test_frame_with_the_stamp_of_the_frame_before_has_no_known_time(motor):
    motor.confirms(10_000)
    for mid_ms in (1200, 1210, 1210, 1210, 1240):
        motor.frame(mid_ms)
    flags = [exposure.flags for exposure in motor.pairer.take()]
    assert flags == [Flag.NONE, Flag.NONE, Flag.NO_TIME, Flag.NO_TIME, Flag.NONE]


def test_frames_of_a_clock_that_was_set_back_have_no_known_time(motor):
    motor.confirms(10_000)
    for mid_ms in (3000, 1200, 1210, 3100):
        motor.frame(mid_ms)
    flags = [exposure.flags for exposure in motor.pairer.take()]
    assert flags == [Flag.NONE, Flag.NO_TIME, Flag.NO_TIME, Flag.NO_TIME], "how far it was set back nobody knows"


def test_time_of_a_frame_is_nothing_to_channels_that_it_carries():
    bench = Bench(ENERGY)
    for _ in range(2):
        bench.frame(10, energy=1.0)
    assert [exposure.flags for exposure in bench.pairer.take()] == [Flag.NONE, Flag.NONE]


ATTRIBUTE = ChannelRule("x", How.ATTRIBUTE, attribute="posx", tolerance=0.003, has_pv=True)


def test_attribute_that_follows_its_pv_is_not_flagged():
    bench = Bench(ATTRIBUTE)
    bench.posts("x", (0, 0.0), (100, 1.0), (200, 2.0))
    bench.frame(150, posx=1.0)
    assert bench.one().flags == Flag.NONE, "what agrees does not wait"


@pytest.mark.parametrize("stale", [0.0, 705.0])
def test_attribute_that_its_pv_left_behind_is_flagged_as_soon_as_that_is_known(stale):
    bench = Bench(ATTRIBUTE)
    bench.posts("x", (0, 0.0), (100, 1.0))
    bench.frame(150, posx=stale)
    assert bench.pairer.take() == []
    bench.confirms(300, "x")
    exposure = bench.one()
    assert (exposure.flags, exposure.position_flags) == (Flag.STALE, Flag.STALE)


def test_attribute_is_not_blamed_for_what_its_pv_does_not_tell():
    bench = Bench(ATTRIBUTE)
    bench.posts("x", (0, 0.0))
    bench.pairer.disconnect("x")
    bench.frame(150, posx=3.0)
    assert bench.one().flags == Flag.NONE


def test_attribute_of_an_axis_that_moved_during_the_exposure_is_uncertain():
    bench = Bench(ATTRIBUTE)
    bench.posts("x", (0, 0.0), (148, 1.0), (152, 2.0), (300, 3.0))
    bench.frame(150, posx=2.0)
    assert bench.one().flags == Flag.UNCERTAIN


def test_missing_attribute_is_flagged():
    bench = Bench(ENERGY)
    bench.frame(10, other=1.0)
    assert bench.one().flags == Flag.MISSING


def test_flags_of_all_channels_come_together():
    bench = Bench(ENERGY, ChannelRule("current", How.ATTRIBUTE, attribute="current"))
    bench.frame(10, current=None)
    assert bench.one().flags == Flag.MISSING | Flag.DISCONNECTED


def test_attributes_alone_never_wait():
    bench = Bench(ENERGY)
    bench.frame(10, energy=1.0)
    assert len(bench.pairer.take()) == 1


def test_readbacks_of_other_channels_are_ignored():
    bench = Bench(ENERGY)
    bench.posts("ring_current", (0, 1.0))
    bench.confirms(10, "ring_current")
    bench.pairer.disconnect("ring_current")


def test_only_channels_paired_by_time_are_followed():
    assert channels_followed([ENERGY, MOTOR]) == ("x", "x_moving")


@few_or_many
def test_histories_are_bounded_over_many_frames(n_frames):
    """A fly scan: posts every 10 ms, frames every 10 ms, each paired a little later; then an idle night."""
    pairer = Pairer([MOTOR])
    pairer.add_readback(Readback("x_moving", 1.0, 0))
    most, n_paired = 0, 0
    for n in range(n_frames):
        now_ns = 10 * n * MS
        pairer.add_readback(Readback("x", float(n), now_ns))
        pairer.confirm("x_moving", now_ns)
        frame = Frame(n, now_ns, PIXELS, {})
        pairer.add_frame(frame, FrameId(0, n), n, 0.004, FrameTime().window(now_ns, 0.004))
        n_paired += len(pairer.take())
        most = max(most, len(pairer), len(pairer._histories["x"].readbacks))
    assert n_paired >= n_frames - 10
    assert most < 2000
    for n in range(2 * MOST_UPDATES):
        pairer.add_readback(Readback("x", float(n), 10**15 + n))
    assert len(pairer._histories["x"].readbacks) <= MOST_UPDATES
