"""Monitors over PV Access."""

from __future__ import annotations

import threading
from queue import Queue
from typing import Any

import pytest
from limits import HANG_S
from p4p.client import raw
from p4p.nt import NTScalar
from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.pv_access import Context


def test_update_that_comes_before_the_monitor_is_made_is_heard_and_those_after_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe = raw.Context.monitor

    def slow(self: Any, name: str, handler: Any, request: Any = None) -> Any:
        is_told = threading.Event()

        def tell() -> None:
            handler()
            is_told.set()

        subscription = subscribe(self, name, tell, request)
        assert is_told.wait(HANG_S)
        return subscription

    monkeypatch.setattr(raw.Context, "monitor", slow)
    served = SharedPV(nt=NTScalar("d"), initial=1.0)
    heard: Queue[float] = Queue()
    with (
        Server(providers=[{"X": served}], isolate=True) as server,
        Context("pva", conf=server.conf(), useenv=False, nt=False) as client,
        client.monitor("X", lambda value: heard.put(value["value"])),
    ):
        assert heard.get(timeout=HANG_S) == 1.0
        served.post(2.0)
        assert heard.get(timeout=HANG_S) == 2.0
    ours = [record for record in caplog.records if record.name.startswith(("stream_service", "p4p"))]
    assert ours == [], "what other libraries say of earlier tests is none of ours"
