"""The reports of the runs of a service: one after the other, each in a process of its own that yields to all others.

Nothing waits for them: not the main loop, not the next run. A report that cannot be made is a line in the log.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from stream_service.cancellation import Cancellation, CancelledError
from stream_service.processes.limited import LimitedProcessError, run_limited
from stream_service.run.run import Run
from stream_service.text.log_of_run import in_this_context

PROCESS = "stream_service.run_report.report_process"
LONGEST_S = 600.0
"""Of one report: on a quiet machine 3 s, of 200,000 rows 10 s; a live run of 1 kHz leaves it little."""
MOST_WAITING = 32
"""Runs that wait for their report; those of a few frames each end faster than it is made."""
log = logging.getLogger(__name__)

Make = Callable[[Path, Cancellation], Path]
"""Makes the report of a standard file; where it is. Raises `LimitedProcessError`, `CancelledError`, `OSError`."""


def make_report(file: Path, cancellation: Cancellation) -> Path:
    """See `Make`."""
    said = run_limited(PROCESS, [str(file)], LONGEST_S, cancellation)
    return Path(os.fsdecode(said).strip())


class RunReports:
    """Reports of runs that have ended. Every method returns at once; a thread of its own waits for the processes."""

    def __init__(self, make: Make = make_report) -> None:
        self.newest = ""
        """Path of the newest report."""
        self._make = make
        self._runs: list[Run] = []
        """Whose end is awaited."""
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._n_waiting = 0
        self._cancellation = Cancellation()
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """True as long as a report is made, or waits to be."""
        return self._n_waiting > 0

    def watch(self, run: Run) -> None:
        """Report this run once it has ended."""
        self._runs.append(run)

    def look(self) -> None:
        """Begin with the reports of runs that have ended since the last look."""
        for run in [run for run in self._runs if run.state.has_ended]:
            self._runs.remove(run)
            with run.logged.lines():
                self.add(run.setup.path)

    def add(self, file: Path) -> None:
        """Let the report of a file be made, once those before it are."""
        if self._n_waiting >= MOST_WAITING:
            log.warning("no report of %s: %d others are waited for; `ptychostream report` makes it", file, MOST_WAITING)
            return
        self._count(1)
        self._waiting.put(in_this_context(partial(self._report, file)))
        if self._thread is None:  # it lives as long as the processes that it starts, which end with it
            self._thread = threading.Thread(target=self._work, name="reports", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Give up what is not ready yet."""
        self._cancellation.cancel()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (report := self._waiting.get()) is not None:
            try:
                report()
            finally:
                self._count(-1)

    def _report(self, file: Path) -> None:
        try:
            self._cancellation.check()
            if not file.exists():  # no frame came, or it was moved away
                return
            made = self._make(file, self._cancellation)
        except CancelledError:
            log.warning("no report of %s, because the service ends; `ptychostream report` makes it", file)
        except (LimitedProcessError, OSError) as error:
            log.warning("no report of %s: %s", file, error)
        else:
            self.newest = str(made)
            log.info("%s shows how the run went", made)

    def _count(self, change: int) -> None:
        with self._lock:
            self._n_waiting += change
