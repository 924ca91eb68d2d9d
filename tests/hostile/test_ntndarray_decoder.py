"""Whatever comes over PVA, the decoder gives a frame or a `SourceError`, and of plain frames takes no copy.

What is inside a compressed payload is the matter of `test_codec_payloads.py`.
"""

from __future__ import annotations

import time
import tracemalloc

import corpus
import numpy as np
import payloads
import pytest
from p4p import Value

from iocsim.detector.ntndarray import fresh
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival
from stream_service.errors import SourceError
from stream_service.sources.live.ntndarray import decode_ntndarray, held_bytes, is_empty, is_ntndarray

SLACK_BYTES = 1 << 16
"""For the objects a frame is made of, and an error message."""
LONGEST_MESSAGE = 300


def check_frame(frame: Frame) -> None:
    assert frame.pixels.ndim == 2 and frame.pixels.size > 0
    assert frame.pixels.dtype.kind in "iuf"
    assert isinstance(frame.unique_id, int) and abs(frame.timestamp_ns) < 2**63
    for name, value in frame.attributes.items():
        assert isinstance(name, str)
        assert value is None or isinstance(value, float | int | str)


def decoded(value: Value) -> Frame | None:
    """The frame, or None for a message that the decoder refuses; anything else it does fails the test."""
    is_empty(value), held_bytes(value), is_ntndarray(value)  # what the monitor's callback asks must never raise
    try:
        frame = decode_ntndarray(value)
    except SourceError as error:
        assert 0 < len(str(error)) <= LONGEST_MESSAGE
        return None
    check_frame(frame)
    return frame


@pytest.mark.parametrize("name", corpus.BAD)
def test_bad_message_is_refused_in_a_sentence(name):
    assert decoded(corpus.single(corpus.BAD[name])) is None


@pytest.mark.parametrize("name", corpus.ODD)
def test_odd_message_is_a_frame_with_plain_attributes(name):
    frame = decoded(corpus.single(corpus.ODD[name]))
    assert frame is not None
    np.testing.assert_array_equal(frame.pixels, np.arange(48).reshape(6, 8))


@pytest.mark.parametrize("name", corpus.WRONG_TYPES)
def test_message_of_another_type_is_refused(name):
    assert not is_ntndarray(corpus.WRONG_TYPES[name])
    assert decoded(corpus.WRONG_TYPES[name]) is None


