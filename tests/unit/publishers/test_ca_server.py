"""What a CA client is told of the service's PVs beside their values: alarms, limits, and fields as of records."""

from __future__ import annotations

import asyncio
import queue
from dataclasses import replace
from typing import Any

import pytest
from caproto import AccessRights, AlarmSeverity, AlarmStatus, ChannelType

from stream_service.publishers.ca_server import CaServer
from stream_service.publishers.pv_fields import record_of
from stream_service.publishers.service_pvs import ServicePVs
from stream_service.publishers.shown import shown_in
from stream_service.settings.pv_descriptions import description_of
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import NO_RUN, DataPlace, Health, Judged, ServiceStatus
from stream_service.settings.status_table import ServicePV

WELL = ServiceStatus(Health.READY)
BAD = replace(WELL, run=replace(NO_RUN, gaps=3, judged=Judged(recent_share=0.3)), place=DataPlace("/data", 5e9))
WORSE = replace(WELL, run=replace(NO_RUN, gaps=4, judged=Judged(recent_share=0.4)), place=DataPlace("/data", 4e9))
ALARMS = {
    WELL: (AlarmStatus.NO_ALARM, AlarmSeverity.NO_ALARM),
    BAD: (AlarmStatus.HIHI, AlarmSeverity.MAJOR_ALARM),
    WORSE: (AlarmStatus.HIHI, AlarmSeverity.MAJOR_ALARM),
}


def posted(pv: ServicePV, *statuses: ServiceStatus) -> list[tuple[AlarmStatus, AlarmSeverity]]:
    """The alarm of a PV after each."""
    server = CaServer("X:")
    channel = server._group.channel(pv)
    found = []
    for status in statuses:
        server._loop.run_until_complete(server._post(shown_in(status)))
        found.append((channel.status, channel.severity))
    server._loop.close()
    return found


@pytest.mark.parametrize("pv", [ServicePV.FRAMES_LOST, ServicePV.REJECTED_SHARE])
@pytest.mark.parametrize("statuses", [(WELL, BAD, WORSE, WELL), (BAD, BAD, WORSE, WORSE), (WORSE, WELL, BAD)])
def test_alarm_is_that_of_the_latest_status_whatever_came_before(
    pv: ServicePV, statuses: tuple[ServiceStatus, ...]
) -> None:
    """caproto has an opinion of its own, by the limits of a PV, and by what it was before."""
    assert posted(pv, *statuses) == [ALARMS[status] for status in statuses]


@pytest.fixture
def served() -> ServicePVs:
    return ServicePVs("X:", queue.Queue())


def field(served: ServicePVs, pv: ServicePV, name: str) -> Any:
    """What a client reads."""
    channel = served.channel(pv).get_field(name)
    assert channel.check_access("host", "user") == AccessRights.READ
    _, values = asyncio.run(channel.read(channel.data_type))
    if channel.data_type is ChannelType.ENUM:
        return channel.enum_strings[int(values[0])]
    return values[0].decode() if isinstance(values[0], bytes) else values[0]


@pytest.mark.parametrize("pv", ServicePV)
def test_fields_that_archivers_ask_for_are_there(served: ServicePVs, pv: ServicePV) -> None:
    assert field(served, pv, "NAME") == f"X:{pv}"
    assert field(served, pv, "DESC") == description_of(pv)
    assert field(served, pv, "RTYP") == record_of(pv) == served.channel(pv).reported_record_type
    assert field(served, pv, "SEVR") == field(served, pv, "STAT") == "NO_ALARM"
    if pv.type.kind in (Kind.LONG, Kind.DOUBLE):
        assert field(served, pv, "EGU") == pv.type.unit
        assert (field(served, pv, "LOPR"), field(served, pv, "HOPR")) == (pv.type.limits or (0, 0))
        assert field(served, pv, "ADEL") == 0.0
    if pv.type.kind is Kind.DOUBLE:
        assert field(served, pv, "PREC") == pv.type.precision


def test_fields_follow_their_pv() -> None:
    server = CaServer("X:")
    server._loop.run_until_complete(server._post(shown_in(BAD)))
    group, share, disk = server._group, ServicePV.REJECTED_SHARE, ServicePV.DISK_FREE
    assert (field(group, share, "SEVR"), field(group, share, "STAT")) == ("MAJOR", "HIHI")
    assert (field(group, share, "HIGH"), field(group, share, "HIHI")) == (0.05, 0.2)
    assert (field(group, disk, "LOLO"), field(group, disk, "STAT")) == (2.0, "LOW")
    assert field(group, ServicePV.STATE, "TWST") == "RECEIVING"
    server._loop.run_until_complete(server._post(shown_in(WELL)))
    assert field(group, share, "SEVR") == "NO_ALARM"
    server._loop.close()


@pytest.mark.parametrize(("pv", "name"), [(ServicePV.ROWS, "FOO"), (ServicePV.STATE, "EGU"), (ServicePV.STATE, "FFST")])
def test_field_that_no_such_record_has_is_not_served(served: ServicePVs, pv: ServicePV, name: str) -> None:
    with pytest.raises(KeyError):
        served.channel(pv).get_field(name)
