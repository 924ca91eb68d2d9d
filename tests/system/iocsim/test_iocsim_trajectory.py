"""The motion of an axis as a function of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocsim.motors.trajectory import HISTORY, Move, Track

SECOND = 1_000_000_000

moves = st.builds(
    Move,
    start_ns=st.integers(0, 10**18),
    start=st.floats(-5000, 5000),
    target=st.floats(-5000, 5000),
    velocity=st.floats(0.1, 10_000),
    ramp_s=st.floats(0, 1),
)


@given(moves, st.floats(-1, 2))
def test_position_never_leaves_the_way_from_start_to_target(move: Move, share: float):
    position = move.position_at(move.start_ns + round(share * (move.end_ns - move.start_ns)))
    low, high = sorted((move.start, move.target))
    assert low - 1e-9 <= position <= high + 1e-9


@given(moves)
def test_position_is_exact_before_and_after_the_move(move: Move):
    assert move.position_at(move.start_ns) == move.start
    assert move.position_at(move.end_ns + 1) == move.target


@given(moves, st.floats(0, 1), st.integers(1, 10**6))
def test_nothing_moves_faster_than_its_velocity(move: Move, share: float, step_ns: int):
    time_ns = move.start_ns + round(share * (move.end_ns - move.start_ns))
    way = abs(move.position_at(time_ns + step_ns) - move.position_at(time_ns))
    # A microsecond of tolerance: the end is rounded to a nanosecond, times near 1e18 to more.
    assert way <= move.velocity * (step_ns * 1e-9 + 1e-6) + 1e-9


def test_a_long_move_is_a_trapezoid():
    move = Move(0, 0.0, 100.0, velocity=10.0, ramp_s=1.0)
    assert move.duration_s == 11.0
    assert move.position_at(1 * SECOND) == pytest.approx(5.0)
    assert move.position_at(int(5.5 * SECOND)) == pytest.approx(50.0)
    assert move.position_at(10 * SECOND) == pytest.approx(95.0)


def test_a_short_move_is_a_triangle():
    move = Move(0, 0.0, -1.0, velocity=10.0, ramp_s=1.0)
    assert move.duration_s == pytest.approx(2 * 0.1**0.5)
    assert move.position_at(move.end_ns // 2) == pytest.approx(-0.5)


def test_a_track_remembers_where_the_axis_was():
    track = Track(3.0)
    track.add(Move(10 * SECOND, 3.0, 13.0, velocity=1.0))
    track.add(Move(15 * SECOND, 8.0, 0.0, velocity=8.0))  # a new target half-way
    assert [track.position_at(t * SECOND) for t in (0, 10, 12, 15, 16, 99)] == [3.0, 3.0, 5.0, 8.0, 0.0, 0.0]


def test_a_track_forgets_only_what_is_old():
    track = Track(0.0)
    for n in range(3 * HISTORY):
        track.add(Move(n * SECOND, float(n), float(n + 1), velocity=1.0))
    newest_ns = 3 * HISTORY * SECOND
    assert track.position_at(newest_ns) == 3 * HISTORY
    assert track.position_at(newest_ns - HISTORY * SECOND // 2) == pytest.approx(2.5 * HISTORY)
