"""Channels as runs hear them: present values first, then updates; each run is answered its own questions."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_service.channel_access.library import ca
from stream_service.core.pairing.history import Readback
from stream_service.core.stream import Gone, Watermark
from stream_service.sources.live import ca_readbacks
from stream_service.sources.live.ca_monitor import Update
from stream_service.sources.live.ca_readbacks import INSTEAD_S, CaReadbacks, Follow


class Monitor:
    """A PV without a network: what its IOC does is called by the test."""

    made: dict[str, Monitor]

    def __init__(
        self, name: str, lock: threading.Lock, tolerance: float, *, on_update: Any, on_gone: Any, on_certain: Any
    ) -> None:
        self.name, self._lock = name, lock
        self._on_update, self._on_gone, self._on_certain = on_update, on_gone, on_certain
        self.last: Update | None = None
        self.is_connected, self.is_closed, self.spoke_since_s, self.answered_s = True, False, math.inf, -math.inf
        self.made[name] = self

    @property
    def speaks(self) -> bool:
        return self.spoke_since_s < math.inf

    def ask(self) -> None:
        """The test answers."""

    def close(self) -> None:
        self.is_closed = True

    def posts(self, raw: float, stamp_ns: int) -> None:
        with self._lock:
            is_after_gap = self.last is not None and not self.speaks
            self.last = Update(raw, stamp_ns, True, is_after_gap, stamp_ns, np.array([raw]))
            self.spoke_since_s = 0.0
            self._on_update(self, self.last)

    def goes(self) -> None:
        with self._lock:
            self._on_gone(self)
            self.spoke_since_s = math.inf

    def is_complete_until(self, moment_s: float) -> None:
        with self._lock:
            self._on_certain(self, moment_s)


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CaReadbacks]:
    Monitor.made = {}
    monkeypatch.setattr(ca_readbacks, "CaMonitor", Monitor)
    monkeypatch.setattr(ca, "flush_io", lambda: None)
    return lambda **channels: CaReadbacks(channels)


def test_a_run_hears_the_present_values_first_and_what_came_before_it_not_at_all(follow):
    readbacks = follow(x=Follow("X"), y=Follow("Y"))
    for stamp_ns in (10, 20):
        Monitor.made["X"].posts(1.0, stamp_ns)
    Monitor.made["Y"].posts(2.0, 15)
    stream = readbacks.stream()
    stream.start()
    Monitor.made["X"].posts(3.0, 30)
    assert stream.take() == [Readback("x", 1.0, 20), Readback("y", 2.0, 15), Readback("x", 3.0, 30, received_ns=30)]
    assert stream.take() == []


def test_array_of_before_the_run_is_told_as_such(follow):
    readbacks = follow(x=Follow("X", is_array=True))
    Monitor.made["X"].posts(1.0, 10)
    stream = readbacks.stream()
    stream.start()
    Monitor.made["X"].posts(2.0, 20)
    before, now = stream.take()
    assert (before.is_from_before, now.is_from_before) == (True, False)
    assert (before.values.tolist(), now.values.tolist()) == ([1.0], [2.0])
    assert readbacks.n_entries("x") == 1


def test_a_run_that_begins_while_a_pv_is_away_knows_it(follow):
    readbacks = follow(x=Follow("X"))
    Monitor.made["X"].posts(1.0, 10)
    Monitor.made["X"].goes()
    stream = readbacks.stream()
    stream.start()
    Monitor.made["X"].posts(2.0, 20)
    assert stream.take() == [
        Readback("x", 1.0, 10),
        Gone("x"),
        Readback("x", 2.0, 20, is_after_gap=True, received_ns=20),
    ]


def test_two_runs_are_answered_their_own_questions(follow, monkeypatch):
    """One PV, one answer: each run has it in the time of its own frames, and not beyond its own question."""
    readbacks = follow(x=Follow("X"))
    draining, armed = readbacks.stream(), readbacks.stream()
    draining.start()
    armed.start()
    now_s = 100.0
    monkeypatch.setattr(ca_readbacks.time, "monotonic", lambda: now_s)
    draining.ask(frame_end_ns=5_000_000_000, arrived_at=99.0)
    Monitor.made["X"].is_complete_until(100.0)
    assert (draining.take(), armed.take()) == ([Watermark("x", 6_000_000_000)], [])
    now_s = 101.0
    armed.ask(frame_end_ns=70_000_000_000, arrived_at=101.0)
    Monitor.made["X"].is_complete_until(101.0)
    assert draining.take() == [Watermark("x", 6_000_000_000)]
    assert armed.take() == [Watermark("x", 70_000_000_000)]


def test_a_run_that_has_ended_hears_no_more(follow):
    readbacks = follow(x=Follow("X"))
    stream = readbacks.stream()
    stream.start()
    stream.close()
    Monitor.made["X"].posts(1.0, 10)
    assert stream.take() == []


def test_one_pv_of_two_channels_is_monitored_once_and_tells_both(follow):
    readbacks = follow(x_moving=Follow("MOVN", 1), y_moving=Follow("MOVN", 0))
    stream = readbacks.stream()
    stream.start()
    Monitor.made["MOVN"].posts(1.0, 10)
    assert [(event.channel, event.value) for event in stream.take()] == [("x_moving", 1.0), ("y_moving", 0.0)]
    stream.ask(10, 0.0)
    Monitor.made["MOVN"].is_complete_until(0.0)
    assert stream.take() == [Watermark("x_moving", 10), Watermark("y_moving", 10)]


@pytest.mark.parametrize(
    ("speaking", "followed"), [(("MOVN",), "MOVN"), (("DMOV",), "DMOV"), (("MOVN", "DMOV"), "MOVN")]
)
def test_what_is_followed_where_a_pv_may_not_exist(follow, monkeypatch, speaking, followed):
    readbacks = follow(x_moving=Follow("MOVN", 1, instead_of=Follow("DMOV", 0)))
    for name in speaking:
        Monitor.made[name].posts(1.0, 10)
    for name in ("MOVN", "DMOV"):
        Monitor.made[name].answered_s = math.inf
    monkeypatch.setattr(ca_readbacks.time, "monotonic", lambda: 2 * INSTEAD_S)
    readbacks.connect()
    assert readbacks.pv_of("x_moving") == followed
    assert [name for name, monitor in Monitor.made.items() if monitor.is_closed] == (
        ["DMOV"] if followed == "MOVN" else ["MOVN"]
    )
