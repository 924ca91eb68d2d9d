"""What a control unit sends over Stream2 is read as its specification says."""

from __future__ import annotations

from typing import Any

import cbor2
import numpy as np
import pytest
from cbor2 import CBORTag
from dectris_messages import (
    ARMED_NS,
    REAL_NS,
    START_NS,
    TYPED_TAGS,
    array,
    frame_of,
    framed,
    given,
    ramp,
    received,
    stream2_end,
    stream2_fields,
    stream2_image,
    stream2_start,
)

from stream_service.core.frame import Frame
from stream_service.core.stream import Series, SeriesEnd
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Dialect
from stream_service.sources.live.zmq.stream2 import Stream2

SHAPES = [(1, 1), (1, 7), (3, 5), (37, 113), (101, 103), (129, 257)]
"""A point, fewer pixels than bitshuffle's 8, some that leave a rest of its blocks of 8192 bytes."""


def image_of(pixels: Any) -> list[bytes]:
    return stream2_image(3, data={"threshold_1": pixels})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("compression", "order"), [("", "<"), ("", ">"), ("bslz4", "<"), ("bslz4", ">"), ("lz4", "<")])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_every_compression_and_type_arrives_value_for_value(dtype, compression, order, shape):
    pixels = ramp(shape, dtype)
    frame = frame_of(Stream2(), image_of(array(pixels, compression, order)))
    assert frame.pixels.dtype == pixels.dtype and frame.pixels.dtype.isnative
    np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize(("dtype", "order"), TYPED_TAGS)
def test_every_typed_array_of_the_standard_is_read(dtype, order):
    pixels = ramp((3, 5), dtype)
    frame = frame_of(Stream2(), image_of(array(pixels, "", order)))
    assert frame.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_plain_pixels_are_not_copied():
    message = stream2_image()
    assert np.shares_memory(frame_of(Stream2(), message).pixels, np.frombuffer(message[0], np.uint8))


def test_frame_has_the_id_after_its_number_its_own_time_and_the_time_it_was_exposed():
    dialect = Stream2()
    series, first, second, end = given(dialect, stream2_start(), stream2_image(0), stream2_image(1), stream2_end())
    assert (series, end) == (Series(1, 30), SeriesEnd(1))
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (first.unique_id, second.unique_id) == (1, 2)
    assert first.timestamp_ns == ARMED_NS + START_NS
    assert first.attributes == {"real_time": REAL_NS / 1e9}
    assert (first.epoch, first.received_s, first.waited_s) == (1, 12.5, 0.0)


@pytest.mark.parametrize(
    ("start", "after_ns"),
    [
        ([0, 1], 0),
        ([-7, 10**9], -7),
        ([1, 3], 333_333_333),
        ([2, 3], 666_666_666),
        ([3 * 50_000_000 + 1, 50_000_000], 3_000_000_020),
    ],
)
def test_times_are_exact_and_never_after_the_tick(start, after_ns):
    assert frame_of(Stream2(), stream2_image(start_time=start)).timestamp_ns == ARMED_NS + after_ns


def test_numbers_in_the_user_data_are_attributes_of_the_frame_if_they_are_wanted():
    message = stream2_image(user_data={"posx": 1.5, "posy": -2, "name": "star", "on": True, 7: 1.0, "more": {"a": 1}})
    assert frame_of(Stream2(), message).attributes == {"posx": 1.5, "posy": -2, "real_time": REAL_NS / 1e9}
    assert frame_of(Stream2(wanted={"posx"}), message).attributes == {"posx": 1.5}
    for other in ("text", [1, 2], 7, CBORTag(4, [1, 2]), b"bytes"):
        assert frame_of(Stream2(), stream2_image(user_data=other)).attributes.keys() == {"real_time"}


@pytest.mark.parametrize("real_time", [[1, 0], [-1, 5], [0, 5], [1], 0.5, None])
def test_a_real_time_that_cannot_be_costs_no_frame(real_time):
    assert frame_of(Stream2(), stream2_image(real_time=real_time)).attributes == {}


