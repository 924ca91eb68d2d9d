"""The status table: what every PV of the service says of a status, and what CA needs to carry it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import NO_RUN, Health, LatestRowStatus, Pace, ServiceStatus, Severity
from stream_service.settings.status_table import RECORDED, STATUS, ServicePV

IDLE = ServiceStatus(Health.READY)
RUN = replace(NO_RUN, run_number=3, state=RunState.RECEIVING, account=Account(9, 5, 0, 4, 0, 0, 0, 0), gaps=2, rows=5)
BUSY = ServiceStatus(Health.BUSY, RUN, arm_error="the disk is full", is_standing_by=True, time_s=17.9)
CA_UNIT_BYTES = 8
"""MAX_UNITS_SIZE of db_access.h, with the NUL."""


@pytest.mark.parametrize("pv", STATUS)
@pytest.mark.parametrize("status", [IDLE, BUSY])
def test_value_has_the_type_of_its_pv(pv, status):
    value = pv.value_in(status)
    assert type(value) is {Kind.CHAR: str, Kind.ENUM: str, Kind.LONG: int, Kind.DOUBLE: float}[pv.type.kind]
    assert pv.type.kind is not Kind.ENUM or value in pv.type.choices


@pytest.mark.parametrize("pv", ServicePV)
def test_unit_and_meaning_can_be_told_over_ca(pv):
    assert pv.isascii() and pv.meaning
    assert len(pv.type.unit.encode("ascii")) < CA_UNIT_BYTES


def test_values_follow_from_the_status():
    said = {str(pv): pv.value_in(BUSY) for pv in STATUS}
    assert (said["State"], said["Health"], said["Rows"], said["FramesExpected"]) == ("RECEIVING", "BUSY", 5, 9)
    assert (said["ArmError"], said["Standby"], said["Heartbeat"]) == ("the disk is full", 1, 17)


def test_zero_has_no_sign():
    """A stage that moves the other way is at -0 where it is at 0, and screens show that."""
    for x_m in (-0.0, -1e-12):
        at_zero = replace(IDLE, run=replace(RUN, latest=LatestRowStatus(x_m=x_m)))
        assert str(ServicePV.LAST_X.value_in(at_zero)) == "0.0"


def test_frames_lost_are_gaps_until_the_account_is_made():
    ended = replace(BUSY, run=replace(RUN, state=RunState.INCOMPLETE))
    assert [ServicePV.FRAMES_LOST.value_in(status) for status in (BUSY, ended)] == [2, 4]


def test_alarm_of_a_run_is_carried_by_the_pvs_that_operators_look_at():
    alarmed = replace(BUSY, run=replace(RUN, severity=Severity.MAJOR))
    others = {pv for pv in STATUS if pv.severity_in(BUSY)}
    assert {pv for pv in STATUS if pv.severity_in(alarmed)} - others == {"State", "Health", "Message"}


def test_state_is_posted_after_all_that_it_is_about():
    assert STATUS[:2] == ("State", "Health")


def test_what_is_recorded_of_a_run_is_status():
    assert set(RECORDED) <= set(STATUS)


def test_rate_is_taken_over_a_second_of_one_run():
    pace, rates = Pace(), []
    for tick in range(31):
        pace = pace.at(replace(RUN, rows=4 * tick), tick / 10)
        rates.append(ServicePV.ROWS_PER_SECOND.value_in(replace(BUSY, pace=pace)))
    assert rates == [0.0] * 10 + [40.0] * 21
    assert pace.at(replace(RUN, run_number=4, rows=0), 3.1).per_second(lambda run: run.rows) == 0.0
