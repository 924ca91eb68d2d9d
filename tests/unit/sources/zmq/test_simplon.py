"""What a control unit sends over SIMPLON's stream is read as its specification says."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from dectris_messages import (
    ARMED_NS,
    CONFIG,
    REAL_NS,
    START_NS,
    frame_of,
    given,
    ramp,
    received,
    simplon_end,
    simplon_header,
    simplon_image,
)

from stream_service.core.frame import NO_STAMP, Frame
from stream_service.core.stream import Series, SeriesEnd
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Dialect
from stream_service.sources.live.zmq.simplon import Simplon

SHAPES = [(1, 1), (1, 7), (3, 5), (37, 113), (101, 103), (129, 257)]
"""A point, fewer pixels than bitshuffle's 8, some that leave a rest of its blocks of 8192 bytes."""
ENCODINGS = {
    "uint8": ("<", "lz4<", "bs8-lz4<"),
    "uint16": ("<", ">", "lz4<", "lz4>", "bs16-lz4<", "bs16-lz4>"),
    "uint32": ("<", ">", "lz4<", "lz4>", "bs32-lz4<", "bs32-lz4>"),
    "float32": ("<", ">", "lz4<", "bs32-lz4<"),
}


def changed(part: int, message: list[bytes], **fields: Any) -> list[bytes]:
    """The message with other fields in one of its parts; None: without it."""
    content = {**json.loads(message[part]), **fields}
    kept = {name: value for name, value in content.items() if value is not None}
    return [*message[:part], json.dumps(kept).encode(), *message[part + 1 :]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "encoding"), [(dtype, encoding) for dtype, some in ENCODINGS.items() for encoding in some]
)
def test_every_encoding_and_type_arrives_value_for_value(dtype, encoding, shape):
    pixels = ramp(shape, dtype)
    frame = frame_of(Simplon(), simplon_image(0, pixels, encoding))
    assert frame.pixels.dtype == pixels.dtype and frame.pixels.dtype.isnative
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_a_third_size_may_be_one():
    assert frame_of(Simplon(), changed(1, simplon_image(), shape=[8, 6, 1])).pixels.shape == (6, 8)


def test_gaps_and_saturated_pixels_are_left_as_they_are():
    pixels = np.full((6, 8), 65535, np.uint16)
    np.testing.assert_array_equal(frame_of(Simplon(), simplon_image(0, pixels, "bs16-lz4<")).pixels, pixels)


def test_plain_pixels_are_not_copied():
    message = simplon_image()
    assert np.shares_memory(frame_of(Simplon(), message).pixels, np.frombuffer(message[2], np.uint8))


def test_frame_has_the_id_after_its_number_the_time_since_the_arming_and_the_time_it_was_exposed():
    dialect = Simplon()
    series, first, second = given(dialect, simplon_header(), simplon_image(0), simplon_image(1, start_ns=START_NS + 1))
    assert series == Series(1, 30)
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (first.unique_id, second.unique_id) == (1, 2)
    assert (first.timestamp_ns, second.timestamp_ns) == (ARMED_NS + START_NS, ARMED_NS + START_NS + 1)
    assert first.attributes == {"real_time": REAL_NS / 1e9}
    assert (first.epoch, first.received_s, first.waited_s) == (1, 12.5, 0.0)


def test_a_detector_whose_clock_was_set_back_may_begin_before_its_arming():
    dialect = Simplon()
    given(dialect, simplon_header())
    assert frame_of(dialect, simplon_image(start_ns=-7)).timestamp_ns == ARMED_NS - 7


@pytest.mark.parametrize("appendix", [None, b'{"text":"from the user"}'])
@pytest.mark.parametrize("detail", ["none", "basic", "all"])
def test_headers_of_every_detail_announce_the_series(detail, appendix):
    dialect = Simplon()
    series, frame, end = given(dialect, simplon_header(7, detail, appendix), simplon_image(series=7), simplon_end(7))
    assert series == Series(7, None if detail == "none" else 30)
    assert isinstance(frame, Frame) and frame.epoch == 7
    assert frame.timestamp_ns == (NO_STAMP if detail == "none" else ARMED_NS + START_NS)
    assert end == SeriesEnd(7)


def test_numbers_in_the_appendix_are_attributes_of_the_frame_if_they_are_wanted():
    appendix = b'{"posx": 1.5, "posy": -2, "name": "Siemens star", "on": true, "more": {"a": 1}, "a\\ud800": 1}'
    assert frame_of(Simplon(), simplon_image(appendix=appendix)).attributes == {
        "posx": 1.5,
        "posy": -2,
        "real_time": REAL_NS / 1e9,
    }
    assert frame_of(Simplon({"posx", "energy"}), simplon_image(appendix=appendix)).attributes == {"posx": 1.5}


