"""End conditions of a run: all frames in, stop requests, a detector that went quiet or away; and the wait for the rest.

Time is an argument, in seconds of any clock that does not jump.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from stream_service.core.account import Account
from stream_service.core.run import FAILURES, EndReason, RunEvent, RunState

LONGEST_DRAIN = 5
"""A stop waits at most this many drain times, even for a detector that goes on sending."""
ASK_S = 1.0
"""Between two questions to an idle detector, what it has made: they go over the network."""
BEHIND_S, BEHIND_ASK_S = 1.0, 0.05
"""How long, and how often, a counter that is behind the frames which came is asked again. areaDetector's drivers post
it after the frame, so that the frame may be here first; one that was reset stays behind."""
BEYOND_SHARE = 0.25
"""Of the drain time: how long a run that has all its frames looks whether the detector goes on beyond them."""


class Ending:
    """Stop requests and time-outs of one run, and what follows. `stop` and `abort` may come from any thread."""

    def __init__(
        self, grace_s: float, drain_s: float, gone_s: float = math.inf, armed_timeout_s: float = math.inf
    ) -> None:
        """`gone_s` is how long a detector may not answer before its run ends, `armed_timeout_s` how long an armed run
        waits for its first frame."""
        self.reason: EndReason | None = None
        """What made the run end; None while it goes on."""
        self.is_aborted = False
        self.has_stream_ended = False
        """True once it is known that no frame is on its way any more."""
        self.n_exposed: int | None = None
        """Frames of the run that the detector had made when the run began to end; None if it cannot tell."""
        self._may_be_more = False
        self._grace_s = grace_s
        self._drain_s = drain_s
        self._gone_s = gone_s
        self._armed_timeout_s = armed_timeout_s
        self._gone_since_s: float | None = None
        self._stop_reason: EndReason | None = None
        self._last_frame_s = self._drain_began_s = 0.0
        self._asked_s = -math.inf

    def stop(self, reason: EndReason) -> None:
        """Stop gracefully; the first reason counts."""
        self._stop_reason = self._stop_reason or reason

    @property
    def is_asked(self) -> bool:
        """True once somebody wants the run to end, whether it has come to it or not."""
        return self.is_aborted or self._stop_reason is not None

    def stream_ended(self, reason: EndReason) -> None:
        """The stream has told its end: nothing more comes."""
        self.has_stream_ended = True
        self.stop(reason)

    def abort(self) -> None:
        """End at once."""
        self.is_aborted = True

    def frame_came(self, now_s: float) -> None:
        """Note that the detector is not quiet; called when the run is armed, too."""
        self._last_frame_s = now_s

    def quiet_s(self, now_s: float) -> float:
        """Time since the last frame, or since arming."""
        return now_s - self._last_frame_s

    def detector_answers(self, answers: bool, now_s: float) -> None:
        """Note whether the detector's IOC answers."""
        if answers:
            self._gone_since_s = None
        elif self._gone_since_s is None:
            self._gone_since_s = now_s

    def event(
        self,
        state: RunState,
        now_s: float,
        *,
        all_in: bool,
        is_acquiring: Callable[[], bool],
        has_made_all: Callable[[], bool] = lambda: False,
    ) -> RunEvent | None:
        """The event that begins the end, when its time has come; `reason` is set with it.

        `has_made_all` asks the detector whether it has made all frames that may come: then one that is idle is done as
        soon as no frame is on its way, and those that did not come are lost.
        """
        is_gone = self._gone_since_s is not None and now_s - self._gone_since_s > self._gone_s
        if state is RunState.RECEIVING and all_in:
            self.reason, event = EndReason.ALL_IN, RunEvent.ALL_IN
        elif state in (RunState.ARMED, RunState.RECEIVING) and self._stop_reason is not None:
            self.reason, event = self._stop_reason, RunEvent.STOP
        elif state in (RunState.ARMED, RunState.RECEIVING) and is_gone:
            self.reason, event = EndReason.DETECTOR_GONE, RunEvent.DETECTOR_GONE
        elif state is RunState.ARMED and self.quiet_s(now_s) > self._armed_timeout_s:
            self.reason, event = EndReason.NOT_BEGUN, RunEvent.NOT_BEGUN
        elif state is RunState.RECEIVING and self._is_idle(now_s, is_acquiring, has_made_all):
            self.reason, event = EndReason.DETECTOR_STOPPED, RunEvent.DETECTOR_STOPPED
        else:
            return None
        return event

    def _is_idle(self, now_s: float, is_acquiring: Callable[[], bool], has_made_all: Callable[[], bool]) -> bool:
        """A detector that does not answer is not idle: nobody knows."""
        if self._gone_since_s is not None or self.quiet_s(now_s) <= min(self._grace_s, self._drain_s) or is_acquiring():
            return False
        if self.quiet_s(now_s) > self._grace_s:
            return True
        if now_s - self._asked_s < ASK_S:
            return False
        self._asked_s = now_s
        return has_made_all()

    def begin_draining(self, now_s: float, n_exposed: int | None, *, may_be_more: bool = False) -> None:
        """From now on only frames in flight are waited for: `n_exposed` were made, None if the detector cannot tell.

        `may_be_more`: so many at least.
        """
        self._drain_began_s, self.n_exposed, self._may_be_more = now_s, n_exposed, may_be_more

    def asks_again(self, now_s: float) -> bool:
        """True when a counter that was behind when the run began to end is to be asked again."""
        is_due = now_s - self._asked_s >= BEHIND_ASK_S and now_s - self._drain_began_s <= BEHIND_S
        if self.n_exposed is not None or not is_due:
            return False
        self._asked_s = now_s
        return True

    def has_all_exposed(self, n_seen: int) -> bool:
        """True once every frame made before the run began to end has been seen: later ones are not the run's."""
        return self.n_exposed is not None and not self._may_be_more and n_seen >= self.n_exposed

    def is_drained(self, now_s: float, n_seen: int) -> bool:
        """True once every frame made has been seen, or it has been quiet for long enough, or it never gets quiet."""
        if self.has_stream_ended or self.has_all_exposed(n_seen):
            return True
        quiet_s = now_s - max(self._last_frame_s, self._drain_began_s)
        return quiet_s > self._drain_s or self.is_too_long(now_s)

    def is_too_long(self, now_s: float) -> bool:
        """True when the detector should have been quiet long ago: nothing more is let in."""
        return now_s - self._drain_began_s > LONGEST_DRAIN * self._drain_s

    def has_looked_beyond(self, now_s: float) -> bool:
        """True when a detector that still acquires has had the time to show that it goes on beyond the plan."""
        return now_s - self._drain_began_s > BEYOND_SHARE * self._drain_s


def true_reason(reason: EndReason, account: Account, *, is_planned: bool) -> EndReason:
    """End reason of a run, once its account is made: what was asked of it is not all that can be said.

    `is_planned`: the number of frames was known beforehand.
    """
    if reason in FAILURES or reason in (EndReason.ABORTED, EndReason.SERVICE_ENDED):
        return reason
    if reason is EndReason.RECORDING_READ:  # a frame that was not taken for its id may be one that nobody misses
        is_whole = account.is_complete and (is_planned or not account.implausible)
        return EndReason.ALL_IN if is_whole else reason
    if not is_planned:
        return EndReason.DETECTOR_IDLE if reason is EndReason.DETECTOR_STOPPED else reason
    if account.is_complete:
        return EndReason.BEYOND_PLAN if account.unexpected > account.implausible else EndReason.ALL_IN
    if account.lost and not account.not_exposed:
        return EndReason.FRAMES_LOST
    return reason
