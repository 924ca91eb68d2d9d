"""A silent channel is confirmed only when no update can be on its way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.sources.live.watermark import DELIVERY_S, LATE_S, ChannelWatermark, longest_delivery_s


def test_answer_as_old_as_the_last_update_confirms_the_silence():
    watermark = ChannelWatermark()
    assert watermark.ask(1.0)
    assert watermark.answer(now_s=1.001, get_ns=100, last_update_ns=100) == 1.0


def test_newer_answer_confirms_nothing_at_first():
    watermark = ChannelWatermark()
    watermark.ask(1.0)
    assert watermark.answer(1.001, get_ns=200, last_update_ns=100) is None


def test_what_was_posted_before_a_question_has_come_a_delivery_time_later():
    watermark = ChannelWatermark()
    for asked_s in (1.0, 1.02):
        watermark.ask(asked_s)
        assert watermark.answer(asked_s, get_ns=200, last_update_ns=100) is None
    watermark.ask(1.0 + DELIVERY_S)
    assert watermark.answer(1.0 + DELIVERY_S, 200, 100) == 1.0


def test_value_that_went_and_came_back_unseen_is_not_taken_for_rest():
    """A DMOV that goes 1, 0, 1 while its updates are late: each answer is newer, although the value is as before."""
    watermark = ChannelWatermark()
    watermark.ask(0.0)
    watermark.answer(0.0, get_ns=900, last_update_ns=100)
    watermark.ask(10.0)
    assert watermark.answer(10.0, get_ns=10_900, last_update_ns=100) == 0.0


def test_late_answer_proves_the_time_of_its_own_question_only():
    watermark = ChannelWatermark()
    assert watermark.ask(1.0)
    assert not watermark.ask(3.0)  # the first is still unanswered: no other goes out
    assert watermark.answer(3.1, 100, 100) == 1.0
    assert watermark.ask(3.2)
    assert watermark.answer(3.3, 100, 100) == 3.2


def test_what_was_asked_before_a_lost_connection_proves_nothing():
    watermark = ChannelWatermark()
    watermark.ask(1.0)
    watermark.answer(1.0, 200, 100)
    watermark.restart()
    watermark.ask(2.0)
    assert watermark.answer(2.0, 300, 100) is None
    watermark.restart()
    assert watermark.answer(2.1, 100, 100) is None


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 40)), max_size=12, unique_by=lambda post: post[0]),
    st.lists(st.integers(0, 2200), min_size=1, max_size=30),
)
def test_no_update_arrives_after_it_was_confirmed_away(posts, questions):
    """Updates, posted (ms) and delivered at most 40 ms later in order; gets answered at once by the record itself."""
    posts = sorted(posts)
    arrivals, latest = [], 0
    for posted, delay in posts:
        latest = max(latest, posted + delay)
        arrivals.append(latest)
    watermark = ChannelWatermark()
    for now in sorted(questions):
        watermark.ask(now / 1000)
        record = max((posted for posted, _ in posts if posted <= now), default=-1)
        received = [posted for (posted, _), arrival in zip(posts, arrivals, strict=True) if arrival <= now]
        certain_s = watermark.answer(now / 1000, get_ns=record, last_update_ns=max(received, default=-1))
        if certain_s is not None:
            assert set(received) >= {posted for posted, _ in posts if posted <= certain_s * 1000}


def test_update_that_is_on_its_way_is_waited_for_however_late_it_is() -> None:
    """A moving axis whose updates stall: the record shows that it is elsewhere."""
    watermark = ChannelWatermark()
    for asked_s in (0.0, 1.0, 10.0):
        watermark.ask(asked_s)
        late_s = longest_delivery_s(difference=0.2, tolerance=0.003)
        assert watermark.answer(asked_s, get_ns=int(900 + asked_s), last_update_ns=100, delivery_s=late_s) is None
    watermark.ask(11.0)
    assert watermark.answer(11.0, get_ns=2000, last_update_ns=2000) == 11.0


@pytest.mark.parametrize(
    ("difference", "tolerance", "late_s"),
    [
        (0.0, 0.0, DELIVERY_S),
        (1.0, 0.0, math.inf),
        (0.002, 0.003, DELIVERY_S),
        (0.01, 0.003, LATE_S),
        (0.016, 0.003, math.inf),
        (5.0, math.inf, DELIVERY_S),
        (math.inf, 0.003, math.inf),
    ],
)
def test_update_is_late_by_what_it_would_change(difference: float, tolerance: float, late_s: float) -> None:
    assert longest_delivery_s(difference, tolerance) == late_s