@pytest.mark.parametrize("appendix", [b"", b"sample 7", b"[1, 2]", b"7", b"\xff", b"[" * 10_000])
def test_an_appendix_that_is_no_object_is_none_of_ours(appendix):
    assert frame_of(Simplon(), simplon_image(appendix=appendix)).attributes.keys() == {"real_time"}


@pytest.mark.parametrize(
    ("changes", "n_frames"),
    [
        ({"trigger_mode": "exts", "nimages": 1, "ntrigger": 400}, 400),
        ({"trigger_mode": "inte", "nimages": 50, "ntrigger": 7}, 7),
        ({"trigger_mode": "exte", "nimages": None, "ntrigger": 7}, 7),
        ({"nimages": 0}, None),
        ({"nimages": -1, "ntrigger": -1}, None),
        ({"nimages": "10"}, None),
        ({"nimages": True}, None),
        ({"nimages": 1 << 40}, None),
        ({"ntrigger": None}, None),
    ],
)
def test_number_of_frames_follows_from_images_and_triggers_or_is_not_known(changes, n_frames):
    assert given(Simplon(), simplon_header(config={**CONFIG, **changes})) == [Series(1, n_frames)]


@pytest.mark.parametrize(
    ("date", "zone", "stamp_s"),
    [
        ("2026-07-01T10:00:00Z", None, 1_782_900_000),
        ("2026-07-01T10:00:00.000+0200", None, 1_782_892_800),
        ("2026-07-01 10:00:00.000000000999-10:00", None, 1_782_936_000),
        ("2026-07-01T10:00:00", None, None),
        ("2026-07-01T10:00:00", "Europe/Zurich", 1_782_892_800),
        ("2026-01-01T10:00:00.000", "Europe/Zurich", 1_767_258_000),
        ("2026-07-01T10:00:00Z", "Europe/Zurich", 1_782_900_000),
        ("2026-10-25T02:30:00", "Europe/Zurich", None),  # the clocks show it twice
        ("2026-10-25T02:30:00+01:00", "Europe/Zurich", 1_792_891_800),
        ("2026-13-01T10:00:00Z", None, None),
        ("0001-01-01T00:00:00+14:00", None, None),
        ("1 July", "Europe/Zurich", None),
        ("2" * 10_000, None, None),
        ("", None, None),
        (7, None, None),
    ],
)
def test_frames_have_stamps_only_if_it_is_known_when_the_detector_was_armed(date, zone, stamp_s):
    dialect = Simplon(time_zone=None if zone is None else ZoneInfo(zone))
    series, frame = given(
        dialect, simplon_header(config={**CONFIG, "data_collection_date": date}), simplon_image(start_ns=0)
    )
    assert series == Series(1, 30)
    assert isinstance(frame, Frame)
    assert frame.timestamp_ns == (NO_STAMP if stamp_s is None else stamp_s * 10**9)


def test_begin_has_what_the_latest_header_said_and_an_epoch_after_all_others():
    dialect = Simplon()
    begin = dialect.begin()
    assert (begin.first_unique_id, begin.restart_unique_id, begin.epoch, begin.is_counted) == (1, 1, 1, False)
    assert (begin.shape, begin.dtype, begin.exposure_s) == (None, None, None)
    given(dialect, simplon_header(41))
    begin = dialect.begin()
    assert (begin.epoch, begin.shape, begin.dtype, begin.exposure_s) == (42, (6, 8), np.dtype("u2"), 0.009)
    given(dialect, simplon_header(42, config={"bit_depth_image": 12, "count_time": -1, "x_pixels_in_detector": "8"}))
    assert (dialect.begin().shape, dialect.begin().dtype, dialect.begin().exposure_s) == (None, None, None)


def _armed_at(second: int) -> dict[str, Any]:
    return {**CONFIG, "data_collection_date": f"2026-11-29T10:00:{second:02}Z"}


def _epochs(dialect: Dialect, *messages: list[bytes], from_s: float = 0.0) -> list[int | None]:
    """Of messages that are received one each second."""
    events = [dialect.decode(received(message, from_s + n)) for n, message in enumerate(messages)]
    return [getattr(event, "epoch", None) for event in events]


