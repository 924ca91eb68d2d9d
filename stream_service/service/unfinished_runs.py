"""Runs that a service which was killed has left behind: found when it is started again, and resumed one by one.

Until that is decided orders wait, and the newest of them is shown as the run: who follows it sees it go on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from stream_service.core.run import RunState
from stream_service.errors import SourceError
from stream_service.run.live.last_run import read_last_run
from stream_service.run.live.live_journal import journal_folder, remove_superseded
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.run import Run
from stream_service.service.arming import Arming
from stream_service.settings.profile import Profile
from stream_service.settings.service_status import NO_RUN, RunStatus, Severity

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""After a resumption that failed, because an IOC does not answer yet."""


class UnfinishedRuns:
    """Those of one service, the oldest first."""

    def __init__(
        self,
        profile: Profile,
        make_run: Callable[[UnfinishedRun, str], Run],
        take: Callable[[Run, int | None], None],
        on_decided: Callable[[], None],
    ) -> None:
        """`make_run` and `on_decided` are called in the thread of an arming; `take` gets each run that goes on, and its
        number. `make_run` is told why a run takes no more frames; an empty text if it does."""
        self._profile = profile
        self._make_run, self._take, self._on_decided = make_run, take, on_decided
        self._waiting: deque[UnfinishedRun] = deque()
        self._current: Arming | None = None
        self._since_s = 0.0
        self._next_try_s = 0.0
        self._over_because = ""
        """Why the first one takes no more frames, as its resumption has told."""
        self.problem = ""
        """Why the first one cannot go on yet, in a sentence; empty if nothing is wrong."""
        self._last: RunStatus | None = None
        self._about_left: list[str] = []
        """Why those do not go on that do not, in sentences."""

    @property
    def no_run(self) -> RunStatus:
        """Shown until there is a run: how the last one of before has ended, and what does not go on, and why."""
        last = self._last or NO_RUN
        if not self._about_left:
            return last
        told = [last.message] if self._last is not None else []
        return replace(last, message="; ".join((*self._about_left, *told)), severity=Severity.MAJOR)

    def find(self) -> None:
        """Read the journals that are there; those of runs that are over are removed."""
        self._last = read_last_run(journal_folder(self._profile))
        for path in unfinished_journals(self._profile):
            try:
                unfinished = UnfinishedRun.read(path)
            except SourceError as error:
                self._leave(str(error))
                with suppress(OSError):  # then it is told again at the next start
                    path.rename(path.with_name(f"{path.name}.unreadable"))
                continue
            if (ended := unfinished.ended) is not None:
                folder = unfinished.file(self._profile).parent
                remove_superseded([folder / name for name in ended.superseded if "/" not in name])
            if ended is not None or (unfinished.number is None and not unfinished.armed.is_auto):
                with suppress(OSError):
                    path.unlink()  # who armed it was never answered
                continue
            log.info("run %s of before was not finished: it goes on", unfinished.scan_id)
            self._waiting.append(unfinished)
        self._since_s = time.monotonic()

    @property
    def is_working(self) -> bool:
        """True until all are decided."""
        return bool(self._waiting)

    @property
    def highest_number(self) -> int:
        """Of these runs, and of those before them."""
        numbers = [unfinished.number or 0 for unfinished in self._waiting]
        return max(*numbers, self._last.run_number if self._last is not None else 0, 0)

    @property
    def status(self) -> RunStatus | None:
        """Of the newest one, while it is not decided."""
        if not self._waiting:
            return None
        newest = self._waiting[-1]
        state = RunState.ARMED if newest.began is None else RunState.RECEIVING
        if newest.drains is not None:
            state = RunState.DRAINING
        step = self._current.step if self._current is not None else ""
        message = "; ".join(filter(None, (f"resuming {newest.scan_id} after its service ended", step, self.problem)))
        severity = Severity.MAJOR if self.problem else Severity.NONE
        return replace(
            NO_RUN,
            run_number=newest.number or 0,
            scan_id=newest.scan_id,
            state=state,
            message=message,
            severity=severity,
        )

    def look(self) -> None:
        """Hand over what goes on, and begin with the next. Never waits."""
        now_s = time.monotonic()
        if self._current is None:
            if self._waiting and now_s >= self._next_try_s:
                first = self._waiting[0]
                why = self._over_because or self._why_over(first)
                self._current = Arming(lambda: self._make_run(first, why), self._on_decided)
            return
        if not self._current.is_decided:
            return
        arming, self._current = self._current, None
        if arming.run is not None:
            unfinished = self._pop()
            self._take(arming.run, unfinished.number)
            return
        if not self._waiting[0].path.exists():
            log.info("%s", arming.error)
            self._pop()
            self._last = read_last_run(journal_folder(self._profile))
            return
        if arming.error != self.problem:
            log.warning("%s cannot go on yet: %s", self._waiting[0].scan_id, arming.error)
        self.problem, self._next_try_s = arming.error, now_s + RETRY_S
        if self._over_because:
            self._leave(f"{self._pop().scan_id} does not go on: {arming.error}")
        elif now_s - self._since_s > self._profile.service.gone_s:
            self._over_because = f"it takes no more frames: {arming.error}"

    def _leave(self, why: str) -> None:
        log.error("%s", why)
        self._about_left.append(why)

    def _pop(self) -> UnfinishedRun:
        """The first one is decided."""
        self._since_s, self.problem, self._over_because = time.monotonic(), "", ""
        return self._waiting.popleft()

    def _why_over(self, unfinished: UnfinishedRun) -> str:
        """Why a run takes no more frames, in a sentence; empty if it does."""
        if not unfinished.is_of(self._profile):
            return "it takes no more frames, since the profile was changed while the service was away"
        away_s, most_s = unfinished.away_s(self._profile), self._profile.service.resume_s
        if away_s > most_s:
            return f"it takes no more frames: the service was away for {away_s:.0f} s (service.resume_s is {most_s:g})"
        return ""

    def close(self) -> None:
        """Leave them for the next start."""
        if self._current is not None and not self._current.cancel() and self._current.run is not None:
            self._current.run.disarm()
        self._waiting.clear()
