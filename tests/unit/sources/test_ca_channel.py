"""Subscriptions of PVs."""

from __future__ import annotations

import pytest

from stream_service.channel_access.library import PV, ca, epics


def test_a_subscription_is_sent_as_soon_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(epics.PV, "_check_auto_monitor", lambda self: done.append("subscribed"))
    monkeypatch.setattr(ca, "flush_io", lambda: done.append("sent"))
    PV.__new__(PV)._check_auto_monitor()
    assert done == ["subscribed", "sent"]
