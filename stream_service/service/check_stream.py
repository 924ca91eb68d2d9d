"""The way of the frames from the detector to us, checked. Stock plugins start disabled, and nothing else says so."""

from __future__ import annotations

from collections.abc import Iterator

from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import counts_each_series, frame_switches
from stream_service.run.sources import DetectorSource
from stream_service.settings.profile import Profile

ANSWER_S = 1.0
"""For switches to answer; a PV that is not there is not waited for longer."""


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


def check_newest(profile: Profile, unique_id: int, detector: DetectorSource) -> Iterator[Finding]:
    """The last frame that came must be the one that the detector counted last; `detector` is idle."""
    settings = profile.detector
    counter = detector.counter()
    if settings.first_id != "after_counter" or counts_each_series(settings.frames) or counter == unique_id:
        return
    yield Finding(
        "warning",
        "frames",
        f"{settings.counter_pv} is {counter}, but the last frame that came has the id {unique_id}: frames do not come "
        "(EnableCallbacks of the plugin, ArrayCallbacks of the camera), or the counter was set. Take a frame to see",
    )