@pytest.mark.parametrize("code", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
def test_every_pixel_type_of_areadetector_arrives_value_for_value(code):
    pixels = np.arange(15).reshape(3, 5).astype(code)
    frame = decode_ntndarray(corpus.good(7, pixels=pixels))
    assert frame.unique_id == 7
    assert frame.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("code", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
@pytest.mark.parametrize("codec", payloads.LOSSLESS)
def test_every_pixel_type_arrives_compressed_value_for_value(codec, code):
    pixels = np.arange(15).reshape(3, 5).astype(code)
    frame = decode_ntndarray(corpus.good(7, pixels=pixels, codec=codec))
    assert (frame.unique_id, frame.timestamp_ns) == (7, corpus.STAMP_S * 10**9 + 7_000_000)
    assert frame.attributes["posx"] == 1.5
    assert frame.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("code", ["i1", "u1"])
def test_jpeg_arrives_as_another_decoder_sees_it(code):
    pixels = np.arange(64 * 48).reshape(64, 48).astype(code)
    frame = decode_ntndarray(corpus.good(1, pixels=pixels, codec="jpeg"))
    np.testing.assert_array_equal(
        frame.pixels, payloads.decode("jpeg", payloads.encode("jpeg", pixels), code, pixels.shape)
    )


def test_every_refusal_names_the_frame_its_codec_and_what_is_wrong_with_it():
    for codec in payloads.CODECS:
        message = corpus.single(corpus.BAD[f"{codec}: half a payload"], unique_id=321)
        with pytest.raises(
            SourceError, match=rf"^frame 321: \d+ bytes of {codec} do not make \(6, 8\) uint\d+ values.*: "
        ):
            decode_ntndarray(message)
    with pytest.raises(SourceError, match=r"^frame 321: its compressedSize is 10000, but it brings 98 uint8 values"):
        decode_ntndarray(corpus.single(corpus.BAD["compressed to more than there is"], unique_id=321))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_line_or_a_point_is_a_frame(shape):
    assert decode_ntndarray(corpus.good(1, pixels=np.zeros(shape, np.uint16))).pixels.shape == shape


def test_stamp_is_that_of_the_field_the_profile_names():
    value = corpus.good(1)
    value["timeStamp"] = {"secondsPastEpoch": corpus.STAMP_S, "nanoseconds": 123_456_789}
    value["dataTimeStamp"] = {"secondsPastEpoch": corpus.STAMP_S - 1, "nanoseconds": 7}
    assert decode_ntndarray(value, "timeStamp").timestamp_ns == corpus.STAMP_S * 10**9 + 123_456_789
    assert decode_ntndarray(value, "dataTimeStamp").timestamp_ns == (corpus.STAMP_S - 1) * 10**9 + 7


def test_update_before_the_first_frame_is_empty_and_no_other_is():
    assert is_empty(fresh())
    assert not is_empty(corpus.good(1))
    for name in ("no value", "no dimensions", "no dimension field", "plain numbers as dimensions"):
        assert not is_empty(corpus.single(corpus.BAD[name]))


def test_message_holds_its_pixels_and_a_little_more():
    small, large = (held_bytes(corpus.good(1, pixels=np.zeros((n, n), np.uint16))) for n in (1, 512))
    assert 0 < small < 10_000
    assert large - small == 2 * (512 * 512 - 1)


def test_mutated_messages_give_frames_or_source_errors_only():
    began_at = time.process_time()
    frames = [decoded(corpus.mutated(seed)) for seed in range(2000)]
    assert time.process_time() - began_at < 10
    assert 200 < sum(frame is not None for frame in frames) < 1800


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_thousand_mutated_messages_give_frames_or_source_errors_only(told):
    counts = {"frames": 0, "refused": 0}
    for seed in range(1_000_000, 1_100_000):
        try:
            counts["refused" if decoded(corpus.mutated(seed)) is None else "frames"] += 1
        except BaseException as error:
            error.add_note(f"message {seed}")
            raise
        told(counts)
    assert counts["frames"] > 10_000


def test_plain_pixels_are_not_copied():
    value = corpus.good(1, pixels=np.zeros((1024, 1024), np.uint16))
    tracemalloc.start()
    frame = decode_ntndarray(value)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert frame.pixels.shape == (1024, 1024)
    assert peak_bytes < SLACK_BYTES


def test_decoder_allocates_no_more_than_the_message_holds():
    for seed in range(300):
        value = corpus.mutated(seed)
        tracemalloc.start()
        decoded(value)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes <= held_bytes(value) + SLACK_BYTES


def test_a_message_cannot_lie_about_the_memory_it_holds():
    for name in ("sizes that lie", "negative sizes"):
        assert held_bytes(corpus.single(corpus.ODD[name])) == held_bytes(corpus.good(1))


def test_good_frames_are_new_frames_of_the_run_after_any_bad_message():
    ledger = Ledger(1, None)
    for n, value in enumerate([corpus.single(change) for change in corpus.BAD.values()], 1):
        assert decoded(value) is None
        frame = decode_ntndarray(corpus.good(n))
        assert ledger.receive(frame.unique_id, frame.timestamp_ns).arrival is Arrival.NEW


@pytest.mark.parametrize("name", ["a negative uniqueId", "the smallest uniqueId", "the largest uniqueId"])
def test_good_frames_are_new_frames_of_the_run_after_an_impossible_id(name):
    ledger = Ledger(1, None)
    message = corpus.single(corpus.ODD[name], seconds=corpus.STAMP_S + 100)
    for n in range(1, 6):
        if n == 3:
            odd = decode_ntndarray(message)
            assert ledger.receive(odd.unique_id, odd.timestamp_ns).arrival is Arrival.UNEXPECTED
        frame = decode_ntndarray(corpus.good(n, seconds=corpus.STAMP_S + (200 if n >= 3 else 0)))
        assert ledger.receive(frame.unique_id, frame.timestamp_ns).ordinal == n - 1


def test_corpus_is_the_same_every_time():
    first, second = ([str(corpus.mutated(seed)) for seed in range(50)] for _ in range(2))
    assert first == second


def test_only_the_attributes_that_are_wanted_are_read() -> None:
    everything = decode_ntndarray(corpus.good(1)).attributes
    assert len(everything) > 3
    some = decode_ntndarray(corpus.good(1), wanted={"energy", "not there"}).attributes
    assert some.keys() - {"ColorMode"} == {"energy"} and some["energy"] == everything["energy"]
