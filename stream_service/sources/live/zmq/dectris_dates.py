"""Dates as Dectris' control units write them, to the nanosecond.

Stream2's are those of RFC 3339, with a zone. SIMPLON's `data_collection_date` is the local time of the control unit on
an EIGER X, without a zone (`2016-02-18T14:23:30.123`); a later firmware gives one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from stream_service.core.frame import NS_PER_S

DATE = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
LONGEST_DATE = 64
FIRST_YEAR, LAST_YEAR = "1970", "2115"
"""Later times exceed the limit of a frame's stamp."""
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8)  # all frames of a series have the same one
def unix_ns(date: str, time_zone: tzinfo | None = None) -> int | None:
    """Nanoseconds of the Unix epoch; of a date that names no zone those in `time_zone`, or None: nobody knows,
    nor in the hour that the clocks show twice.

    Raises `ValueError` for what is not a date, or cannot be the time of a frame.
    """
    match = DATE.fullmatch(date) if len(date) <= LONGEST_DATE else None
    if match is None or not FIRST_YEAR <= match[1][:4] <= LAST_YEAR:
        raise ValueError("not a date of RFC 3339, or of another century")
    day, time, fraction, zone = match.groups()
    seconds = datetime.fromisoformat(f"{day}T{time}{(zone or '').upper()}")
    if seconds.tzinfo is None and time_zone is None:
        return None
    if seconds.tzinfo is None:
        seconds = seconds.replace(tzinfo=time_zone)
        if seconds.utcoffset() != seconds.replace(fold=1).utcoffset():
            return None
    fraction_ns = int((fraction or "0").ljust(9, "0")[:9])
    return (seconds - UNIX_EPOCH) // timedelta(seconds=1) * NS_PER_S + fraction_ns
