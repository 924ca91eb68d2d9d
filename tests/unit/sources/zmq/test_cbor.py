"""Our reader of CBOR reads what cbor2 writes and the examples of the standard; what is hostile takes little memory."""

from __future__ import annotations

import math
import struct
import time
import tracemalloc

import cbor2
import pytest
from cbor_items import plain

from stream_service.errors import SourceError
from stream_service.sources.live.zmq.cbor import decode_cbor


@pytest.mark.parametrize(
    ("message", "item"),
    [  # RFC 8949, appendix A
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("3903e7", -1000),
        ("3bffffffffffffffff", -18446744073709551616),
        ("f90000", 0.0),
        ("f97bff", 65504.0),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
        ("f97c00", math.inf),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("f7", None),
        ("c074323031332d30332d32315432303a30343a30305a", ("tag", 0, "2013-03-21T20:04:00Z")),
        ("d74401020304", ("tag", 23, b"\1\2\3\4")),
        ("62225c", '"\\'),
        ("62c3bc", "ü"),
        ("826161a161626163", ["a", {"b": "c"}]),
        ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
        ("a201020304", {}),  # keys that are no texts
    ],
)
def test_examples_of_the_standard(message, item):
    assert plain(decode_cbor(memoryview(bytes.fromhex(message)))) == item


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("1c", "not defined"),
        ("1f", "indefinite"),
        ("df00", "indefinite"),
        ("5f42010243030405ff", "string of indefinite length"),
        ("7f657374726561646d696e67ff", "string of indefinite length"),
        ("ff", "has not begun"),
        ("81ff", "has not begun"),
        ("c0ff", "has not begun"),
        ("bf6161ff", "has not begun"),
        ("e0", "simple value"),
        ("f820", "simple value"),
        ("fc", "simple value"),
        ("62fffe", "not UTF-8"),
        ("a2616101616102", "a key twice"),
        ("0000", "ends after 1 of 2"),
        ("81" * 40 + "00", "more than 16 within each other"),
        ("c1" * 40 + "00", "more than 16 within each other"),
    ],
)
def test_what_is_no_cbor_or_none_that_stream2_sends_is_refused(message, reason):
    with pytest.raises(SourceError, match=reason):
        decode_cbor(memoryview(bytes.fromhex(message)))


def test_byte_strings_are_views_of_the_message():
    message = cbor2.dumps({"a": bytes(1000)})
    view = decode_cbor(memoryview(message))["a"]
    assert view.obj is message and view.nbytes == 1000


LARGE = 4_000_000
HOSTILE = {
    **{f"{major:02x} of 2^64 bytes": bytes([major | 27]) + b"\xff" * 8 for major in (0x40, 0x60, 0x80, 0xA0)},
    "as many items as are said": struct.pack(">BI", 0x9A, LARGE) + b"\x80" * LARGE,
    "as many entries as are said": struct.pack(">BI", 0xBA, LARGE // 2) + b"\x80" * LARGE,
    "items without an end": b"\x9f" + b"\xa0" * LARGE,
    "arrays in arrays": b"\x81" * LARGE,
    "tags of tags": b"\xc1" * LARGE,
    "arrays of arrays": b"\x9f" * 15 + b"\x80" * LARGE,
    "a long text": struct.pack(">BI", 0x7A, LARGE) + b"a" * LARGE,
    "long texts": b"\x9f" + (struct.pack(">BH", 0x79, 30_000) + b"a" * 29_996 + "😀".encode()) * (LARGE // 30_003),
    "short texts": b"\x9f" + b"\x62\xc3\xbc" * (LARGE // 3),
    "numbers": b"\x9f" + (b"\x1b" + b"\x7f" * 8) * (LARGE // 9),
    "keys": b"\xbf" + b"".join(b"\x68%08d\x00" % number for number in range(LARGE // 50)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_refused_soon_and_take_less_than_a_mebibyte(name):
    message = memoryview(HOSTILE[name])
    began_s = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="its CBOR"):
            decode_cbor(message)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20
    assert time.process_time() - began_s < 5  # 10 ms where nothing else runs
