"""The way of the frames from the detector to us, checked. Stock plugins start disabled, and nothing else says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import frame_switches
from stream_service.run.sources import FrameSource
from stream_service.settings.profile import Profile
from stream_service.text.counted import counted

ANSWER_S = 1.0
"""For switches to answer; a PV that is not there is not waited for longer."""
LEAST_ARRIVAL_S = 2.0
"""How long at least a detector that acquires is watched; longer for long exposures."""


class Counting(Protocol):
    """A detector's counter."""

    @property
    def exposure_s(self) -> float: ...

    def counter(self) -> int: ...


def check_stream(profile: Profile) -> Iterator[Finding]:
    """Look at the switches between the camera and the plugin that sends its frames, as far as they are known."""
    switches = frame_switches(profile.detector)
    switches.connect()
    try:
        switches.wait(ANSWER_S)
        if problem := switches.problem:
            yield Finding("warning", "frames", f"{problem} (a plan may do it, too)")
        elif detour := switches.detour:
            yield Finding("warning", "frames", detour)
    finally:
        switches.close()


def check_newest(profile: Profile, frames: FrameSource, unique_id: int, detector: Counting) -> Iterator[Finding]:
    """The last frame that came must be the one that the detector counted last; `detector` is idle or close to it."""
    counter = detector.counter()
    if profile.detector.first_id != "after_counter" or counter == unique_id:
        return
    over = f"over {frames.transport}"
    yield Finding(
        "warning",
        "frames",
        f"{profile.detector.counter_pv} is {counter}, but the last frame {over} has the id {unique_id}: frames do not "
        f"come {over} (EnableCallbacks of the plugin, ArrayCallbacks of the camera), or the counter was set. Take a "
        "frame to see",
    )


def check_arrival(
    frames: FrameSource, detector: Counting, clock: Callable[[], float] = time.monotonic
) -> Iterator[Finding]:
    """Watch a detector that acquires: what it counts must come."""
    before = detector.counter()
    deadline_s = clock() + max(LEAST_ARRIVAL_S, 3 * detector.exposure_s)
    while (left_s := deadline_s - clock()) > 0:
        if frames.queue.take(left_s):
            return
    if (taken := detector.counter() - before) > 0:
        came = f"none came over {frames.transport} as {frames.channel}"
        text = f"the detector has taken {counted(taken, 'frame')}, {came}"
        yield Finding("error", "frames", f"{text}: enable the plugin (EnableCallbacks) and the camera's ArrayCallbacks")
