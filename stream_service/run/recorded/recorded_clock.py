"""The clocks of frames and of a log of readbacks: both must tell of the same time before anything is paired by it.

Nothing is corrected here. Frames and log that do not overlap are refused with both times, and with what their distance
looks like: another epoch, or another time zone. The operator then says the offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stream_service.core.clock import lone_stamps
from stream_service.core.frame import EPICS_EPOCH_S, NO_STAMP, NS_PER_S, FrameTime
from stream_service.errors import SourceError
from stream_service.sources.recording import Identities, Recording
from stream_service.sources.tables.entries_of_frames import is_stamped_as_frames
from stream_service.sources.tables.log_time import in_words
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks

HALF_HOUR_S = 1800
"""Time zones differ by whole hours, some by half hours."""
FURTHEST_ZONE_S = 26 * 3600
"""From UTC-12 to UTC+14."""


class Span(NamedTuple):
    """From the first moment to the last one."""

    start_ns: int
    end_ns: int

    def __str__(self) -> str:
        return f"{in_words(self.start_ns)} to {in_words(self.end_ns)}"

    def overlaps(self, other: Span) -> bool:
        return self.start_ns <= other.end_ns and other.start_ns <= self.end_ns

    def holds(self, other: Span) -> bool:
        """True if the other one lies wholly in this one."""
        return self.start_ns <= other.start_ns and other.end_ns <= self.end_ns

    def in_common_ns(self, other: Span) -> int:
        """Length of what lies in both; below 0 without a common moment."""
        return min(self.end_ns, other.end_ns) - max(self.start_ns, other.start_ns)

    def later_by(self, offset_s: int) -> Span:
        return Span(self.start_ns + offset_s * NS_PER_S, self.end_ns + offset_s * NS_PER_S)


def span_of_log(readbacks: RecordedReadbacks, channels: Sequence[str]) -> Span:
    """Stretch of time in which all these channels are known."""
    firsts = [int(readbacks.histories[name].timestamps_ns[0]) for name in channels]
    return Span(max(firsts), readbacks.known_until_ns)


def wrong_stamps(recording: Recording) -> frozenset[tuple[int, int]]:
    """uniqueIds and stamps of single frames that are stamped far out of line; none while the recording grows."""
    if recording.identities is None:
        return frozenset()
    ids, stamps_ns = _stamped(recording.identities)
    lone = lone_stamps(stamps_ns)
    return frozenset(zip(ids[lone].tolist(), stamps_ns[lone].tolist(), strict=True))


def has_entries_of_frames(readbacks: RecordedReadbacks, recording: Recording) -> bool:
    """True if the entries of x or y are stamped as the frames are; False while the recording grows."""
    if recording.identities is None or not recording.has_timestamps:
        return False
    _, stamps_ns = _stamped(recording.identities)
    there = [readbacks.histories[axis].timestamps_ns for axis in "xy" if readbacks.has(axis)]
    return any(is_stamped_as_frames(entries_ns, stamps_ns) for entries_ns in there)


def _stamped(identities: Identities) -> Identities:
    ids, stamps_ns = identities
    return ids[stamps_ns != NO_STAMP], stamps_ns[stamps_ns != NO_STAMP]


def check_clocks(
    recording: Recording,
    readbacks: RecordedReadbacks,
    channels: Sequence[str],
    frame_time: FrameTime,
    exposure_s: float,
    first_stamp_ns: int,
) -> Iterator[str]:
    """Sentences about frames and log that overlap in part. Raises `SourceError` if they cannot be compared at all.

    `channels` are those that are paired by time; `first_stamp_ns` stands for a recording that still grows.
    """
    log = span_of_log(readbacks, channels)
    identities = recording.identities
    stamps_ns = np.array([first_stamp_ns]) if identities is None else _stamped(identities)[1]
    stamps_ns = np.delete(stamps_ns, lone_stamps(stamps_ns))
    if not recording.has_timestamps or not stamps_ns.size:
        raise SourceError(
            f"{readbacks.path} is a log by time, but the frames of {recording.path} have no time stamps: give a log "
            "with unique_id or frame_index"
        )
    if len(stamps_ns) > 1 and np.ptp(stamps_ns) == 0:
        raise SourceError(
            f"{readbacks.path} is a log by time, but all {len(stamps_ns)} frames of {recording.path} have one stamp "
            f"({in_words(int(stamps_ns[0]))}): give a log with unique_id or frame_index"
        )
    frames = Span(
        frame_time.window(int(stamps_ns.min()), exposure_s).mid_ns,
        frame_time.window(int(stamps_ns.max()), exposure_s).mid_ns,
    )
    may_come = identities is None and frames.end_ns < log.start_ns
    causes = list(_causes(frames, log))
    if not frames.overlaps(log) and not may_come:
        apart_s = abs(frames.start_ns - log.start_ns) / NS_PER_S
        raise SourceError(
            f"frames and log are of different times: {recording.path} was taken {frames}, {readbacks.path} goes from "
            f"{log} (UTC). {' '.join(causes) or f'They are {apart_s:.3f} s apart.'} Give the log of this scan, or "
            "add an offset that you know to its stamps: --readbacks-offset-s SECONDS"
        )
    if not log.holds(frames):
        yield (
            f"frames were taken {frames}, and {readbacks.path} goes from {log} (UTC): frames outside of it have no "
            f"position. {' '.join(causes)}".rstrip()
        )


def _causes(frames: Span, log: Span) -> Iterator[str]:
    """Possible causes of a log of another time.

    Where the two have no moment in common, a shift that covers most of the frames is named, too: a log with a line
    after each readout begins after the middle of the first exposure.
    """
    if log.holds(frames):
        return
    for offset_s in _shifts(frames, log, (EPICS_EPOCH_S, -EPICS_EPOCH_S)):
        earlier = "log" if offset_s > 0 else "frames"
        yield (
            f"They are {EPICS_EPOCH_S} s apart, as 1990 is from 1970: the {earlier} may be counted from the EPICS "
            f"epoch; --readbacks-offset-s {offset_s}."
        )
        return
    zones = range(HALF_HOUR_S, FURTHEST_ZONE_S + 1, HALF_HOUR_S)
    if found := _shifts(frames, log, [offset_s for zone_s in zones for offset_s in (zone_s, -zone_s)]):
        hours = ", ".join(f"{offset_s / 3600:+g}" for offset_s in found[:3])
        yield (
            f"With {hours} hours they fit: one of them may be in local time and the other in UTC; "
            f"--readbacks-offset-s {found[0]}."
        )


def _shifts(frames: Span, log: Span, offsets_s: Sequence[int]) -> list[int]:
    """Offsets with which the log holds the frames; else, without a common moment, the one that covers most of them."""
    found = [offset_s for offset_s in offsets_s if log.later_by(offset_s).holds(frames)]
    if found or frames.overlaps(log):
        return found
    best_s = max(offsets_s, key=lambda offset_s: log.later_by(offset_s).in_common_ns(frames))
    return [best_s] if 2 * log.later_by(best_s).in_common_ns(frames) > frames.end_ns - frames.start_ns else []
