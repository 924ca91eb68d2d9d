"""One run of the streaming service, from its arming to its end, as the service's PVs tell of it.

A run is ours while the newest run of the service has the number that our own arming gave it, and our scan id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ptychostream_devices.run_verdicts import VerdictWatch
from ptychostream_devices.service_pvs import ServicePVs
from ptychostream_devices.status import JobStatus
from stream_service.core.run import RunState
from stream_service.settings.request import ScanRequest
from stream_service.settings.status_table import ServicePV

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
"""For the service to answer that it gives up an arming, which takes it half a second."""
GUARD_S = 60.0
"""Between two looks of a guard that nothing woke."""
UNSUCCESSFUL = (RunState.ABORTED, RunState.FAILED)


class StreamServiceError(Exception):
    """The service did not do what the plan needs; the text can be shown to an operator as it is."""


class ServiceRun:
    """The run that is asked for by one request."""

    def __init__(self, pvs: ServicePVs, request: ScanRequest, return_s: float = 0.0) -> None:
        """A service that was lost has `return_s` to come back and go on with the run."""
        self._pvs = pvs
        self._return_s = return_s
        self._request = request
        self.verdicts = VerdictWatch(pvs, request)
        self._number: int | None = None
        self.is_told_to_end = False
        """Whoever watches over it need not wonder at its end."""

    # -- what the PVs say --------------------------------------------------------------------------------------

    @property
    def is_ours(self) -> bool:
        """True if the newest run of the service is this one."""
        return (
            self._number is not None
            and self._pvs.number(ServicePV.RUN_NUMBER) == self._number
            and self._pvs.text(ServicePV.SCAN_ID) == self._request.scan_id
        )

    @property
    def state(self) -> RunState:
        """Of the newest run of the service, whose ever it is."""
        return RunState(self._pvs.text(ServicePV.STATE))

    @property
    def is_running(self) -> bool:
        return self.is_ours and self.state is not RunState.IDLE and not self.state.has_ended

    @property
    def has_ended(self) -> bool:
        return self.is_ours and self.state.has_ended

    @property
    def is_away(self) -> bool:
        """True while the service does not answer, or has not gone on with its run yet."""
        return not self._pvs.is_current or bool(self._pvs.number(ServicePV.RESUMING))

    @property
    def _is_over(self) -> bool:
        return self.is_told_to_end or self.is_away or not self.is_ours or self.has_ended

    def _progress(self) -> tuple[int, int]:
        return self._pvs.number(ServicePV.FRAMES_RECEIVED), self._pvs.number(ServicePV.ROWS)

    def _has_news(self, progress: tuple[int, int] | None) -> bool:
        return self.has_ended or not self.is_ours or self.is_away or self._progress() != progress

    # -- what is done ------------------------------------------------------------------------------------------

    def arm(self, timeout_s: float, answer_s: float = ANSWER_S) -> None:
        """Hand the request over and return when the service is armed; raises `StreamServiceError` if it is not.

        An arming that takes longer is given up, and leaves no run behind; so does one that is told to end, which is no
        failure: a RunEngine would report it in place of what ended the plan.
        """
        pvs = self._pvs
        arm_count = pvs.latest(ServicePV.ARM).count
        error_count = pvs.latest(ServicePV.ARM_ERROR).count
        pvs.put(ServicePV.REQUEST, self._request.model_dump_json())
        self._number = pvs.number(ServicePV.RUN_NUMBER) + 1
        pvs.put(ServicePV.ARM, 1)

        def is_answered() -> bool:
            arm = pvs.latest(ServicePV.ARM)
            return arm.count > arm_count and arm.value == 0

        def is_refused() -> bool:
            error = pvs.latest(ServicePV.ARM_ERROR)
            return error.count > error_count and error.value != ""

        def is_decided() -> bool:
            # Updates of different PVs have no order among them: the rest of the answer may come a moment after Arm. And
            # a 0 of Arm alone is no answer: it also comes when a service that was started again is connected anew.
            return not pvs.is_connected or (is_answered() and (self.is_running or is_refused()))

        pvs.wait_until(lambda: self.is_told_to_end or is_decided(), timeout_s)
        is_told_to_end, failure = self.is_told_to_end, self._failure_to_arm(is_answered(), timeout_s)
        if pvs.is_connected and (is_told_to_end or not is_answered()):
            self._give_up_arming(is_decided, answer_s)
        if failure and not is_told_to_end:
            raise StreamServiceError(failure)

    def _give_up_arming(self, is_decided: Callable[[], bool], answer_s: float) -> None:
        """Abort what is being armed, and the run if it is armed by then; never a run of somebody else.

        While one goes on, the service refuses ours by itself, or arms it when that one has ended.
        """

        def is_nobody_in_the_way() -> bool:
            return is_decided() or self.is_running or self.state is RunState.IDLE or self.state.has_ended

        self._pvs.wait_until(is_nobody_in_the_way, answer_s)
        if is_nobody_in_the_way() and not is_decided():
            self.abort()
        self._pvs.wait_until(lambda: is_decided() or self.has_ended, answer_s)
        if self.is_running:  # it was armed just before
            self.abort()

    def _failure_to_arm(self, is_answered: bool, timeout_s: float) -> str:
        """Reason why there is no run; empty if it is armed."""
        pvs, scan_id = self._pvs, self._request.scan_id
        if not pvs.is_connected:
            return (
                f"the service at {pvs.prefix} no longer answers: it went away while it was arming for scan {scan_id}. "
                "Is it running?"
            )
        if not is_answered:
            return (
                f"{pvs.prefix}{ServicePV.ARM} did not come back to 0 within {timeout_s:g} s (State is {self.state}): "
                f"{pvs.text(ServicePV.MESSAGE) or 'the service gave no reason'}"
            )
        if self.is_running:
            return ""
        return (
            pvs.text(ServicePV.ARM_ERROR)
            or f"{pvs.prefix} gave no ArmError but is not armed: State is {self.state}, ScanId "
            f"{pvs.text(ServicePV.SCAN_ID)!r} instead of {scan_id!r}"
        )

    def stop(self) -> None:
        """Let it stop gracefully: drain and close."""
        self._pvs.put(ServicePV.STOP, 1)

    def abort(self) -> None:
        """Let it end now."""
        self._pvs.put(ServicePV.ABORT, 1)

    def wait_for_end(
        self, status: JobStatus, quiet_s: float, end_timeout_s: float, told: Callable[[], None] | None = None
    ) -> None:
        """Return when the run has ended, with progress until then; raises `StreamServiceError` if it does not.

        `told` is how it was told to end; None if it was not: then it is stopped when no frame has come for `quiet_s`,
        or at once when nothing else ends it. It may take `end_timeout_s` from its last frame. A service that was
        started again meanwhile is told once more.
        """
        if told is None and (self._request.n_positions is None or self._request.extra_frames > 0):
            told = self.stop
            told()
        progress: tuple[int, int] | None = None
        quiet_since_s = time.monotonic()
        while not self.has_ended:
            if self.is_away:
                self.wait_for_return()
                progress = None
                if told is not None and self.is_ours and self.state in (RunState.ARMED, RunState.RECEIVING):
                    told()
                continue
            if not self.is_ours:
                raise StreamServiceError(self._succession())
            if self._progress() != progress:
                progress, quiet_since_s = self._progress(), time.monotonic()
                target = self._pvs.number(ServicePV.ROWS_EXPECTED) or None
                status.report(current=progress[1], target=target, unit=ServicePV.ROWS.type.unit)
            left_s = quiet_since_s + (quiet_s if told is None else end_timeout_s) - time.monotonic()
            if left_s > 0:
                self._pvs.wait_until(lambda seen=progress: self._has_news(seen), left_s)
            elif told is not None:
                raise StreamServiceError(
                    f"{self._pvs.prefix} was told to end but is still {self.state}, {end_timeout_s:g} s after its last "
                    f"frame: {self._pvs.text(ServicePV.MESSAGE)}"
                )
            else:
                told, quiet_since_s = self.stop, time.monotonic()
                told()

    def watch_over(self) -> None:
        """Return when the run is complete or was told to end; raises `StreamServiceError` when it ends otherwise."""
        while not self.is_told_to_end:
            if not self._pvs.wait_until(lambda: self._is_over, GUARD_S):
                continue
            if self.is_away and not self.is_told_to_end:
                logger.warning("the service at %s is away: waiting for it to go on with its run", self._pvs.prefix)
                self.wait_for_return(unless=lambda: self.is_told_to_end)
            elif self.is_told_to_end or self.state is RunState.COMPLETE:
                return
            else:
                self.check()

    def wait_for_return(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Return when the service goes on with its run, after it was killed and started again, or `unless` holds.

        Raises `StreamServiceError` when it has not within its time, which counts from here: what a client sees first of
        a loss, and when it is told of it, have no order.
        """
        if not self._pvs.wait_until(lambda: not self.is_away or unless(), self._return_s):
            raise StreamServiceError(self._silence())

    def check(self) -> None:
        """Raise `StreamServiceError` unless the run takes frames: what is exposed now would not be stored.

        Waits for a service that is away, as `wait_for_return`.
        """
        self.wait_for_return()
        if not self.is_ours:
            raise StreamServiceError(self._succession())
        if not self.is_running:
            raise StreamServiceError(self.ending())

    # -- in words ----------------------------------------------------------------------------------------------

    def ending(self) -> str:
        """End of the run in the service's own words."""
        text = self._pvs.text
        said = ": ".join(filter(None, (text(ServicePV.END_REASON), text(ServicePV.MESSAGE))))
        file = f" File: {text(ServicePV.FILE)}" if text(ServicePV.FILE) else ""
        return f"scan {text(ServicePV.SCAN_ID)} ended {self.state}: {said or 'no reason given'}.{file}"

    def _silence(self) -> str:
        file = self._pvs.text(ServicePV.FILE)
        if self._pvs.is_connected:
            return (
                f"the service at {self._pvs.prefix} was started again, and does not go on with its run after "
                f"{self._return_s:g} s: {self._pvs.text(ServicePV.MESSAGE)}"
            )
        about_file = f"its file so far is {file}" if file else "its run had no file yet"
        return f"the service at {self._pvs.prefix} no longer answers; {about_file}"

    def _succession(self) -> str:
        return f"run {self._number} is no longer the newest run of {self._pvs.prefix}; its file tells how it ended"
