"""What the simulated control unit sends, as the service reads it: frames of any size, series of a restarted one.

That each field is read as it was meant is tested with the dialects.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from announced_series import DTYPES, an_image, announced

from iocsim.zmq.pixel_encodings import ENCODINGS
from iocsim.zmq.series import Announced, Message, SeriesStream
from iocsim.zmq.simplon import SimplonSeries
from iocsim.zmq.stream2 import Stream2Series
from stream_service.core.frame import Frame
from stream_service.core.stream import Series, StreamEvent
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
def test_a_control_unit_that_was_restarted_counts_its_series_anew_and_epochs_go_on(stream: str):
    dialect = both(stream, announced())[1]
    epochs = []
    for number, later_ns in ((7, 0), (8, 10**9), (1, 2 * 10**9)):
        series = replace(announced().series, armed_ns=announced().series.armed_ns + later_ns)
        event = read(dialect, both(stream, Announced(number, series))[0].start())
        assert isinstance(event, Series)
        epochs.append(event.epoch)
    assert epochs == sorted(set(epochs))
