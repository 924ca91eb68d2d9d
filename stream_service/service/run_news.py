"""News of runs, for whoever follows them from outside: messages over ZMQ, and the table of the latest verdicts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from stream_service.publishers.messages import RunNamed, Topic, qc_rows, run_start, run_stop
from stream_service.publishers.pva_tables import VerdictTable
from stream_service.publishers.zmq_messages import ZmqMessages
from stream_service.run.rows.judged_rows import NewsListener
from stream_service.run.run import Run

TABLE_S = 0.5
"""Between two tables."""
LINES = 200

Rows = np.ndarray[Any, Any]


class RunNews:
    """Of the runs of a service: messages, where it has an address for them, and the table of the newest one."""

    def __init__(self) -> None:
        self.table = VerdictTable()
        self._messages: ZmqMessages | None = None
        self._feeds: WeakKeyDictionary[Run, _RowFeed] = WeakKeyDictionary()
        self._told: list[Run] = []
        """Runs whose begin was told, and not their end."""
        self._shown_s = 0.0
        self._shown: tuple[int, bytes] = (0, b"")
        """Run and rows of the table."""

    def send_by(self, messages: ZmqMessages) -> None:
        """Send messages from now on."""
        self._messages = messages

    def of(self, make: Callable[[Sequence[NewsListener]], Run]) -> Run:
        """A run that `make` makes, which tells its news; from `began` on they are sent."""
        if self._messages is None:
            return make(())
        feed = _RowFeed(self._messages)
        run = make((feed,))
        self._feeds[run] = feed
        return run

    def began(self, run: Run) -> None:
        """A run goes on from here under its number."""
        if self._messages is not None:
            named = RunNamed(run.run_number, run.setup.scan_id)
            start = run_start(named, str(run.setup.path), run.setup.n_rows_expected)
            self._messages.send(Topic.RUN_START, lambda: iter([start]))
            self._told.append(run)
            self._feeds[run].begin(named)

    def tell_ends(self) -> None:
        """Send the end of each run that has ended."""
        for run in [run for run in self._told if run.state.has_ended]:
            self._told.remove(run)
            assert self._messages is not None, "its begin was sent"
            stop = run_stop(RunNamed(run.run_number, run.setup.scan_id), run.status())
            self._messages.send(Topic.RUN_STOP, lambda stop=stop: iter([stop]))

    def show(self, run: Run | None, now_s: float) -> None:
        """Show the latest verdicts of the newest run, where there are others than before."""
        if run is None or (now_s - self._shown_s < TABLE_S and not run.state.has_ended):
            return
        self._shown_s = now_s
        rows = run.judged_rows(LINES)
        shown = run.run_number, rows.tobytes()
        if shown != self._shown:
            self._shown = shown
            self.table.post(rows)

    def close(self) -> None:
        """Send what waits, see `ZmqMessages.close`."""
        if self._messages is not None:
            self._messages.close()


class _RowFeed:
    """The rows of one run, on their way to subscribers; those that come before its begin was told wait for it."""

    def __init__(self, messages: ZmqMessages) -> None:
        self._messages = messages
        self._lock = threading.Lock()
        self._named: RunNamed | None = None
        self._early: list[Rows] = []

    def begin(self, named: RunNamed) -> None:
        """The begin of the run was sent."""
        with self._lock:
            self._named = named
            early, self._early = self._early, []
            for rows in early:
                self._send(named, rows)

    def news(self, rows: Rows) -> None:
        """See `NewsListener`."""
        with self._lock:
            if self._named is None:
                self._early.append(rows)
            else:
                self._send(self._named, rows)

    def _send(self, named: RunNamed, rows: Rows) -> None:
        self._messages.send(Topic.QC_ROW, partial(qc_rows, named, rows), len(rows))
