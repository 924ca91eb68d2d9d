"""What the simulated control unit sends, as the service reads it: pixels bit for bit, ids, times and series."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from announced_series import DTYPES, an_image, announced, ns_since_1970

from iocsim.zmq.pixel_encodings import ENCODINGS
from iocsim.zmq.series import Announced, Message, SeriesStream
from iocsim.zmq.simplon import DETAILS, SimplonSeries
from iocsim.zmq.stream2 import Stream2Series
from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.stream import Series, SeriesEnd, StreamEvent
from stream_service.sources.live.zmq.dialect import Dialect, Received
from stream_service.sources.live.zmq.simplon import Simplon
from stream_service.sources.live.zmq.stream2 import Stream2

SHAPES = ((5, 8), (3, 7), (96, 130))
"""Less than a block of bit-shuffled pixels, with a rest that is not shuffled, and several blocks with a rest."""
STREAMS = ("simplon", "stream2")


def both(stream: str, of: Announced, encoding: Any = "none") -> tuple[SeriesStream, Dialect]:
    if stream == "simplon":
        return SimplonSeries(of, "basic", encoding), Simplon()
    return Stream2Series(of, 1, encoding), Stream2()


def read(dialect: Dialect, message: Message) -> StreamEvent | None:
    return dialect.decode(Received([memoryview(part).cast("B") for part in message]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("stream", STREAMS)
def test_pixels_come_back_bit_for_bit(stream: str, encoding: str, dtype: str, shape: tuple[int, int]):
    rng = np.random.default_rng(2)
    of = announced(dtype)
    sender, dialect = both(stream, of, encoding)
    for highest in (3, np.iinfo(dtype).max):  # what can be compressed, and what cannot
        pixels = rng.integers(0, highest, shape, dtype, endpoint=True)
        frame = read(dialect, sender.image(replace(an_image(), pixels=pixels)))
        assert isinstance(frame, Frame)
        assert frame.pixels.dtype == dtype
        np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_series_comes_back_with_its_ids_times_and_length(stream: str):
    of, array = announced(n_images=3), an_image()
    sender, dialect = both(stream, of)
    series = read(dialect, sender.start())
    frame = read(dialect, sender.image(array))
    end = read(dialect, sender.end())
    assert isinstance(series, Series) and isinstance(frame, Frame) and isinstance(end, SeriesEnd)
    assert (series.n_frames, series.epoch) == (3, frame.epoch)
    assert end.epoch == frame.epoch
    assert frame.unique_id == array.number + 1
    assert frame.timestamp_ns == array.timestamp_ns - array.exposure_ns
    assert frame.timestamp_ns > ns_since_1970(of.arm_date)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_control_unit_that_was_restarted_counts_its_series_anew_and_epochs_go_on(stream: str):
    dialect = both(stream, announced())[1]
    epochs = []
    for number, later_ns in ((7, 0), (8, 10**9), (1, 2 * 10**9)):
        series = replace(announced().series, armed_ns=announced().series.armed_ns + later_ns)
        event = read(dialect, both(stream, Announced(number, series))[0].start())
        assert isinstance(event, Series)
        epochs.append(event.epoch)
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("detail", DETAILS)
def test_only_a_header_with_a_configuration_gives_frames_a_time(detail: Any):
    sender, dialect = SimplonSeries(announced(), detail, "none"), Simplon()
    assert isinstance(read(dialect, sender.start()), Series)
    frame = read(dialect, sender.image(an_image()))
    assert isinstance(frame, Frame)
    assert (frame.timestamp_ns == NO_STAMP) == (detail == "none")


def test_of_two_thresholds_the_one_that_is_chosen_comes_back():
    sender = Stream2Series(announced(), 2, "bslz4")
    frame = read(Stream2("threshold_2"), sender.image(an_image()))
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.pixels, an_image().pixels // 2)
