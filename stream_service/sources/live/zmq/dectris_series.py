"""Series of a Dectris detector as epochs: which number of a series is which one.

Each arming begins a series with a number of its own, from which its images are counted. The control unit counts the
series, from 1 again when it was restarted; an epoch is a number that only grows. So the epoch of a series is its
number, or one more than the epoch before where the number is not greater. A series that is known keeps its epoch: its
images may come late, and a second endpoint announces it again. Whether a number means a series that is known is told by
what identifies it beside the number: Stream2's `series_unique_id`, the arm date of SIMPLON's header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_service.core.stream import Begin

MOST_KNOWN = 64
"""Series back from which an image may still come; a step scan may arm several times a second."""

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
    """A series of which something has come."""

    number: int
    identity: str | None
    """Beside its number; None if that is not known."""
    epoch: int
    header: SeriesHeader = SeriesHeader()
    has_ended: bool = False

    def is_of(self, number: int, identity: str | None) -> bool:
        """True unless it is said to be another one."""
        return self.number == number and (identity is None or self.identity is None or self.identity == identity)


class DectrisSeries:
    """The series of which something has come, in this order."""

    def __init__(self) -> None:
        self._known: list[KnownSeries] = []
        """The one that began or was announced last is the last."""
        self._last_epoch = 0
        self._header = SeriesHeader()

    def announced(self, number: int, identity: str | None, header: SeriesHeader) -> KnownSeries:
        """The series that a header announces."""
        known = self._find(number, identity)
        if known is not None and (identity is None or known.identity is None):
            is_past = known.has_ended and known is not self._known[-1]
            known = None if is_past else known  # another one has begun since: the control unit counts anew
        if known is None:
            known = self._begun(number, identity)
        elif known is not self._known[-1]:
            self._known.remove(known)
            self._known.append(known)  # of all that have this number, images are of the one announced last
        if identity is not None or known.identity is None:
            known.identity, known.header = identity, header
            self._header = header
        return known

    def of_image(self, number: int, identity: str | None = None) -> KnownSeries:
        """The series of an image; a new one if its header is lost."""
        return self._find(number, identity) or self._begun(number, identity)

    def ended(self, number: int, identity: str | None = None) -> KnownSeries | None:
        """The series that is said to have ended; None if nothing of it has come."""
        series = self._find(number, identity)
        if series is not None:
            series.has_ended = True
        return series

    def begin(self) -> Begin:
        """Of a series that is not known yet."""
        header = self._header
        return Begin(
            first_unique_id=1,
            epoch=self._last_epoch + 1,
            shape=header.shape,
            dtype=header.dtype,
            exposure_s=header.exposure_s,
        )

    def _find(self, number: int, identity: str | None) -> KnownSeries | None:
        return next((known for known in reversed(self._known) if known.is_of(number, identity)), None)

    def _begun(self, number: int, identity: str | None) -> KnownSeries:
        self._last_epoch = max(self._last_epoch + 1, number)
        self._known.append(KnownSeries(number, identity, self._last_epoch))
        del self._known[:-MOST_KNOWN]
        return self._known[-1]