def test_epochs_are_the_numbers_of_the_series():
    assert _epochs(
        Simplon(),
        *(simplon_header(5), simplon_image(series=5), simplon_end(5)),
        *(simplon_header(8, config=_armed_at(1)), simplon_image(series=8), simplon_end(8)),
    ) == [5, 5, 5, 8, 8, 8]


def test_late_frames_belong_to_their_old_series_and_have_its_time():
    dialect = Simplon()
    given(dialect, simplon_header(5), simplon_image(series=5), simplon_header(6, config=_armed_at(9)))
    late = frame_of(dialect, simplon_image(3, series=5))
    assert (late.epoch, late.timestamp_ns) == (5, ARMED_NS + START_NS)


@pytest.mark.parametrize("first", [9, 1, 2])
def test_a_control_unit_that_restarts_begins_a_new_epoch_even_with_a_number_it_has_used(first):
    messages = [simplon_header(n, config=_armed_at(n)) for n in range(1, first + 1)]
    dialect = Simplon()
    given(dialect, *messages, simplon_image(series=first))
    assert _epochs(
        dialect, simplon_header(1, config=_armed_at(30)), simplon_image(series=1), simplon_end(1)
    ) == [first + 1] * 3  # fmt: skip


def test_a_restart_without_dates_is_seen_once_another_series_has_followed_the_end():
    first, second = (simplon_header(n, "none") for n in (1, 2))
    messages = [first, simplon_image(0), simplon_end(1), second, simplon_end(2)]
    dialect = Simplon()
    assert _epochs(dialect, *messages) == [1, 1, 1, 2, 2]
    assert _epochs(dialect, first, simplon_image(0), simplon_end(1), from_s=5) == [3, 3, 3]
    assert _epochs(dialect, *messages) == [1, 1, 1, 2, 2], "another run, which reads later what was received before"


def test_a_restart_without_dates_is_seen_by_the_time_that_it_takes():
    messages = [simplon_header(1, "none"), simplon_image(0), simplon_end(1)]
    dialect = Simplon()
    assert _epochs(dialect, *messages) == [1, 1, 1]
    assert _epochs(dialect, *messages, from_s=120) == [2, 2, 2]


def test_the_same_announcement_from_two_endpoints_is_one_series():
    header, end = simplon_header(5), simplon_end(5)
    images = [simplon_image(n, series=5) for n in range(4)]
    assert _epochs(Simplon(), header, images[1], header, images[0], end, images[2], header, images[3], end) == [5] * 9


@pytest.mark.parametrize("number", [1, 4, 9])
def test_frames_whose_header_is_lost_are_frames_of_a_new_epoch_without_a_time(number):
    dialect = Simplon()
    given(dialect, simplon_header(4 if number != 4 else 3), simplon_end(4))
    first, second = given(dialect, simplon_image(0, series=number), simplon_image(1, series=number))
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (first.epoch, first.timestamp_ns) == (max(number, 4 if number == 4 else 5), NO_STAMP)
    assert second.epoch == first.epoch
    assert _epochs(dialect, simplon_header(number)) == [first.epoch], "the header came later, from another endpoint"
    assert frame_of(dialect, simplon_image(2, series=number)).timestamp_ns == ARMED_NS + START_NS


def test_the_end_of_a_series_of_which_nothing_came_says_nothing():
    assert given(Simplon(), simplon_end(3)) == [None]


def test_only_some_series_back_are_known():
    dialect = Simplon()
    _epochs(dialect, *(simplon_header(n, config=_armed_at(0)) for n in range(1, 200)))
    images = [simplon_image(series=n) for n in (199, 190, 7)]
    assert _epochs(dialect, *images, from_s=200) == [199, 190, 200]
    late = (simplon_header(3, config=_armed_at(0)), simplon_image(series=3))
    assert _epochs(dialect, *late, from_s=2) == [3, 3], "a run that is far behind the other"


