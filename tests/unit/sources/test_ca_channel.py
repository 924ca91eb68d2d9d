"""Waiting for the first values of PVs."""

from __future__ import annotations

import threading

import pytest

from stream_service.channel_access.channel import wait_flushing
from stream_service.channel_access.library import PV, ca, epics


def test_the_last_subscription_of_several_is_sent_by_who_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    is_heard = threading.Event()
    monkeypatch.setattr(ca, "flush_io", is_heard.set)  # the answer to a request that was not sent until then
    assert wait_flushing(is_heard.wait, 5.0)


def test_a_value_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(ca, "flush_io", lambda: done.append("flushed"))

    def wait(seconds: float) -> bool:
        done.append("waited")
        return threading.Event().wait(seconds)

    assert not wait_flushing(wait, 0.25)
    assert done[:3] == ["waited", "flushed", "waited"] and done[-1] == "waited"
    assert not wait_flushing(wait, -1.0)


def test_a_subscription_is_sent_as_soon_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(epics.PV, "_check_auto_monitor", lambda self: done.append("subscribed"))
    monkeypatch.setattr(ca, "flush_io", lambda: done.append("sent"))
    PV.__new__(PV)._check_auto_monitor()
    assert done == ["subscribed", "sent"]
