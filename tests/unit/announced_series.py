"""A series and an image of the simulated control unit, for the tests of its streams."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from iocsim.detector.acquisition import ExposureSettings, Series
from iocsim.detector.ndarray import NDArray
from iocsim.detector.readout import Readout
from iocsim.zmq.series import Announced

ARMED_NS = 1_800_000_000_123_456_789
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ARMED = EPOCH + timedelta(microseconds=ARMED_NS // 1000)
DTYPES = ("uint8", "uint16", "uint32")


def announced(dtype: str = "uint16", n_images: int | None = 10) -> Announced:
    """Series 7, armed at ARMED_NS."""
    readout = Readout.within((5, 8), np.dtype(dtype))
    return Announced(7, Series(n_images, ExposureSettings(0.01, 0.02, readout), 710.0, ARMED_NS))


def an_image(dtype: str = "uint16") -> NDArray:
    """Exposed from 866,544,000 to 876,544,000 ns after whole microseconds of the arming."""
    pixels = np.random.default_rng(1).integers(0, 200, (5, 8)).astype(dtype)
    return NDArray(pixels, 12, 1_800_000_001_000_000_000, (), exposure_ns=10_000_000, number=11)


def ns_since_1970(date: datetime) -> int:
    """Of a date in whole microseconds."""
    return (date - EPOCH) // timedelta(microseconds=1) * 1000


def unshuffled(data: bytes, pixel_bytes: int) -> bytes:
    """Pixels of which data has the first bit of each, then the second bit of each, and so on."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(8 * pixel_bytes, -1)
    return np.packbits(bits.T.ravel(), bitorder="little").tobytes()
