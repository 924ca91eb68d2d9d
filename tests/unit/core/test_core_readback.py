"""The history of a channel: order, what is known of it, and how much of it is kept."""

from __future__ import annotations

import pytest

from stream_service.core.pairing.history import MOST_UPDATES, History, Knowledge
from stream_service.core.pairing.readback import Readback


def history(*stamps: int) -> History:
    made = History()
    for stamp in stamps:
        made.add(Readback("x", float(stamp), stamp))
    return made


def test_nothing_is_known_of_a_channel_from_a_stamp_that_stepped_back():
    """Updates of one channel come in order, so an earlier stamp is that of a clock that was set back."""
    channel = history(10, 30)
    channel.confirm(35)
    channel.add(Readback("x", 20.0, 20))
    channel.add(Readback("x", 40.0, 40))
    assert channel.knowledge(10, 19) is Knowledge.KNOWN
    assert channel.knowledge(10, 20) is Knowledge.UNTIMED
    assert channel.knowledge(40, 40) is Knowledge.UNTIMED, "how far it was set back is not known either"


def test_update_stamped_before_what_was_confirmed_refutes_the_confirmation():
    channel = history(10)
    channel.confirm(50)
    channel.add(Readback("x", 40.0, 40))
    assert channel.knowledge(10, 39) is Knowledge.KNOWN
    assert channel.knowledge(10, 45) is Knowledge.UNTIMED
    channel.add(Readback("x", 60.0, 60))
    channel.confirm(90)
    assert channel.knowledge(61, 80) is Knowledge.KNOWN


def test_start_of_a_move_with_the_stamp_of_the_last_end_refutes_nothing():
    """A motor record's DMOV: the confirmation that nothing would come before 50 stands."""
    motion = History(tells_motion=True)
    motion.add(Readback("x_moving", 0.0, 10))
    motion.confirm(50)
    motion.add(Readback("x_moving", 1.0, 10))
    assert motion.knowledge(10, 50) is Knowledge.KNOWN


def test_value_at_a_time_is_the_last_update_up_to_it():
    before, later = history(10, 20, 30).at(20)
    assert (before and before.timestamp_ns, later and later.timestamp_ns) == (20, 30)
    assert history(10).at(9)[0] is None
    assert history(10).at(10)[1] is None


def test_of_two_updates_with_one_stamp_the_later_one_counts():
    twice = history(10)
    twice.add(Readback("x", 99.0, 10))
    before, _ = twice.at(10)
    assert before is not None and before.value == 99.0


def test_between_excludes_its_start_and_includes_its_end():
    assert [readback.timestamp_ns for readback in history(10, 20, 30).between(10, 30)] == [20, 30]


def test_an_update_proves_the_time_before_it_only():
    """Another one with the same stamp may follow."""
    channel = history(10, 20)
    assert channel.knowledge(10, 19) is Knowledge.KNOWN
    assert channel.knowledge(20, 20) is Knowledge.COMING


def test_confirmation_proves_the_silence():
    channel = history(10)
    channel.confirm(50)
    channel.confirm(40)  # an older one takes nothing back
    assert channel.knowledge(10, 50) is Knowledge.KNOWN
    assert channel.knowledge(10, 51) is Knowledge.COMING


def test_what_comes_after_a_disconnection_is_lost_until_the_channel_posts_again():
    channel = history(10)
    channel.confirm(15)
    channel.is_connected = False
    assert channel.knowledge(12, 15) is Knowledge.KNOWN
    assert channel.knowledge(12, 16) is Knowledge.LOST
    channel.add(Readback("x", 1.0, 30, is_after_gap=True))
    channel.confirm(60)
    assert channel.knowledge(15, 15) is Knowledge.KNOWN
    assert channel.knowledge(20, 20) is Knowledge.LOST
    assert channel.knowledge(10, 40) is Knowledge.LOST
    assert channel.knowledge(30, 60) is Knowledge.KNOWN


def test_reconnection_that_shows_the_same_update_proves_that_nothing_was_lost():
    channel = history(10)
    channel.is_connected = False
    channel.add(Readback("x", 10.0, 10, is_after_gap=True))
    channel.confirm(60)
    assert channel.knowledge(10, 60) is Knowledge.KNOWN


def test_forgetting_keeps_the_update_that_was_true_at_that_time():
    channel = history(*range(0, 1000, 10))
    channel.forget_before(905)
    before, later = channel.at(905)
    assert (before and before.timestamp_ns, later and later.timestamp_ns) == (900, 910)
    assert len(channel.readbacks) == 10


@pytest.mark.parametrize("n_gaps", [0, 1000])
def test_history_is_bounded_when_no_frame_comes(n_gaps):
    channel = History()
    for stamp in range(3 * MOST_UPDATES):
        channel.add(Readback("x", 0.0, stamp * 10, is_after_gap=stamp < n_gaps))
    assert len(channel.readbacks) <= MOST_UPDATES
    assert len(channel.timestamps_ns) == len(channel.readbacks)
    assert channel.gaps_ns == []
    assert channel.at(30 * MOST_UPDATES)[0] is channel.readbacks[-1]
