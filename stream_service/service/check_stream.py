"""The way of the frames from the detector over PVA, checked. Stock plugins start disabled, and nothing else says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

from stream_service.run.live.check_finding import Finding
from stream_service.run.live.live_sources import stream_of
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


class Arriving(Protocol):
    """A subscription to frames."""

    @property
    def queue(self) -> Any: ...


def check_stream(profile: Profile) -> Iterator[Finding]:
    """Look at the switches between the camera and its PVA channel, as far as they are known."""
    stream = stream_of(profile.detector)
    stream.connect()
    try:
        stream.wait(ANSWER_S)
        if problem := stream.problem:
            yield Finding("warning", "frames", f"{problem} (a plan may do it, too)")
        elif detour := stream.detour:
            yield Finding("warning", "frames", detour)
    finally:
        stream.close()


def check_newest(profile: Profile, unique_id: int, detector: Counting) -> Iterator[Finding]:
    """The last frame over PVA must be the one that the detector counted last; `detector` is idle or close to it."""
    counter = detector.counter()
    if profile.detector.first_id != "after_counter" or counter == unique_id:
        return
    yield Finding(
        "warning",
        "frames",
        f"{profile.detector.counter_pv} is {counter}, but the last frame over PVA has the id {unique_id}: frames do "
        "not come over PVA (EnableCallbacks of the plugin, ArrayCallbacks of the camera), or the counter was set. "
        "Take a frame to see",
    )


def check_arrival(profile: Profile, frames: Arriving, detector: Counting) -> Iterator[Finding]:
    """Watch a detector that acquires: what it counts must come."""
    before = detector.counter()
    deadline = time.monotonic() + max(LEAST_ARRIVAL_S, 3 * detector.exposure_s)
    while time.monotonic() < deadline:
        if frames.queue.take(deadline - time.monotonic(), 1):
            return
    if (taken := detector.counter() - before) > 0:
        text = f"the detector has taken {counted(taken, 'frame')}, none came over PVA as {profile.detector.frames_pva}"
        yield Finding("error", "frames", f"{text}: enable the plugin (EnableCallbacks) and the camera's ArrayCallbacks")
