"""Waiting for beam: a scan pauses by itself while the ring current is too low, or frames are bad, and goes on later."""

from __future__ import annotations

import math
import threading
from typing import Any

from bluesky.suspenders import SuspenderBase, SuspendFloor


def ring_current_suspender(
    ring_current: Any, *, minimum_mA: float, resume_mA: float | None = None, settle_s: float = 10.0
) -> SuspendFloor:
    """Suspend while `ring_current` (a signal in mA) is below `minimum_mA`.

    It goes on `settle_s` after the current is above `resume_mA`, by default 2 % more than the minimum. The exposure
    that runs when the current falls comes to its end; a suspension longer than the service profile's `grace_s` ends its
    run. Install it by `RE.install_suspender(...)`, or around one plan by `bluesky.preprocessors.suspend_wrapper`.
    """
    if not minimum_mA > 0:
        raise ValueError(f"minimum_mA is {minimum_mA}; it must be greater than 0")
    resume_mA = 1.02 * minimum_mA if resume_mA is None else resume_mA
    if resume_mA < minimum_mA:
        raise ValueError(
            f"resume_mA is {resume_mA}, below minimum_mA {minimum_mA}: the scan would suspend at once again"
        )
    return SuspendFloor(
        ring_current,
        minimum_mA,
        resume_thresh=resume_mA,
        sleep=settle_s,
        tripped_message=f"the ring current is below {minimum_mA:g} mA: the scan waits for beam",
    )


class QualitySuspender(SuspenderBase):
    """Suspends a scan while many of its latest rows are rejected.

    A scan that waits brings no rows that could be better. So it goes on by itself after `retry_s`, and is suspended
    again only when the share of rejected rows grows further: that costs a row or two. Install it as any suspender of
    bluesky.
    """

    def __init__(self, rejected_share: Any, *, most: float = 0.2, retry_s: float = 30.0, **options: Any) -> None:
        """`rejected_share` is a signal of the service's `RejectedShare`; from `most` on, the scan is suspended.

        A `retry_s` longer than the service profile's `grace_s` ends the run.
        """
        if not 0 < most <= 1:
            raise ValueError(f"most is {most}; it is a share of the latest rows, more than 0 and 1 at most")
        options.setdefault("tripped_message", f"{100 * most:g} % of the latest rows are rejected, or more")
        super().__init__(rejected_share, **options)
        self._most = most
        self._retry_s = retry_s
        self._value = 0.0
        self._tolerated = -math.inf
        """The share with which it goes on all the same."""
        self._timer: threading.Timer | None = None

    def remove(self) -> None:
        """Disable the suspender."""
        if self._timer is not None:
            self._timer.cancel()
        super().remove()

    def _should_suspend(self, value: float) -> bool:
        self._value = value
        self._tolerated = min(self._tolerated, value) if value >= self._most else -math.inf
        is_bad = value >= self._most and value > self._tolerated
        if value < self._most and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if is_bad and self._timer is None:
            self._timer = threading.Timer(self._retry_s, self._try_again)
            self._timer.daemon = True
            self._timer.start()
        return is_bad

    def _should_resume(self, value: float) -> bool:
        return not self._should_suspend(value)

    def _try_again(self) -> None:
        self._timer, self._tolerated = None, self._value
        self(self._value)
