"""Auto mode: a run is always armed for whatever the detector does next, so that a scan nobody announced is not lost.

It counts as a run with its first frame, and gets its name and its file then. Because a run ends when the detector was
idle for `grace_s`, and not whenever it stops, a software step scan, which starts the detector at each position, is
one run.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.run import RunState
from stream_service.run.live.live_journal import LiveJournal
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.live.live_sources import LiveSources
from stream_service.run.rows.sink import Sink
from stream_service.run.run import Run
from stream_service.run.run_file import RunFile
from stream_service.service.arming import Arming
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.text.names_of_now import name_of_now

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""After an arming that failed, for example because the detector acquires already."""


class AutoSetup(LiveSetup):
    """That of a run of unknown length, which waits for ever and is named by the moment of its first frame."""

    def __init__(self, profile: Profile, request: ScanRequest, sources: LiveSources) -> None:
        super().__init__(profile, request, sources)
        self.journal = LiveJournal(profile, request, is_auto=True)
        self.rules = replace(self.rules, armed_timeout_s=math.inf)

    def open(self, frame: Frame, ledger: Ledger, sinks: Iterable[Sink]) -> RunFile:
        """See `LiveSetup.open`."""
        self.rename(name_of_now(self.scan_id, lambda name: not os.path.lexists(self.path_of(name))))
        return super().open(frame, ledger, sinks)


class Standby:
    """The run that waits, if there is one."""

    def __init__(self, make_run: Callable[[ScanRequest], Run], frames_per_position: int) -> None:
        """`make_run` gives a run that is not armed yet."""
        self._make_run = make_run
        self._request = ScanRequest(scan_id="auto", frames_per_position=frames_per_position)
        self._arming: Arming | None = None
        self._run: Run | None = None
        self._dismissed: list[Run] = []
        self._next_try_s = 0.0
        self._problem = ""

    @property
    def is_armed(self) -> bool:
        """True while a run waits for its first frame."""
        return self._run is not None

    @property
    def is_getting_ready(self) -> bool:
        """True from the end of a run until the next one waits, or could not be armed at once.

        So long that end is not shown: who waits for it begins the next scan.
        """
        return self._arming is not None and not self._problem

    def renew(self, now_s: float) -> None:
        """Arm a run if none waits; a failure is logged once, and tried again. Never waits."""
        if self._arming is not None:
            self._look_at(self._arming)
        elif self._run is None and now_s >= self._next_try_s:
            self._next_try_s = now_s + RETRY_S
            self._arming = Arming(lambda: self._make_run(self._request))

    def _look_at(self, arming: Arming) -> None:
        if not arming.is_decided:
            return
        self._arming = None
        if arming.run is not None:
            arming.run.start()
            self._run, self._problem = arming.run, ""
            log.info("auto mode: waiting for the detector")
        elif arming.error != self._problem:
            self._problem = arming.error
            log.warning("auto mode cannot wait for the detector yet: %s", arming.error)

    def take_begun(self) -> Run | None:
        """The run, once its first frame has come (or it has failed): from then on it is a run like any other."""
        run = self._run
        if run is None or run.state in (RunState.IDLE, RunState.ARMED):
            return None
        self._run = None
        return run

    def dismiss(self) -> None:
        """End the run that waits; it leaves no file. To be called before a plan's run is armed. Never waits."""
        if self._arming is not None and not self._arming.cancel() and self._arming.run is not None:
            self._arming.run.disarm()
        self._arming = None
        if self._run is not None:
            self._run.abort()
            self._dismissed = [run for run in self._dismissed if not run.join(0)] + [self._run]
            self._run = None

    def close(self) -> None:
        """Dismiss, and wait for the end of what was."""
        self.dismiss()
        for run in self._dismissed:
            run.join()
