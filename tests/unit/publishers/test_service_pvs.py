"""The PVs as caproto serves them: those of the status table, with what it says of them."""

from __future__ import annotations

import queue

import pytest
from caproto import AccessRights

from stream_service.publishers.service_pvs import Command, ServicePVs
from stream_service.settings.pv_type import Kind
from stream_service.settings.status_table import ServicePV


@pytest.fixture
def served():
    return ServicePVs("X:", queue.Queue())


def test_every_pv_of_the_table_is_served_and_no_other(served):
    assert list(served.pvdb) == [f"X:{pv}" for pv in ServicePV]


@pytest.mark.parametrize("pv", ServicePV)
def test_clients_are_told_what_the_table_says(served, pv):
    channel = served.channel(pv)
    assert channel.data_type.name.lower() == pv.type.kind
    match pv.type.kind:
        case Kind.CHAR:
            assert channel.max_length == pv.type.max_bytes
        case Kind.ENUM:
            assert (channel.enum_strings, channel.value) == (pv.type.choices, pv.type.choices[0])
        case Kind.LONG | Kind.DOUBLE:
            assert channel.units == pv.type.unit
            assert (channel.lower_disp_limit, channel.upper_disp_limit) == (pv.type.limits or (0, 0))
    if pv.type.kind is Kind.DOUBLE:
        assert channel.precision == pv.type.precision


def test_alarm_of_a_pv_is_its_own(served):
    """caproto has one alarm for all PVs of a group: the next heartbeat would clear that of `State`."""
    assert len({id(served.channel(pv).alarm) for pv in ServicePV}) == len(ServicePV)


def test_clients_may_write_the_request_and_the_commands_only(served):
    writable = {pv for pv in ServicePV if served.channel(pv).check_access("host", "user") & AccessRights.WRITE}
    assert writable == {ServicePV.REQUEST, *Command}
