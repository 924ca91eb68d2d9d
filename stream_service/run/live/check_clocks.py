"""Do the clocks agree? Positions are paired with frames by time, so that a wrong clock is a wrong position.

Nothing is moved and no frame is taken: the last frame is compared with the moment at which the detector's counter was
posted (of a detector that counts each series anew: at which the frame came), and every stamp with this machine's
clock, since nothing can have happened in the future.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Literal

from stream_service.core.clock import DEFAULT_LIMIT_S
from stream_service.core.frame import NS_PER_S, Frame
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import counts_each_series, no_time_advice
from stream_service.settings.profile import Profile
from stream_service.sources.live.ca_detector import CaDetector

YEAR_2000_NS = 946_684_800 * NS_PER_S
"""A stamp before it is none: EPICS begins at 1990, an unset clock at 1970."""
Sign = Literal["counter", "arrival"]
"""Of a frame that has just been taken."""
MOMENTS: dict[Sign, str] = {"counter": "its counter was posted", "arrival": "its arrival"}


def check_frame_clock(
    frame_ns: int,
    shown_ns: int | None,
    *,
    exposure_s: float,
    offset_s: float,
    now_ns: int,
    no_time: str,
    sign: Sign = "counter",
    limit_s: float = DEFAULT_LIMIT_S,
) -> Iterator[Finding]:
    """Compare the last frame's stamp with the one its counter was posted with, or with its arrival (`sign`).

    `shown_ns` is that moment, None if nobody knows it; `offset_s` is the profile's `detector.frame_time.offset_s`,
    already to be added to the frame's stamp; `no_time` is what to do if it has none; `limit_s` is how far clocks may
    differ.
    """
    about = "clock of the frames"
    if frame_ns < YEAR_2000_NS:
        yield Finding("error", about, f"the last frame carries no time: {no_time}")
        return
    adjusted_ns = frame_ns + round(offset_s * NS_PER_S)
    if (ahead_s := (adjusted_ns - now_ns) / NS_PER_S) > limit_s:
        yield Finding(
            "error", about, f"the last frame is stamped {ahead_s:.1f} s in the future of this machine: {_NTP}"
        )
    if shown_ns is None:
        return
    difference_s = (shown_ns - adjusted_ns) / NS_PER_S
    if abs(difference_s) > limit_s + exposure_s:
        order = "before" if difference_s > 0 else "after"
        yield Finding(
            "error",
            about,
            f"the last frame is stamped {abs(difference_s):.1f} s {order} {MOMENTS[sign]}: {_NTP}; or, if the detector "
            f"has a clock of its own, add {difference_s:.1f} to detector.frame_time.offset_s",
        )
    else:
        yield Finding("ok", about, f"{difference_s * 1e3:.0f} ms between the last frame's stamp and its {sign}")


def check_stamp(profile: Profile, frame: Frame, detector: CaDetector, came_ns: int | None = None) -> Iterator[Finding]:
    """Compare the last frame's stamp with its counter, if that still shows it, and with the clock of this machine.

    Where each series counts anew, the counter shows no frame: its arrival at `came_ns` is compared, if that is known.
    """
    frames = profile.detector.frames
    if counts_each_series(frames):
        shown_ns = came_ns
    else:
        counter, counter_ns = detector.counter_with_stamp()
        shown_ns = counter_ns if counter == frame.unique_id and counter_ns else None
    yield from check_frame_clock(
        frame.timestamp_ns,
        shown_ns,
        exposure_s=detector.exposure_s,
        offset_s=profile.detector.frame_time.offset_s,
        now_ns=time.time_ns(),
        no_time=no_time_advice(frames),
        sign="arrival" if counts_each_series(frames) else "counter",
        limit_s=profile.service.clock_limit_s + profile.detector.frame_time.delay_s,
    )


def check_channel_clocks(
    stamps_ns: Mapping[str, int], timed: frozenset[str], *, now_ns: int, limit_s: float = DEFAULT_LIMIT_S
) -> Iterator[Finding]:
    """Look at the stamp of every channel's last value; `timed` are those paired with frames by it."""
    for name, stamp_ns in stamps_ns.items():
        about = f"clock of channel {name}"
        if stamp_ns < YEAR_2000_NS and name in timed:
            text = "its record has no time yet: it was not processed since its IOC started (a motor: has not moved)"
            yield Finding("ok", about, text)
        elif (ahead_s := (stamp_ns - now_ns) / NS_PER_S) > limit_s:
            yield Finding("error", about, f"its value is stamped {ahead_s:.1f} s in the future of this machine: {_NTP}")


_NTP = "let all IOCs and this machine keep time by the same NTP server"
