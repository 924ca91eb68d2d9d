"""Series of a Dectris detector as epochs: which number of a series is which one.

Each arming begins a series with a number of its own, from which its images are counted. The control unit counts the
series, from 1 again when it was restarted; an epoch is a number that only grows. So the epoch of a series is its
number, or one more than the epoch before where the number is not greater. A series that is known keeps its epoch: its
images may come late, and a second endpoint announces it again. Whether a number means a series that is known is told by
what identifies it beside the number: Stream2's `series_unique_id`, the arm date of SIMPLON's header. A number that is
announced without more, after another series has followed its end, or long after it, is another one.

Each run reads the messages in its own time, so that one may be read after messages that were received later: what is
before and after is told by the times of receipt.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_service.core.stream import Begin

MOST_KNOWN = 64
"""Series back from which an image may still come; a step scan may arm several times a second."""

SAME_S = 30.0
"""From the end of a series a second endpoint announces it again sooner, and a control unit takes longer to restart."""
LONGEST_IDENTITY = 64
"""Characters of what identifies a series: a date has 35, an id of Stream2 fewer."""


@dataclass(frozen=True, slots=True)
class SeriesHeader:
    """What a series is announced with; None where it is not said."""

    n_frames: int | None = None
    arm_ns: int | None = None
    """From which its times count, in nanoseconds of the Unix epoch."""
    shape: tuple[int, int] | None = None
    dtype: np.dtype[Any] | None = None
    exposure_s: float | None = None


@dataclass(slots=True, eq=False)
class KnownSeries:
    """A series of which something has come; times are those of the receipt of messages."""

    number: int
    identity: str | None
    """Beside its number; None if that is not known."""
    epoch: int
    began_s: float
    announced_s: float
    """When it was announced last, or began."""
    ended_s: float | None = None
    header: SeriesHeader = SeriesHeader()

    def is_of(self, number: int, identity: str | None) -> bool:
        """True unless it is said to be another one."""
        return self.number == number and (identity is None or self.identity is None or self.identity == identity)


class DectrisSeries:
    """The series of which something has come. May be asked by several threads."""

    def __init__(self) -> None:
        self._known: list[KnownSeries] = []
        """In the order in which they were announced, or began where they were not."""
        self._last_epoch = 0
        self._header = SeriesHeader()
        self._lock = threading.Lock()

    def announced(self, number: int, identity: str | None, header: SeriesHeader, at_s: float | None) -> KnownSeries:
        """The series that a header announces."""
        at_s = at_s or 0.0
        with self._lock:
            known = self._find(number, identity, at_s)
            if known is None or self._is_past(known, identity, at_s):
                known = self._begun(number, identity, at_s)
            known.announced_s = max(known.announced_s, at_s)
            self._put_in_order(known)
            if identity is not None or known.identity is None:
                known.identity, known.header = identity, header
            self._header = self._known[-1].header
            return known

    def of_image(self, number: int, identity: str | None, at_s: float | None) -> KnownSeries:
        """The series of an image; a new one if its header is lost."""
        at_s = at_s or 0.0
        with self._lock:
            return self._find(number, identity, at_s) or self._begun(number, identity, at_s)

    def ended(self, number: int, identity: str | None, at_s: float | None) -> KnownSeries | None:
        """The series that is said to have ended; None if nothing of it has come."""
        at_s = at_s or 0.0
        with self._lock:
            series = self._find(number, identity, at_s)
            if series is not None and series.ended_s is None:
                series.ended_s = at_s
            return series

    def begin(self) -> Begin:
        """Of a series that is not known yet."""
        with self._lock:
            epoch, header = self._last_epoch + 1, self._header
        return Begin(
            first_unique_id=1, epoch=epoch, shape=header.shape, dtype=header.dtype, exposure_s=header.exposure_s
        )

    def _find(self, number: int, identity: str | None, at_s: float) -> KnownSeries | None:
        """The one announced last of those that it may be; one that had not begun then only if there is no other."""
        later = None
        for known in reversed(self._known):
            if known.is_of(number, identity):
                if known.began_s <= at_s:
                    return known
                later = later or known
        return later

    def _is_past(self, known: KnownSeries, identity: str | None, at_s: float) -> bool:
        """True if an announcement without identity is of another series: it, or one before it, comes after the end."""
        ended_s = known.ended_s
        if (identity is not None and known.identity is not None) or ended_s is None or ended_s >= at_s:
            return False
        return at_s - ended_s > SAME_S or any(
            ended_s <= other.began_s <= at_s for other in self._known if other is not known
        )

    def _begun(self, number: int, identity: str | None, at_s: float) -> KnownSeries:
        series = KnownSeries(number, identity, self._epoch(number, at_s), at_s, at_s)
        self._last_epoch = max(self._last_epoch, series.epoch)
        if len(self._known) == MOST_KNOWN:
            del self._known[0]
        self._known.append(series)
        self._put_in_order(series)
        return series

    def _epoch(self, number: int, at_s: float) -> int:
        """Of a new series: between those of the series that began before and after it, as long as there is room."""
        after = min((known.epoch for known in self._known if known.announced_s > at_s), default=None)
        if after is None:
            return max(self._last_epoch + 1, number)
        first = 1 + max((known.epoch for known in self._known if known.announced_s <= at_s), default=0)
        return next((epoch for epoch in (max(first, number), first) if epoch < after), self._last_epoch + 1)

    def _put_in_order(self, series: KnownSeries) -> None:
        self._known.remove(series)
        place = len(self._known)
        while place and self._known[place - 1].announced_s > series.announced_s:
            place -= 1
        self._known.insert(place, series)
