"""Doubts, before the first frame, about the clocks and the NDAttributes that a run will be paired by.

It is told and does not hold up an arming: the last frame may be of another time. Rows are judged one by one in the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from stream_service.core.frame import Frame
from stream_service.core.pairing.rule import How
from stream_service.run.live.check_attributes import Latest, check_attributes
from stream_service.run.live.check_clocks import YEAR_2000_NS, check_channel_clocks, check_stamp
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.check_numbers import check_energy
from stream_service.settings.profile import POSITION_CHANNELS, Profile
from stream_service.sources.live.ca_detector import CaDetector
from stream_service.sources.live.ca_readbacks import CaReadbacks


def arming_doubts(
    profile: Profile, frame: Frame | None, detector: CaDetector, latest: Mapping[str, Latest]
) -> Iterator[str]:
    """Sentences; `frame` is the last one before the run, `latest` what the followed PVs are, by channel."""
    for finding in _findings(profile, frame, detector, latest):
        if finding.level == "error":
            yield finding.text


def check_arrays(profile: Profile, *, is_armed: bool = False) -> Iterator[Finding]:
    """Channels by index of which nothing comes while the service runs; the request of a run that `is_armed` is in its
    profile."""
    for name, channel in profile.channels.items():
        if channel.how is How.INDEX and not channel.pv and not profile.arrays_file.is_named:
            text = (
                f"{name} is paired by index and has no 'pv', and no file is named in which {channel.dataset} is: every "
                "row of a live run will be flagged missing, and not used. Name the file by arrays_file of the profile "
                "or of the request, or the array's PV"
            )
            yield Finding("error" if is_armed else "warning", f"channel {name}", text)


def scalar_problems(profile: Profile, readbacks: CaReadbacks) -> Iterator[Finding]:
    """PVs that are to be arrays, and hold one number; all have answered."""
    for name, channel in profile.channels.items():
        if channel.how is How.INDEX and channel.pv and not readbacks.holds_array(name):
            text = (
                f"{channel.pv} holds one number, and not the array of all that hardware captures, which how: index "
                "needs: every row of a run would be flagged missing. Name the array; or pair it by timestamp"
            )
            yield Finding("error", f"channel {name}", text)
        if channel.times is not None and channel.times.pv and not readbacks.holds_array(profile.times_of(name)):
            text = f"{channel.times.pv} holds one number, and not the time of each entry of {channel.pv}"
            yield Finding("error", f"channel {name}", text)


def check_times(profile: Profile) -> Iterator[Finding]:
    """Arrays without times, of which only the number of entries tells that a trigger was missed."""
    names = [name for name, channel in profile.channels.items() if channel.how is How.INDEX and channel.times is None]
    if names:
        text = (
            f"{' and '.join(names)}: entries are counted (how: index, without 'times'). A trigger that hardware "
            "misses, or one too many, shifts the positions of all rows after it, and only the number of entries tells, "
            "at the end. With the times of the entries (PandA's PCAP.TS_TRIG) it is seen where that was"
        )
        yield Finding("warning", "triggers", text)


def check_after_crash(profile: Profile) -> Iterator[Finding]:
    """Positions that nobody has but the service, by monitors."""
    names = [name for name in POSITION_CHANNELS if profile.channels[name].how is How.TIMESTAMP]
    if names:
        text = (
            f"{' and '.join(names)}: nobody hears these PVs while the service is away (how: timestamp). If it is "
            "killed and started again, rows of frames that were taken meanwhile have no known position and are not "
            "used, and the run is INCOMPLETE; with how: attribute or index it has all of them"
        )
        yield Finding("warning", "after a crash", text)


def _findings(
    profile: Profile, frame: Frame | None, detector: CaDetector, latest: Mapping[str, Latest]
) -> Iterator[Finding]:
    stamps_ns = {name: one.timestamp_ns for name, one in latest.items() if one.timestamp_ns >= YEAR_2000_NS}
    timed = frozenset(name for name, channel in profile.channels.items() if channel.how is How.TIMESTAMP)
    yield from check_arrays(profile, is_armed=True)
    yield from check_channel_clocks(stamps_ns, timed, now_ns=time.time_ns(), limit_s=profile.service.clock_limit_s)
    yield from check_energy(profile, frame.attributes if frame is not None else {}, latest)
    if frame is None:
        return
    yield from check_attributes(profile, frame.attributes, frame.timestamp_ns, latest)
    yield from check_stamp(profile, frame, detector)
