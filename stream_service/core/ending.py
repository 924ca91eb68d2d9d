"""When a run is over: all frames in, asked to stop, or a detector that went quiet; and how long to wait for the rest.

Time is an argument, in seconds of any clock that does not jump.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_service.core.run import EndReason, RunEvent, RunState

LONGEST_DRAIN = 5
"""A stop waits at most this many drain times, even for a detector that goes on sending."""


class Ending:
    """Wishes and silences of one run, and what follows from them. `stop` and `abort` may come from any thread."""

    def __init__(self, grace_s: float, drain_s: float) -> None:
        self.reason: EndReason | None = None
        """Why the run ends; None while it goes on."""
        self.is_aborted = False
        self._grace_s = grace_s
        self._drain_s = drain_s
        self._stop_reason: EndReason | None = None
        self._last_frame_s = self._drain_began_s = 0.0
        self._n_exposed: int | None = None

    def stop(self, reason: EndReason) -> None:
        """End in good order; the first reason counts."""
        self._stop_reason = self._stop_reason or reason

    def abort(self) -> None:
        """End at once."""
        self.is_aborted = True

    def frame_came(self, now_s: float) -> None:
        """Note that the detector is not quiet; called when the run is armed, too."""
        self._last_frame_s = now_s

    def event(
        self, state: RunState, now_s: float, *, all_in: bool, is_acquiring: Callable[[], bool]
    ) -> RunEvent | None:
        """The event that begins the end, when its time has come; `reason` is set with it."""
        if state is RunState.RECEIVING and all_in:
            self.reason, event = EndReason.ALL_IN, RunEvent.ALL_IN
        elif state in (RunState.ARMED, RunState.RECEIVING) and self._stop_reason is not None:
            self.reason, event = self._stop_reason, RunEvent.STOP
        elif state is RunState.RECEIVING and now_s - self._last_frame_s > self._grace_s and not is_acquiring():
            self.reason, event = EndReason.DETECTOR_STOPPED, RunEvent.DETECTOR_STOPPED
        else:
            return None
        return event

    def begin_draining(self, now_s: float, n_exposed: int | None) -> None:
        """From now on only frames in flight are waited for: `n_exposed` were made, None if the detector cannot tell."""
        self._drain_began_s, self._n_exposed = now_s, n_exposed

    def is_drained(self, now_s: float, n_seen: int) -> bool:
        """True once every frame made has been seen, or it has been quiet for long enough, or it never gets quiet."""
        if self._n_exposed is not None and n_seen >= self._n_exposed:
            return True
        quiet_s = now_s - max(self._last_frame_s, self._drain_began_s)
        return quiet_s > self._drain_s or self.is_too_long(now_s)

    def is_too_long(self, now_s: float) -> bool:
        """True when the detector should have been quiet long ago: nothing more is let in."""
        return now_s - self._drain_began_s > LONGEST_DRAIN * self._drain_s