def test_one_of_several_channels_is_read_if_it_is_named():
    one, two = ramp(), ramp() + np.uint16(1)
    message = stream2_image(3, data={"threshold_1": array(one), "threshold_2": array(two, "bslz4")})
    np.testing.assert_array_equal(frame_of(Stream2("threshold_1"), message).pixels, one)
    np.testing.assert_array_equal(frame_of(Stream2("threshold_2"), message).pixels, two)
    with pytest.raises(
        SourceError, match=r"^frame 4 of series 1: it has the channels 'threshold_1', 'threshold_2': choose one \("
    ):
        Stream2().decode(received(message))
    with pytest.raises(SourceError, match="it has no channel 'threshold_3', only 'threshold_1', 'threshold_2'"):
        Stream2("threshold_3").decode(received(message))


@pytest.mark.parametrize(("changes", "n"), [({"number_of_images": 0}, None), ({"number_of_images": 1 << 40}, None)])
def test_a_number_of_frames_that_cannot_be_is_not_known(changes, n):
    assert given(Stream2(), stream2_start(**changes)) == [Series(1, n)]


def test_begin_has_what_the_latest_start_said_and_an_epoch_after_all_others():
    dialect = Stream2()
    assert (dialect.begin().epoch, dialect.begin().shape) == (1, None)
    given(dialect, stream2_start(41))
    begin = dialect.begin()
    assert (begin.first_unique_id, begin.epoch, begin.shape, begin.exposure_s) == (1, 42, (6, 8), 0.009)
    assert begin.dtype == np.dtype("u2")
    given(dialect, stream2_start(42, "two", image_dtype="uint12", image_size_x=-1, count_time="long"))
    assert (dialect.begin().shape, dialect.begin().dtype, dialect.begin().exposure_s) == (None, None, None)


def _epochs(dialect: Dialect, *messages: list[bytes]) -> list[int | None]:
    return [getattr(event, "epoch", None) for event in given(dialect, *messages)]


def test_series_with_one_number_are_told_apart_by_their_unique_id():
    old, new = (stream2_image(2, 3, identity) for identity in ("old", "new"))
    assert _epochs(
        Stream2(), stream2_start(3, "old"), old, stream2_start(3, "new"), new, old, stream2_end(3, "old")
    ) == [
        *(3, 3),
        *(4, 4),
        *(3, 3),
    ]


def test_the_same_announcement_from_two_endpoints_is_one_series():
    start, end = stream2_start(5), stream2_end(5)
    images = [stream2_image(n, 5) for n in range(3)]
    assert _epochs(Stream2(), start, images[1], start, end, images[0], end, images[2]) == [5] * 7


def test_frames_whose_start_is_lost_are_frames_of_a_new_epoch_with_their_own_times():
    dialect = Stream2()
    given(dialect, stream2_start(4), stream2_end(4))
    lost = frame_of(dialect, stream2_image(0, 1, "lost"))
    assert (lost.epoch, lost.timestamp_ns) == (5, ARMED_NS + START_NS)
    assert _epochs(dialect, stream2_start(1, "lost"), stream2_end(9, "none")) == [5, None]


def test_a_message_may_say_that_it_is_cbor():
    assert frame_of(Stream2(), [b"\xd9\xd9\xf7" + stream2_image()[0]]).unique_id == 1


def test_containers_of_indefinite_length_are_read():
    head, message = b"\xbf", stream2_image()[0]
    assert message[0] == 0xA0 + 10
    assert frame_of(Stream2(), [head + message[1:] + b"\xff"]).unique_id == 1


BYTES = ramp().tobytes()
BSLZ4 = framed(ramp())


def _typed(content: Any, shape: Any = (6, 8), tag: int = 69) -> CBORTag:
    return CBORTag(40, [list(shape), CBORTag(tag, content)])


def _compressed(*content: Any) -> CBORTag:
    return _typed(CBORTag(56500, list(content)))


