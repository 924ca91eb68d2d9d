"""Times as people at the beamline read them."""

from __future__ import annotations

from datetime import datetime


def local_time(time_ns: int) -> str:
    """`2026-11-30 14:03:05.120 +0100` for nanoseconds since 1970 UTC; empty for 0, which is no time."""
    if not time_ns:
        return ""
    try:
        moment = datetime.fromtimestamp(time_ns // 1_000_000 / 1000).astimezone()
    except (OverflowError, ValueError, OSError):  # a detector whose clock is out of its mind
        return ""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%z}"
