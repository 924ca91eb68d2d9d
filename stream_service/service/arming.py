"""The arming of one run in a thread of its own: it can be cancelled at any time, and it ends by itself.

Arming waits for PVs that do not answer and reads references, for up to half a minute. Meanwhile the service
answers, and what was cancelled leaves no run behind, however long its last step takes to notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from stream_service.cancellation import Cancellation
from stream_service.errors import PtychostreamError
from stream_service.run.run import Run

log = logging.getLogger(__name__)

LIMIT_S = 60.0
"""All that the steps wait for one after the other (references 20 s, PVs 5 s and 5 s, PVA 5 s and 17 s) is less; a file
server that hangs has no limit of its own."""


class Arming:
    """A run on its way to ARMED. Decided once, unless it is cancelled before: then it is as if it had never been."""

    def __init__(self, make_run: Callable[[], Run], on_decided: Callable[[], None] = lambda: None) -> None:
        """`make_run` gives a run that is not armed yet; `on_decided` is called in the thread of the arming."""
        self.is_decided = False
        self.run: Run | None = None
        """Once decided: the armed run, which is to be started; None if it was refused."""
        self.error = ""
        """Once decided: why it was refused."""
        self._make_run = make_run
        self._on_decided = on_decided
        self._cancellation = Cancellation()
        self._handover = threading.Lock()
        self._until_s = time.monotonic() + LIMIT_S
        self._armed: Run | None = None
        self._thread = threading.Thread(target=self._arm, name="arming", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as problem:
            self.error, self.is_decided = f"no thread can be started for it ({problem}): end other programs", True

    def cancel(self) -> bool:
        """Give it up, at once; False if it is decided already."""
        with self._handover:
            if not self.is_decided:
                self._cancellation.cancel()
            return not self.is_decided

    @property
    def is_too_long(self) -> bool:
        """True when it should have been decided long ago."""
        return time.monotonic() > self._until_s

    @property
    def scan(self) -> str:
        """` of` the scan, once it is known."""
        return f" of {self._armed.setup.scan_id}" if self._armed is not None else ""

    @property
    def step(self) -> str:
        """Present step of the arming, in words."""
        return self._armed.message if self._armed is not None else "reading the request"

    @property
    def is_working(self) -> bool:
        """False when nothing of it is left."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    def _arm(self) -> None:
        run, error = None, ""
        try:
            run = self._armed = self._make_run()
            run.arm(self._cancellation)
        except PtychostreamError as problem:
            run, error = None, str(problem)
        except Exception as problem:  # the one place where a defect of arming becomes a refusal
            log.exception("arming stopped on a defect of the service")
            run, error = None, f"a defect of the service, {problem!r}: where it is stands in the service's log"
        with self._handover:
            if not self._cancellation.is_asked:
                self.run, self.error, self.is_decided = run, error, True
        if self.is_decided:
            self._on_decided()
        elif run is not None:
            run.disarm()
