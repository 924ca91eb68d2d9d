"""A job in its own thread, seen from bluesky as a status.

It satisfies `bluesky.protocols.Status` and nothing more, so that it works in plans with ophyd and with ophyd-async
devices alike. A job that raises fails its status with that very exception; it never ends silently.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol


class Watcher(Protocol):
    """Callback that bluesky's progress bar gives to `watch`; called with keyword arguments only."""

    def __call__(self, **progress: Any) -> None: ...


class JobStatus:
    """The outcome of one job, and how far it is.

    `job` is called in a daemon thread with the status itself, to which it may `report` progress. `None` as the job
    gives a status that is already done and successful.
    """

    def __init__(self, what: str, job: Callable[[JobStatus], None] | None) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._error: BaseException | None = None
        self._is_pardoned = False
        self._callbacks: list[Callable[[Any], None]] = []
        self._watchers: list[Watcher] = []
        self._started_s = time.monotonic()
        if job is None:
            self._finished.set()
        else:
            threading.Thread(target=self._run, args=(job,), name=what, daemon=True).start()

    def _run(self, job: Callable[[JobStatus], None]) -> None:
        error: BaseException | None = None
        try:
            job(self)
        except BaseException as raised:  # noqa: BLE001  (the one place where a dead thread becomes a failed status)
            error = raised
        with self._lock:
            self._error = error
            self._finished.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def report(self, *, current: float, target: float | None, unit: str) -> None:
        """Tell every watcher how far the job is; a target of None means that nobody knows the end."""
        with self._lock:
            watchers = tuple(self._watchers)
        fraction = 1 - current / target if target else None  # bluesky counts down: the fraction that is left
        for watcher in watchers:
            watcher(
                name=self._what,
                current=current,
                initial=0,
                target=target,
                unit=unit,
                precision=0,
                fraction=fraction,
                time_elapsed=time.monotonic() - self._started_s,
                time_remaining=None,
            )

    def watch(self, watcher: Watcher) -> None:
        """Let `watcher` hear of every report from now on."""
        with self._lock:
            self._watchers.append(watcher)

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` when the job has ended; at once if it has."""
        with self._lock:
            if not self._finished.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def pardon(self) -> None:
        """Count as a success from now on, however the job ends: nobody is to fail by it any more."""
        self._is_pardoned = True

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Exception of the job, or None if it succeeded; raises `TimeoutError` if it still runs after `timeout` s."""
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self._what} is not done after {timeout} s")
        return self._error

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the job; raises what the job raised, or `TimeoutError`."""
        error = self.exception(timeout)
        if error is not None:
            raise error

    @property
    def done(self) -> bool:
        return self._finished.is_set()

    @property
    def success(self) -> bool:
        return self.done and (self._error is None or self._is_pardoned)

    def __repr__(self) -> str:
        if not self.done:
            return f"<{self._what}: not done yet>"
        return f"<{self._what}: done>" if self._error is None else f"<{self._what}: {self._error}>"
