"""The simulated motors, as a CA client sees them."""

from collections.abc import Callable, Iterator

import pytest
from beamline_client import BeamlineClient

STEP_UM = 0.0001


@pytest.fixture(scope="module")
def beamline(start_ioc: Callable) -> Iterator[BeamlineClient]:
    client = BeamlineClient(start_ioc("--shape", "32,48", "--stack", "2").prefix)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _at_zero(beamline: BeamlineClient) -> None:
    beamline.put_all(**{"X.VELO": 2000.0, "X.ACCL": 0.005, "X.OFF": 0.0})
    beamline.put("X", 0.0)


def test_final_readback_comes_before_done_and_both_before_the_put_callback(beamline: BeamlineClient):
    events = beamline.watch("X.RBV", "X.DMOV", "X.MOVN")
    for position in (0.1, 30.0, 29.9):
        del events[:]
        beamline.put("X", position)
        seen = [(event.name, event.value) for event in events]
        assert seen[0] == ("X.DMOV", 0)
        reached = round(position / STEP_UM) * STEP_UM  # the readback counts in steps, as the recorded one did
        assert seen[-3:] == [("X.RBV", reached), ("X.MOVN", 0), ("X.DMOV", 1)]
        assert events[-3].timestamp_s <= events[-2].timestamp_s == events[-1].timestamp_s


def test_readbacks_while_moving_are_stamped_with_the_time_they_were_true(beamline: BeamlineClient):
    beamline.put_all(**{"X.VELO": 100.0, "X.ACCL": 0.0})
    events = beamline.watch("X.RBV", "X.VAL")
    del events[:]
    beamline.put("X", 40.0)
    start_s = next(event.timestamp_s for event in events if event.name == "X.VAL")
    readbacks = [event for event in events if event.name == "X.RBV"]
    assert len(readbacks) <= 9  # 0.4 s at 20 Hz, and the final one; a machine that is held up skips polls
    for event in readbacks:
        way = min(40.0, 100.0 * (event.timestamp_s - start_s))
        assert event.value == pytest.approx(way, abs=3e-4)  # half a step, and 2 us of pyepics' rounding
    assert readbacks[-1].timestamp_s >= start_s + 0.4  # by a poll at the end, never back-dated


def test_a_move_to_the_same_place_still_pulses_done(beamline: BeamlineClient):
    events = beamline.watch("X.DMOV")
    del events[:]
    beamline.put("X", 0.0)
    assert [event.value for event in events] == [0, 1]


def test_a_target_beyond_the_limits_is_refused_with_lvio(beamline: BeamlineClient):
    beamline.put("X", 6000.0)
    assert (beamline.get("X.LVIO"), beamline.get("X"), beamline.get("X.RBV")) == (1, 0.0, 0.0)
    beamline.put("X", 1.0)
    assert (beamline.get("X.LVIO"), beamline.get("X.RBV")) == (0, 1.0)


def test_stop_ends_the_move_where_the_motor_is(beamline: BeamlineClient):
    beamline.put("X.VELO", 50.0)
    beamline.put("X", 4000.0, wait=False)
    beamline.wait_until(lambda: beamline.get("X.RBV") > 1.0)
    beamline.put("X.STOP", 1)
    beamline.wait_for("X.DMOV", 1)
    stopped_at = beamline.get("X.RBV")
    assert 1.0 < stopped_at < 3000.0
    assert beamline.get("X") == stopped_at


def test_a_new_target_while_moving_is_taken_and_done_comes_once(beamline: BeamlineClient):
    beamline.put("X.VELO", 100.0)
    events = beamline.watch("X.DMOV")
    del events[:]
    beamline.put("X", 4000.0, wait=False)  # it is under way, whenever the new target comes
    beamline.wait_until(lambda: beamline.get("X.RBV") > 1.0)
    beamline.put("X", 0.0)
    assert beamline.get("X.RBV") == 0.0
    assert [event.value for event in events].count(1) == 1


def test_set_redefines_the_position_and_the_limits_but_moves_nothing(beamline: BeamlineClient):
    beamline.put("X", 10.0)
    beamline.put("X.SET", 1)
    beamline.put("X", 0.0)
    beamline.put("X.SET", 0)
    assert (beamline.get("X.RBV"), beamline.get("X.OFF"), beamline.get("X.DRBV")) == (0.0, -10.0, 10.0)
    assert beamline.get("X.HLM") == 4990.0


def test_energy_slews_and_its_put_ends_when_it_is_there(beamline: BeamlineClient):
    events = beamline.watch("Energy_RBV", "EnergyDone")
    del events[:]
    beamline.put("Energy", 715.0)
    assert (beamline.get("Energy_RBV"), beamline.get("EnergyDone")) == (715.0, 1)
    assert [event.value for event in events if event.name == "EnergyDone"] == [0, 1]
    readbacks = [event.value for event in events if event.name == "Energy_RBV"]
    assert readbacks == sorted(readbacks)
    assert len(readbacks) >= 2


def test_ring_current_is_a_stored_beam_that_fluctuates(beamline: BeamlineClient):
    events = beamline.watch("RingCurrent")
    beamline.wait_until(lambda: len(events) >= 3)
    values = [event.value for event in events]
    assert len(set(values)) > 1
    assert all(490.0 < value < 510.0 for value in values)
