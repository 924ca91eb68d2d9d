"""What is posted of a status: everything that clients have not seen, and nothing that they have."""

from __future__ import annotations

from dataclasses import replace

from stream_service.publishers.shown import changed, shown_in
from stream_service.settings.service_status import NO_RUN, Health, LatestRowStatus, ServiceStatus, Severity
from stream_service.settings.status_table import STATUS, ServicePV

QUIET = ServiceStatus(Health.READY)


def news(now: ServiceStatus, before: ServiceStatus = QUIET) -> list[ServicePV]:
    return list(changed(shown_in(now), shown_in(before)))


def test_all_is_posted_once_what_others_follow_from_last() -> None:
    assert list(changed(shown_in(QUIET), {})) == list(reversed(STATUS))


def test_value_that_is_not_known_is_posted_once() -> None:
    """NaN equals nothing: compared as numbers it would be posted ten times a second."""
    known = replace(QUIET, run=replace(NO_RUN, latest=LatestRowStatus(x_m=1e-6)))
    assert news(replace(QUIET)) == []
    assert news(known) == news(QUIET, before=known) == [ServicePV.LAST_X]


def test_alarm_alone_is_posted_too() -> None:
    alarmed = news(replace(QUIET, run=replace(NO_RUN, severity=Severity.MAJOR)))
    assert ServicePV.STATE in alarmed and ServicePV.ROWS not in alarmed
