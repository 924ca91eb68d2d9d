"""What iocsim's control unit sends in both dialects is the frame as its detector made it, bit for bit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dectris_messages import ramp, received

from iocsim.detector.ndarray import NDArray
from iocsim.zmq.pixel_encodings import ENCODINGS
from iocsim.zmq.series import Announced
from iocsim.zmq.simplon import DETAILS, SimplonSeries
from iocsim.zmq.stream2 import Stream2Series
from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.stream import Series, SeriesEnd
from stream_service.sources.live.zmq.simplon import Simplon
from stream_service.sources.live.zmq.stream2 import Stream2

ARMED_NS, END_NS, EXPOSURE_NS = 1_795_942_800_123_456_789, 1_795_942_801_123_456_789, 10_000_000
DTYPES = ("u1", "u2", "u4", "f4")


def announced(pixels: np.ndarray[Any, Any]) -> Announced:
    series: Any = SimpleNamespace(
        n_images=5,
        settings=SimpleNamespace(exposure_s=0.01, period_s=0.02),
        energy_eV=700.0,
        armed_ns=ARMED_NS,
        shape=pixels.shape,
        dtype=pixels.dtype,
    )
    return Announced(3, series)


def told(dialect: Any, series: Any, pixels: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    array = NDArray(pixels, 7, END_NS, (), exposure_ns=EXPOSURE_NS, number=1)
    start, image, end = (
        dialect.decode(received([bytes(part) for part in message]))
        for message in (series.start(), series.image(array), series.end())
    )
    return start, image, end


def check(events: tuple[Any, Any, Any], pixels: np.ndarray[Any, Any], timestamp_ns: int, n_frames: int | None) -> None:
    start, frame, end = events
    assert (start, end) == (Series(3, n_frames), SeriesEnd(3))
    assert isinstance(frame, Frame)
    assert (frame.unique_id, frame.epoch, frame.timestamp_ns) == (2, 3, timestamp_ns)
    assert frame.attributes == {"real_time": 0.01}
    assert frame.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_simplon(dtype, detail, encoding):
    pixels = ramp((37, 113), dtype)
    dialect = Simplon()
    is_known = detail != "none"
    events = told(dialect, SimplonSeries(announced(pixels), detail, encoding), pixels)
    check(events, pixels, END_NS - EXPOSURE_NS if is_known else NO_STAMP, 5 if is_known else None)
    assert dialect.begin().shape == (pixels.shape if is_known else None)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_stream2(dtype, encoding):
    pixels = ramp((37, 113), dtype)
    check(told(Stream2(), Stream2Series(announced(pixels), 1, encoding), pixels), pixels, END_NS - EXPOSURE_NS, 5)
    of_two = told(Stream2("threshold_2"), Stream2Series(announced(pixels), 2, encoding), pixels)
    check(of_two, pixels // 2, END_NS - EXPOSURE_NS, 5)
