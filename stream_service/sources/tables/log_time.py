"""Times of a log, in any order but that of a clock that was set back; as numbers, or as dates (ISO 8601)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NS_PER_S
from stream_service.errors import SourceError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MOST_OVERLAP_NS = NS_PER_S * 3 // 10
"""By so much entries may be late: archivers and merged logs mix up tenths of a second."""
MOST_RUNS = 8
"""A log that steps back more often than this is one that was never in order, and not a clock that was set."""
ISO_TIME = re.compile(
    r"(?P<date>\d{4}[-/]\d{2}[-/]\d{2})[T ](?P<time>\d{2}:\d{2}:\d{2})(?:[.,](?P<fraction>\d{1,9})\d*)?"
    r"\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
"""As programs write dates: with `T` or a blank, `.` or `,`, to the nanosecond, with or without the time zone."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_order_of_time(timestamps_ns: Ints, values: Floats, where: str) -> tuple[Ints, Floats]:
    """Both in the order of stamps; of entries with one stamp the later line stays later.

    Raises `SourceError` if the clock was set back: then two entries claim the same time, and either may be wrong.
    """
    if (overlap := _overlap(timestamps_ns)) is not None:
        start_ns, end_ns = overlap
        raise SourceError(
            f"{where}: the time stamps step back by {(end_ns - start_ns) / NS_PER_S:.1f} s, and what follows covers a "
            f"time that is logged already ({in_words(start_ns)} to {in_words(end_ns)}): a clock was set, or two logs "
            "were joined; give the part that belongs to the scan"
        )
    order = np.argsort(timestamps_ns, kind="stable")
    return timestamps_ns[order], values[order]


def is_iso_time(text: str) -> bool:
    """True if a cell is a date with a time of day."""
    return iso_time_ns(text) is not None


def iso_time_ns(text: str) -> tuple[int, bool] | None:
    """Nanoseconds of the Unix epoch, and whether the time zone is said; without it, it is UTC. None: no such time."""
    found = ISO_TIME.fullmatch(text.strip())
    if found is None:
        return None
    zone = (found["zone"] or "+00:00").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{found['date'].replace('/', '-')}T{found['time']}{zone}")
    except ValueError:  # the 31st of February
        return None
    since = moment - EPOCH
    fraction_ns = int((found["fraction"] or "").ljust(9, "0"))
    return (since.days * 86_400 + since.seconds) * NS_PER_S + fraction_ns, found["zone"] is not None


def in_words(timestamp_ns: int) -> str:
    """A moment as `2001-09-09 01:46:40.000` UTC; outside the years of a calendar, as seconds."""
    try:
        moment = EPOCH + timedelta(microseconds=timestamp_ns // 1000)
    except OverflowError:
        return f"{timestamp_ns / NS_PER_S:.3f} s"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _overlap(timestamps_ns: Ints) -> tuple[int, int] | None:
    """From and to when stretches of a log that is otherwise in order cover the same time."""
    cuts = np.flatnonzero(np.diff(timestamps_ns) < 0) + 1
    if not 0 < len(cuts) < MOST_RUNS:
        return None
    runs = sorted((int(run[0]), int(run[-1])) for run in np.split(timestamps_ns, cuts))
    for (_, end_ns), (start_ns, next_end_ns) in pairwise(runs):
        if min(end_ns, next_end_ns) - start_ns > MOST_OVERLAP_NS:
            return start_ns, min(end_ns, next_end_ns)
    return None