def _without(name: str) -> list[bytes]:
    fields = stream2_fields(3)
    del fields[name]
    return [cbor2.dumps(fields)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "^a message that is not one of Stream2: it has no parts"),
        ([b""], "not one of Stream2: it has 1 parts and no htype"),
        ([b'{"htype":"dheader-1.0"}', b"{}"], r"'dheader-1\.0', which detector\.frames\.simplon reads"),
        ([cbor2.dumps([1, 2])], "not one of Stream2"),
        ([stream2_image()[0], b""], "a message of Stream2 came in 2 parts, not one"),
        ([cbor2.dumps({"type": "pause"})], "a message of Stream2 of type 'pause', none of start, image, end"),
        ([cbor2.dumps({"type": ["image"]})], "a message of Stream2 of type a list"),
        ([b"\xd9\xd9\xf7\x80"], "a message of Stream2 of type None"),
        ([stream2_image()[0] + b"\0"], r"its CBOR ends after \d+ of \d+ bytes"),
        ([stream2_image()[0][:-1]], "its CBOR breaks off"),
        (stream2_start(-1), "^a message of Stream2 whose series_id is -1"),
        (stream2_image("0"), "^a message of Stream2 whose image_id is '0'"),
        (stream2_image(0, 1 << 40), "^a message of Stream2 whose series_id is 1099511627776"),
        (_without("data"), "^frame 4 of series 1: it has no pixels"),
        (stream2_image(3, data={}), "it has no pixels"),
        (_without("series_date"), "its series_date is None, not a date with a time zone"),
        (stream2_image(3, series_date=CBORTag(0, "2026-11-29T10:00:00")), "'2026-11-29T10:00:00', not a date with a"),
        (stream2_image(3, series_date=CBORTag(0, "29 November")), "its series_date is '29 November'"),
        (stream2_image(3, start_time=[1, 0]), "its start_time is not a number of ticks"),
        (stream2_image(3, start_time=CBORTag(4, [1, 2])), "its start_time is not a number of ticks"),
        (stream2_image(3, start_time=[1 << 63, 1]), "it is stamped"),
        (image_of(BYTES), "not a row-major array"),
        (image_of(CBORTag(1040, [[6, 8], CBORTag(69, BYTES)])), r"not a row-major array \(tag 40\)"),
        (image_of(CBORTag(40, [[2, 3, 8], CBORTag(69, BYTES)])), "not a row-major array"),
        (image_of(_typed(BYTES, (0, 8))), r"its pixels are \(0, 8\) values of tag 69"),
        (image_of(_typed(BYTES, tag=84)), r"its pixels are \(6, 8\) values of tag 84"),
        (image_of(_typed(BYTES, (8, 8))), r"its 96 bytes are not \(8, 8\) uint16 values, 128 bytes"),
        (image_of(_typed(BYTES, (1 << 63, 1 << 63))), "its pixels are"),
        (image_of(_typed([1, 2])), "its pixels are neither bytes nor compressed bytes"),
        (image_of(_compressed("bslz4", 2)), "its pixels are neither bytes nor compressed bytes"),
        (image_of(_compressed("zstd", 2, BSLZ4)), "it is compressed by 'zstd', none of bslz4, lz4"),
        (image_of(_compressed("bslz4", 4, BSLZ4)), "its uint16 values are said to be bitshuffled by 32 bits"),
        (image_of(_compressed("bslz4", 2, BSLZ4[:30])), "18 bytes of bslz4 do not make"),
        (image_of(_compressed("bslz4", 2, b"")), "its 0 bytes are too few for the header"),
        (image_of(_compressed("lz4", 0, b"")), "0 bytes of lz4hdf5 do not make"),
    ],
)
def test_what_is_not_as_specified_is_refused_in_a_sentence_and_the_next_frame_is_read(message, reason):
    dialect = Stream2()
    given(dialect, stream2_start())
    with pytest.raises(SourceError, match=reason) as refusal:
        dialect.decode(received(message))
    assert len(str(refusal.value)) < 300
    assert frame_of(dialect, stream2_image()).epoch == 1
