"""Auto mode: a run is always armed for whatever the detector does next, so that a scan nobody announced is not lost.

It counts as a run with its first frame, and gets its name and its file then. Because a run ends when the detector was
idle for `grace_s`, and not whenever it stops, a software step scan, which starts the detector at each position, is
one run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from stream_service.core.frame import Frame
from stream_service.core.run import RunState
from stream_service.errors import PtychostreamError
from stream_service.run.live.live_run import LiveRun
from stream_service.run.run_file import RunFile
from stream_service.settings.request import ScanRequest

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""After an arming that failed, for example because the detector acquires already."""


class AutoRun(LiveRun):
    """A run of unknown length that is named by the moment of its first frame."""

    def _open(self, frame: Frame) -> RunFile:
        self._opening.rename(datetime.now().strftime(f"{self.request.scan_id}_%Y%m%d_%H%M%S"))
        return super()._open(frame)


class Standby:
    """The run that waits, if there is one."""

    def __init__(self, make_run: Callable[[ScanRequest], LiveRun], frames_per_position: int) -> None:
        """`make_run` gives a run that is not armed yet."""
        self._make_run = make_run
        self._request = ScanRequest(scan_id="auto", frames_per_position=frames_per_position)
        self._run: LiveRun | None = None
        self._next_try_s = 0.0
        self._problem = ""

    @property
    def is_armed(self) -> bool:
        """True while a run waits for its first frame."""
        return self._run is not None

    def renew(self, now_s: float) -> None:
        """Arm a run if none waits; a failure is logged once, and tried again."""
        if self._run is not None or now_s < self._next_try_s:
            return
        self._next_try_s = now_s + RETRY_S
        run = self._make_run(self._request)
        try:
            run.arm()
        except PtychostreamError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("auto mode cannot wait for the detector yet: %s", error)
            return
        run.start()
        self._run, self._problem = run, ""
        log.info("auto mode: waiting for the detector")

    def take_begun(self) -> LiveRun | None:
        """The run, once its first frame has come (or it has failed): from then on it is a run like any other."""
        run = self._run
        if run is None or run.state in (RunState.IDLE, RunState.ARMED):
            return None
        self._run = None
        return run

    def dismiss(self) -> None:
        """End the run that waits; it leaves no file. To be called before a plan's run is armed."""
        if self._run is not None:
            self._run.abort()
            self._run.join()
            self._run = None
