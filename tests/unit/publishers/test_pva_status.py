"""The status as a PVA client gets it: values, and what displays, archivers and alarm handlers want to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from queue import Queue
from typing import Any
from unittest.mock import create_autospec

import pytest
from limits import HANG_S
from p4p.client.thread import RemoteError
from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.core.run import RunState
from stream_service.publishers.pva_status import PvaStatus
from stream_service.pv_access import Context
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import NO_RUN, Health, ServiceStatus, Severity
from stream_service.settings.status_table import STATUS, ServicePV

PREFIX = "X:"
RUNNING = ServiceStatus(
    Health.BUSY,
    replace(NO_RUN, state=RunState.RECEIVING, scan_id="µ_scan", rows=7, rows_expected=8, severity=Severity.MINOR),
)


@pytest.fixture(scope="module")
def shown() -> PvaStatus:
    return PvaStatus(ServiceStatus(Health.READY))


@pytest.fixture(scope="module")
def client(shown: PvaStatus) -> Iterator[Context]:
    served = {PREFIX + pv: channel for pv, channel in shown.channels.items()}
    with (
        Server(providers=[served], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False) as context,
    ):
        yield context


def got(client: Context, pv: ServicePV) -> Any:
    return client.get(PREFIX + pv, timeout=HANG_S)


def test_every_pv_of_the_status_says_what_the_table_says(client: Context) -> None:
    values = client.get([PREFIX + pv for pv in STATUS], timeout=HANG_S)
    for pv, value in zip(STATUS, values, strict=True):
        raw: Any = value.raw
        assert raw["display.description"] == pv.meaning
        if pv.type.kind is Kind.ENUM:
            assert tuple(raw["value.choices"]) == pv.type.choices
            continue
        assert raw["display.units"] == pv.type.unit
        if pv.type.kind is not Kind.CHAR:
            assert raw["display.precision"] == pv.type.precision
            assert (raw["display.limitLow"], raw["display.limitHigh"]) == (pv.type.limits or (0, 0))


def test_values_follow_the_status_with_their_alarm_and_time(shown: PvaStatus, client: Context) -> None:
    shown.publish(RUNNING)
    before_s = got(client, ServicePV.ROWS).timestamp
    assert (got(client, ServicePV.ROWS), got(client, ServicePV.PERCENT)) == (7, 87.5)
    assert got(client, ServicePV.SCAN_ID) == "µ_scan"
    state = got(client, ServicePV.STATE)
    assert (str(state), state.severity) == ("RECEIVING", Severity.MINOR)
    shown.publish(replace(RUNNING, run=replace(RUNNING.run, rows=8)))
    rows = got(client, ServicePV.ROWS)
    assert rows == 8 and rows.timestamp > before_s
    assert rows.raw["display.units"] == "rows", "what is posted later takes nothing away"


def test_who_waits_for_the_state_finds_all_else_up_to_date(shown: PvaStatus, client: Context) -> None:
    shown.publish(RUNNING)
    states: Queue[Any] = Queue()
    watching = client.monitor(PREFIX + ServicePV.STATE, states.put)
    try:
        assert str(states.get(timeout=HANG_S)) == "RECEIVING"
        shown.publish(ServiceStatus(Health.READY, replace(RUNNING.run, state=RunState.COMPLETE, rows=9)))
        assert str(states.get(timeout=HANG_S)) == "COMPLETE"
        assert got(client, ServicePV.ROWS) == 9
    finally:
        watching.close()


def test_put_is_refused_with_where_it_belongs(client: Context) -> None:
    with pytest.raises(RemoteError, match="Rows is read-only over PVA: commands are put over Channel Access"):
        client.put(PREFIX + ServicePV.ROWS, 3, timeout=HANG_S)


def test_alarm_has_its_words_and_its_limits(shown: PvaStatus, client: Context) -> None:
    behind = replace(RUNNING.run, queue_bytes=800 << 20, budget_bytes=1000 << 20)
    shown.publish(replace(RUNNING, run=behind))
    raw: Any = got(client, ServicePV.QUEUE_BYTES).raw
    assert (raw["alarm.severity"], raw["alarm.message"]) == (
        Severity.MAJOR,
        "800 MiB of frames wait: the service is behind",
    )
    assert (raw["valueAlarm.active"], raw["valueAlarm.highAlarmLimit"]) == (True, 750 << 20)


def test_pv_that_cannot_be_posted_holds_up_no_other_and_is_posted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, posted = PvaStatus(ServiceStatus(Health.READY)), []
    broken: Any = create_autospec(SharedPV, instance=True)
    broken.post.side_effect = [ZeroDivisionError, None]
    for pv in STATUS:
        stand_in: Any = create_autospec(SharedPV, instance=True)
        stand_in.post.side_effect = lambda _, pv=pv: posted.append(pv)
        monkeypatch.setitem(shown.channels, pv, broken if pv is ServicePV.ROWS else stand_in)
    with pytest.raises(ZeroDivisionError):
        shown.publish(RUNNING)
    assert {ServicePV.STATE, ServicePV.SCAN_ID} <= set(posted)
    posted.clear()
    shown.publish(RUNNING)
    assert (posted, broken.post.call_count) == ([], 2)
