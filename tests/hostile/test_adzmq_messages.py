"""Whatever comes as a message of ADZMQ, it is a frame or a `SourceError`; headers that are no JSON are read."""

from __future__ import annotations

import contextlib
import math
import time
import tracemalloc

import pytest
from zmq_survival import Counts, assert_survives, received

from stream_service.errors import SourceError
from stream_service.sources.live.zmq.adzmq import Adzmq
from stream_service.sources.live.zmq.adzmq_header import MOST_HEADER_BYTES, read_header

BEFORE = b'{"htype":"array-1.0", "type":"uint16", "shape":[2,3], "frame":7, "timeStamp":1164065724.5, "encoding":"", '
GOOD = [
    [BEFORE + b'"ndattr":{"ColorMode":0,"posx":1.5,"sample":"star"}}', bytes(range(12))],
    [
        BEFORE + b'"ndattr":{"ColorMode":0,"I8":\xf8,"U8":","posx":nan,"text":"a "b", c","posy":-2}}',
        bytes(range(12, 24)),
    ],
    [b'{"htype":["array-1.0"],"type":"uint8","shape":[3,2],"frame":8,"endianess":"big","ndattr":{}}', bytes(range(6))],
]


def attributes_of(written: bytes) -> dict[str, object]:
    return read_header(memoryview(BEFORE + b'"ndattr":{' + written + b"}}"))["ndattr"]


@pytest.mark.parametrize(
    ("written", "attributes"),
    [
        (b'"a":\xf8,"b":1', {"a": None, "b": 1}),
        (b'"a":\x00,"b":1', {"a": 0, "b": 1}),
        (b'"a":A,"b":1', {"a": 65, "b": 1}),
        (b'"a":5,"b":1', {"a": 5, "b": 1}),
        (b'"a":\n,"b": ,"c":\x7f', {"a": 10, "b": 32, "c": 127}),
        (b'"a":","b":1', {"a": 34, "b": 1}),
        (b'"a":,,"b":1', {"a": 44, "b": 1}),
        (b'"a":},"b":{,"c":[', {"a": 125, "b": 123, "c": 91}),
        (b'"b":1,"a":"', {"b": 1, "a": 34}),
        (b'"b":1,"a":,', {"b": 1, "a": 44}),
        (b'"b":1,"a":}', {"b": 1, "a": 125}),
        (b'"a":"say "yes", or no","b":1', {"a": 'say "yes", or no', "b": 1}),
        (b'"a":""","b":1', {"a": '"', "b": 1}),
        (b'"a":"","b":"x",","c":"}}"', {"a": "", "b": 'x",', "c": "}}"}),
        (b'"a":"C:\\temp\\new","b":1', {"a": "C:\\temp\\new", "b": 1}),
        (b'"a":"C:\\data\\","b":1', {"a": "C:\\data\\", "b": 1}),
        (b'"a":"line\nand\ttab\x00","b":1', {"a": "line\nand\ttab\x00", "b": 1}),
        (b'"a":"\xb5m","b":\xff', {"a": "\ufffdm", "b": None}),
        (b'"a":"\xc2\xb5m","b":-inf', {"a": "\u00b5m", "b": -math.inf}),
        (b'"a":inf,"b":0.29999999999999999,"c":-9223372036854775808', {"a": math.inf, "b": 0.3, "c": -(2**63)}),
        (b'"a":"x",,"b":1,,"c":nonsense', {"a": "x", "b": 1, "c": None}),
        (b',"a":"x",', {"a": "x"}),
        (b'"a":1e999,"b":\xf8', {"a": math.inf, "b": None}),
        (b'"a":' + b"[" * 5000 + b',"b":1', {"a": None, "b": 1}),
        (b'"a": "other \\"sender\\"", "b": -nan(ind), "c": 2', {"a": 'other \\"sender\\"', "b": math.nan, "c": 2}),
    ],
)
def test_attributes_are_what_was_written_whatever_they_are(written, attributes):
    assert repr(attributes_of(written)) == repr(attributes)


@pytest.mark.parametrize("text", [b"nan", b"-nan"])
def test_no_number_is_no_number(text):
    value = attributes_of(b'"a":' + text + b',"b":1')["a"]
    assert isinstance(value, float) and math.isnan(value)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"7",
        BEFORE[:-2],
        BEFORE + b'"ndattr":{"a":nan',
        BEFORE + b'"ndattr":{"a":"no end}}',
        BEFORE + b'"ndattr":{nan}}',
        BEFORE + b'"ndattr":}}',
        BEFORE + b'"other":nan, "ndattr":{"a":nan}}',
        b"[" * MOST_HEADER_BYTES,
        b'{"htype":"array-1.0","shape":' + b"[" * 5000 + b"]" * 5000 + b',"ndattr":{}}',
        BEFORE + b'"ndattr":{"a":' + b"9" * MOST_HEADER_BYTES + b"}}",
    ],
)
def test_damaged_header_is_refused(header):
    with pytest.raises(SourceError):
        Adzmq().decode(received([header, bytes(12)]))


@pytest.mark.parametrize(
    "filling", [b'"a":"x,', b'"a":"', b',"', b'"', b",", b'"a":\xf8,', b'"a":"b",', b"\\", b' "a" :', b"    ,", b"{"]
)
def test_header_takes_a_time_in_proportion_to_its_length(filling):
    n = (MOST_HEADER_BYTES - len(BEFORE) - 100) // len(filling)
    began_s = time.process_time()
    with contextlib.suppress(SourceError):
        Adzmq().decode(received([BEFORE + b'"ndattr":{"n":nan,"t":"' + filling * n + b"}}", bytes(12)]))
    assert time.process_time() - began_s < 2  # some ten ms; in proportion to the square it would be tens of seconds


@pytest.mark.parametrize("filling", [b"[{}],", b'{"":{}},', b"[[]],", b"1e9,", '"\U0001f600",'.encode()])
@pytest.mark.parametrize("value", [b"1", b"nan"])
def test_header_takes_no_more_memory_than_its_limit_allows(filling, value):
    before, after = BEFORE + b'"list":[', b'0],"ndattr":{"a":' + value + b"}}"
    header = before + filling * ((MOST_HEADER_BYTES - len(before + after)) // len(filling)) + after
    tracemalloc.start()
    read_header(memoryview(header))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3 << 20


def test_mutated_messages_give_frames_or_source_errors_only():
    began_s = time.process_time()
    counts = assert_survives(Adzmq, GOOD, 1, 2000)
    assert time.process_time() - began_s < 30
    _assert_of_both_kinds(counts)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_thousand_mutated_messages_give_frames_or_source_errors_only(told):
    _assert_of_both_kinds(assert_survives(Adzmq, GOOD, 1_000_000, 100_000, tell=told))


def _assert_of_both_kinds(counts: Counts) -> None:
    n = sum(counts.values())
    assert 0.1 * n < counts["events"] < 0.9 * n
    assert counts["nothing"] == 0