IMAGE, HEADER = simplon_image(3), simplon_header()
BSLZ4 = simplon_image(3, encoding="bs16-lz4<")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "^a message that is not one of SIMPLON: it has no parts"),
        ([b""], "not one of SIMPLON: it has 1 parts and no htype"),
        ([b"\xa2\x64type\x63end"], r"which detector\.frames\.stream2 reads"),
        ([b'{"htype":"array-1.0"}', b""], r"'array-1\.0', which detector\.frames\.adzmq reads"),
        ([b'{"htype":"dimage-2.0"}'], "'dimage-2.0', which nothing here reads"),
        ([b'{"htype":"dimage-1.0"' + b" " * (1 << 17) + b"}"], "more than the 131072 that JSON may have"),
        ([b'{"htype":"dimage-1.0",' + b"[" * 50_000], "first part is not a JSON object"),
        (changed(0, HEADER, series=None), "^a message of SIMPLON whose series is None"),
        (changed(0, HEADER, series=-1), "^a message of SIMPLON whose series is -1, not a whole number from 0"),
        (changed(0, HEADER, series=1 << 60), "^a message of SIMPLON whose series is 1152921504606846976"),
        (changed(0, HEADER, header_detail="most"), "series 1: a dheader of header_detail 'most' came in 2 parts"),
        (HEADER[:1], "series 1: a dheader of header_detail 'basic' came in 1 part"),
        ([HEADER[0], b"no"], "series 1: its configuration is not a JSON object"),
        (changed(0, simplon_end(), series="1"), "^a message of SIMPLON whose series is '1'"),
        (changed(0, IMAGE, frame=None), "^a message of SIMPLON whose frame is None"),
        (changed(0, IMAGE, frame=1.0), "^a message of SIMPLON whose frame is 1.0"),
        (IMAGE[:1], "^frame 4 of series 1: it came in 1 part; its sender must send all 4 as one message"),
        ([*IMAGE, b"", b""], "frame 4 of series 1: it came in 6 parts"),
        (changed(1, IMAGE, shape=[8]), "its shape is not two sizes"),
        (changed(1, IMAGE, shape=[8, 6, 2]), "its shape is not two sizes"),
        (changed(1, IMAGE, shape=[8, 0]), "its shape is not two sizes"),
        (changed(1, IMAGE, shape=[6, 9]), r"its 96 bytes are not \(9, 6\) uint16 values, 108 bytes"),
        (changed(1, IMAGE, shape=[1 << 30, 1 << 30]), "a frame has at most 268435456 bytes, not"),
        (changed(1, IMAGE, shape=[10**400, 1]), "its shape is not two sizes"),
        (changed(1, IMAGE, type="int64"), "its type is 'int64', none of uint8, uint16"),
        (changed(1, IMAGE, type=["uint16"]), "its type is a list"),
        (changed(1, IMAGE, encoding="lz4"), "its encoding is 'lz4', none of <, lz4<, bs8-lz4<"),
        (changed(1, IMAGE, encoding=None), "its encoding is None"),
        (changed(1, IMAGE, size=95), "its size is 95, but it brings 96 bytes"),
        (changed(1, IMAGE, size=None), "its size is None"),
        (changed(3, IMAGE, start_time=None), "its start_time is None"),
        (changed(3, IMAGE, start_time=-(1 << 63)), "its start_time is -9223372036854775808"),
        (changed(1, BSLZ4, encoding="bs32-lz4<"), "its uint16 values are said to be bitshuffled by 32 bits"),
        (changed(1, BSLZ4, type="uint32"), "its uint32 values are said to be bitshuffled by 16 bits"),
        (changed(1, BSLZ4, shape=[8, 5]), "its header of bslz4 says 96 bytes in blocks of 8192, not 80"),
        ([*BSLZ4[:2], BSLZ4[2][:11] + b"\x01" + BSLZ4[2][12:], BSLZ4[3]], "says 96 bytes in blocks of 8193"),
        (changed(1, [*BSLZ4[:2], BSLZ4[2][:9], BSLZ4[3]], size=9), "its 9 bytes are too few for the header"),
        (changed(1, [*BSLZ4[:2], BSLZ4[2][:40], BSLZ4[3]], size=40), "28 bytes of bslz4 do not make"),
        (changed(1, [*IMAGE[:2], b"", IMAGE[3]], size=0, encoding="lz4<"), "0 bytes of lz4 do not make"),
        ([IMAGE[0], b"\xff", *IMAGE[2:]], "its second part is not a JSON object"),
        ([*IMAGE[:3], b"{"], "its fourth part is not a JSON object"),
    ],
)
def test_what_is_not_as_specified_is_refused_in_a_sentence_and_the_next_frame_is_read(message, reason):
    dialect = Simplon()
    given(dialect, simplon_header())
    with pytest.raises(SourceError, match=reason) as refusal:
        dialect.decode(received(message))
    assert len(str(refusal.value)) < 300
    assert frame_of(dialect, simplon_image()).epoch == 1


def test_a_time_that_cannot_be_is_refused():
    dialect = Simplon()
    given(dialect, simplon_header())
    with pytest.raises(SourceError, match=r"frame 1 of series 1: it is stamped \d+ ns after 1970, which cannot be"):
        dialect.decode(received(simplon_image(start_ns=(1 << 62) - 5)))
