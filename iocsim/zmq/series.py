"""A series as a control unit tells of it: what stands in the messages of every stream, and the protocol of a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from iocsim.detector.acquisition import Series
from iocsim.detector.ndarray import NDArray

ENDLESS_IMAGES = 1_000_000_000
"""`nimages` of a series that goes on until it is stopped."""
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WAVELENGTH_A_EV = 12398.419843320026
"""h c in Angstrom eV (CODATA 2018, exact)."""

Message = Sequence[Any]
"""The parts of a message: buffers."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A series under the number that the control unit gives it."""

    number: int
    """From 1 since the control unit was started."""
    series: Series

    @property
    def n_images(self) -> int:
        """Images that are asked for."""
        return ENDLESS_IMAGES if self.series.n_images is None else self.series.n_images

    @property
    def armed_ns(self) -> int:
        """When it was armed (Unix ns): whole microseconds, since dates are written with these."""
        return self.series.armed_ns // 1000 * 1000

    @property
    def arm_date(self) -> datetime:
        """The same as a date with the zone of this machine."""
        return date_of(self.armed_ns)

    @property
    def exposure_s(self) -> float:
        """Of one image."""
        return self.series.settings.exposure_s

    @property
    def period_s(self) -> float:
        """Start to start."""
        return max(self.series.settings.period_s, self.exposure_s)

    def start_ns(self, array: NDArray) -> int:
        """When the exposure of an image began, since arming, by the detector's clock.

        Negative if that clock was set back.
        """
        return array.timestamp_ns - array.exposure_ns - self.armed_ns


def date_of(unix_ns: int) -> datetime:
    """The date of a time in whole microseconds, with the zone of this machine."""
    return (UNIX_EPOCH + timedelta(microseconds=unix_ns // 1000)).astimezone()


class SeriesStream(Protocol):
    """The messages of one series."""

    def start(self) -> Message:
        """What announces the series."""
        ...

    def image(self, array: NDArray) -> Message:
        """What brings an image."""
        ...

    def end(self) -> Message:
        """What ends the series."""
        ...


MakeStream = Callable[[Announced], SeriesStream]
