"""Waiting for beam: a scan pauses by itself while the ring current is too low, and goes on when it is back."""

from __future__ import annotations

from typing import Any

from bluesky.suspenders import SuspendFloor


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
