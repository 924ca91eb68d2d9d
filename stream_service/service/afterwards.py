"""Frames that the detector exposes after a run that had all it was announced: they are in no file, and that is said.

A plan that takes more positions than its request names gets a complete run of those it named, and does not notice: only
the detector's counter tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from stream_service.core.epochs import MAX_JUMP
from stream_service.settings.service_status import RunStatus
from stream_service.text.counted import counted


class Counter(Protocol):
    """The detector's counter."""

    @property
    def latest(self) -> int | None: ...

    @property
    def is_gone(self) -> bool:
        """True once its IOC has gone, which counts anew when it comes back."""
        ...

    def close(self) -> None: ...


class Afterwards:
    """The detector after the newest run, looked at until nothing has come for `watch_s`."""

    def __init__(self, follow_counter: Callable[[], Counter], watch_s: float) -> None:
        self._follow_counter = follow_counter
        self._watch_s = watch_s
        self._counter: Counter | None = None
        self._run_number = -1
        self._n_since = 0
        self._until_s = 0.0

    def told(self, status: RunStatus, counter_at_end: int | None, now_s: float) -> RunStatus:
        """The status of the newest run with what has been exposed since; `counter_at_end` is None for other runs."""
        if counter_at_end is None:
            self.close()
            return status
        if status.run_number != self._run_number:
            self.close()
            self._run_number, self._n_since = status.run_number, 0
            self._counter, self._until_s = self._follow_counter(), now_s + self._watch_s
        self._look(counter_at_end, now_s)
        if not self._n_since:
            return status
        n = counted(self._n_since, "frame")
        they = "it is" if self._n_since == 1 else "they are"
        more = f"; the detector has exposed {n} since the run had all announced: {they} in no file"
        account = replace(status.account, unexpected=status.account.unexpected + self._n_since)
        return replace(status, message=status.message + more, account=account)

    def close(self) -> None:
        """Look no more."""
        if self._counter is not None:
            self._counter.close()
            self._counter = None

    def _look(self, counter_at_end: int, now_s: float) -> None:
        if self._counter is None:
            return
        latest = self._counter.latest
        if latest is not None and self._n_since < latest - counter_at_end <= MAX_JUMP:
            self._n_since, self._until_s = latest - counter_at_end, now_s + self._watch_s
        elif now_s > self._until_s or self._counter.is_gone:
            self.close()
