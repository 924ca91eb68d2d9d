"""Messages over ZMQ with defects, made of good messages of any dialect: the same ones for the same seed.

The defects know bytes, and how JSON and CBOR write numbers, texts and containers; they know no dialect. Each message
has one to three, among its parts or within one, half of these in the first.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator, Sequence

Message = Sequence[bytes]
"""The parts of one message."""

NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
TEXT = re.compile(rb'"[^"]*"')
FOREIGN_NUMBERS = (
    *(
        b"0",
        b"-0",
        b"1",
        b"-1",
        b"2",
        b"3",
        b"0.5",
        b"1e999",
        b"-1e999",
        b"1e308",
        b"NaN",
        b"nan",
        b"-inf",
        b"Infinity",
    ),
    *(b"255", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"9223372036854775807", b"9223372036854775808"),
    *(b"-9223372036854775809", b"1" + b"0" * 30, b"9" * 400, b"9" * 5000, b"1e-400", b"0x10", b"1_000", b"\xd9\xa3"),
    *(b"", b"null", b"true", b'""', b'"7"', b"[]", b"{}", b"[1,2]", b'{"a":1}', b"\xf8", b'"', b",", b"}", b"\0"),
)
FOREIGN_TEXTS = (
    *(b'""', b'"', b"null", b"0", b"[]", b"{}", b'["array-1.0"]', b'"uint16"', b'"uint64"', b'"int8"', b'"float64"'),
    *(b'"object"', b'"O8"', b'"V4"', b'"S100"', b'"<"', b'">"', b'"lz4<"', b'"bs16-lz4<"', b'"big"', b'"little"'),
    *(b'"image"', b'"end"', b'"start"', b'"none"', b'"all"', b'"Undefined"', b'"\xff\xfe"', b'"\\ud800"', b'"\\"'),
    *(b'"\x00"', b'"' + b"x" * 3000 + b'"', b'"dimage-1.0"', b'"dseries_end-1.0"', b'"ndattr"', b'"htype"'),
)
CBOR_ITEMS = (
    *(
        b"\x00",
        b"\x20",
        b"\x1b" + b"\xff" * 8,
        b"\x3b" + b"\xff" * 8,
        b"\x1b\x7f" + b"\xff" * 7,
        b"\x1a\xff\xff\xff\xff",
    ),
    *(b"\xf9\x7c\x00", b"\xf9\x7e\x00", b"\xfb\x7f\xef" + b"\xff" * 6, b"\xf6", b"\xf7", b"\xf5", b"\xff", b"\xf8\x20"),
    *(b"\x40", b"\x60", b"\x80", b"\xa0", b"\x5f", b"\x7f", b"\x9f", b"\xbf", b"\x9f\xff", b"\x1c", b"\xfc"),
    *(head + b"\xff" * 8 for head in (b"\x5b", b"\x7b", b"\x9b", b"\xbb", b"\xdb")),
    *(head + b"\x7f\xff\xff\xff" for head in (b"\x5a", b"\x7a", b"\x9a", b"\xba", b"\xda")),
    *(
        b"\xd8\x28",
        b"\xd8\x40",
        b"\xd8\x45",
        b"\xd8\x46",
        b"\xd9\xdc\xb4",
        b"\xc2\x58\x20" + b"\xff" * 32,
        b"\xc0",
        b"\xc1",
    ),
    *(
        b"\xc4\x82\x3b" + b"\xff" * 8 + b"\x01",
        b"\xc5\x82\x1a\x7f\xff\xff\xff\x01",
        b"\xd8\x1c",
        b"\xd8\x1d\x00",
        b"\xd8\x1e",
    ),
    *(b"\xd8\x23\x61(", b"\xd8\x24\x60", b"\xd9\x01\x00\x80", b"\xd9\x01\x02\x80", b"\x63\xff\xfe\xfd"),
)
NESTS = (
    b"[",
    b'{"a":',
    b"\x81",
    b"\x9f",
    b"\xa1\x00",
    b"\xbf\x00",
    b"\xc1",
    b"\xd8\x1c\x81",
    b"\xd8\x28",
    b"((",
    b"\x82\x00",
)
DEPTHS = (10, 100, 1_000, 10_000)
INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
PADDINGS = (b" ", b"0", b"\0", b"[", b'"a",', b'"a":1,', b"\x80")
LONGEST_PADDING = 150_000
"""More than any header has."""

FOREIGN_MESSAGES: tuple[Message, ...] = (
    (
        b'{"htype":"array-1.0","type":"uint16","shape":[2,3],"frame":1,"timeStamp":1e9,"encoding":"","ndattr":{}}',
        bytes(12),
    ),
    (b'{"htype":["array-1.0"],"type":"uint8","shape":[3,2],"frame":1,"ndattr":{"I8":\xf8,"a":nan}}', bytes(6)),
    (b'{"htype":"chunk-1.0","type":"uint8","shape":[3,2],"frame":1}', bytes(6)),
    (b'{"htype":["pilatus-1.0"],"type":"int32","shape":[2,3],"frame":1}', b"###CBF"),
    (
        b'{"htype":"bsr_m-1.1","pulse_id":1,"global_timestamp":{"sec":1,"ns":0},"hash":"0"}',
        *(b'{"htype":"bsr_d-1.1","channels":[{"name":"x"}]}', bytes(8), bytes(16)),
    ),
    (b'{"htype":"dheader-1.0","series":7,"header_detail":"basic"}', b'{"data_collection_date":"2026-11-29T10:00:00"}'),
    (
        b'{"htype":"dimage-1.0","series":7,"frame":0,"hash":""}',
        b'{"htype":"dimage_d-1.0","shape":[3,2],"type":"uint16","encoding":"<","size":12}',
        *(bytes(12), b'{"htype":"dconfig-1.0","start_time":0,"stop_time":9,"real_time":9}'),
    ),
    (b'{"htype":"dseries_end-1.0","series":7}',),
    (b"\xa2\x64type\x65start\x69series_id\x07",),
    (
        b"\xa4\x64type\x65image\x69series_id\x07\x68image_id\x00\x64data"
        b"\xa1\x6bthreshold_1\xd8\x28\x82\x82\x02\x03\xd8\x45\x4c" + bytes(12),
    ),
    (b"\xa2\x64type\x63end\x69series_id\x07",),
)
"""One message or more of every dialect that is known here, and of others."""


def mutations(good: Sequence[Message], seed: int, n: int) -> Iterator[list[bytes]]:
    """n messages with defects, made of the good ones."""
    return (mutated(good, f"{seed} {number}") for number in range(n))


def mutated(good: Sequence[Message], seed: str) -> list[bytes]:
    """The message of this seed."""
    rng = random.Random(seed)
    parts = list(rng.choice(good))
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not parts or rng.random() < 0.2:
            parts = rng.choice(_PART_DEFECTS)(rng, parts, good)
        else:
            number = _some_part(rng, parts)
            parts[number] = rng.choice(_BYTE_DEFECTS)(rng, parts[number])
    return parts


def _some_part(rng: random.Random, parts: Message) -> int:
    """Number of the first part half the time, else of any."""
    return 0 if rng.random() < 0.5 else rng.randrange(len(parts))


def _place(rng: random.Random, part: bytes) -> int:
    """An offset into the part, half the time near its begin."""
    return rng.randrange(min(len(part), 32) + 1 if rng.random() < 0.5 else len(part) + 1)


def _put(part: bytes, start: int, n_instead: int, content: bytes) -> bytes:
    return part[:start] + content + part[start + n_instead :]


def _flipped(rng: random.Random, part: bytes) -> bytes:
    content = bytearray(part)
    for _ in range(rng.choice((1, 1, 2, 8)) if part else 0):
        content[min(_place(rng, part), len(part) - 1)] ^= 1 << rng.randrange(8)
    return bytes(content)


def _cut(rng: random.Random, part: bytes) -> bytes:
    start = rng.randrange(len(part) + 1)
    return rng.choice((part[:start], part[start:], part[:-1], part[1:], b""))


def _without_some(rng: random.Random, part: bytes) -> bytes:
    return _put(part, _place(rng, part), rng.randrange(1, 20), b"")


def _with_more(rng: random.Random, part: bytes) -> bytes:
    start = _place(rng, part)
    more = rng.choice((rng.randbytes(rng.randrange(1, 50)), part[start : start + 100], bytes(1), b"\n"))
    return _put(part, rng.choice((start, len(part))), 0, more)


def _overwritten(rng: random.Random, part: bytes) -> bytes:
    n = rng.choice((1, 2, 4, 8))
    value = rng.choice(INTEGERS) & ((1 << 8 * n) - 1)
    return _put(part, _place(rng, part), n, value.to_bytes(n, rng.choice(("little", "big"))))


def _with_float(rng: random.Random, part: bytes) -> bytes:
    value = rng.choice((0.0, -1.0, 1e300, float("nan"), float("inf")))
    return _put(part, _place(rng, part), 8, struct.pack(rng.choice(("<d", ">d")), value))


def _renumbered(rng: random.Random, part: bytes) -> bytes:
    return _exchanged(rng, part, NUMBER, FOREIGN_NUMBERS)


def _retold(rng: random.Random, part: bytes) -> bytes:
    return _exchanged(rng, part, TEXT, FOREIGN_TEXTS)


def _exchanged(rng: random.Random, part: bytes, what: re.Pattern[bytes], instead: Sequence[bytes]) -> bytes:
    found = list(what.finditer(part[:4096]))
    if not found:
        return _flipped(rng, part)
    start, end = rng.choice(found).span()
    return _put(part, start, end - start, rng.choice(instead))


def _with_cbor_item(rng: random.Random, part: bytes) -> bytes:
    item = rng.choice(CBOR_ITEMS)
    return _put(part, _place(rng, part), rng.choice((0, 1, len(item))), item)


def _nested(rng: random.Random, part: bytes) -> bytes:
    found = list(NUMBER.finditer(part[:4096]))
    start, end = rng.choice(found).span() if found and rng.random() < 0.5 else (_place(rng, part),) * 2
    return _put(part, start, end - start, rng.choice(NESTS) * rng.choice(DEPTHS))


def _padded(rng: random.Random, part: bytes) -> bytes:
    if rng.random() < 0.8:  # long parts take long
        return _with_more(rng, part)
    padding = rng.choice(PADDINGS)
    return _put(part, _place(rng, part), 0, padding * (rng.randrange(LONGEST_PADDING) // len(padding)))


_BYTE_DEFECTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flipped, _cut, _without_some, _with_more, _overwritten, _with_float, _renumbered, _renumbered, _renumbered),
    *(_retold, _retold, _with_cbor_item, _with_cbor_item, _nested, _padded),
)


def _swapped(rng: random.Random, parts: list[bytes], _: Sequence[Message]) -> list[bytes]:
    return rng.sample(parts, len(parts))


def _without_one(rng: random.Random, parts: list[bytes], _: Sequence[Message]) -> list[bytes]:
    number = rng.randrange(len(parts)) if parts else 0
    return parts[:number] + parts[number + 1 :]


def _with_one_more(rng: random.Random, parts: list[bytes], good: Sequence[Message]) -> list[bytes]:
    number = rng.randrange(len(parts) + 1)
    others = (b"", rng.randbytes(20), *parts, *rng.choice(good), *rng.choice(FOREIGN_MESSAGES))
    return [*parts[:number], rng.choice(others), *parts[number:]]


def _with_another(rng: random.Random, parts: list[bytes], good: Sequence[Message]) -> list[bytes]:
    if not parts:
        return parts
    others = (b"", *rng.choice(good), *rng.choice(FOREIGN_MESSAGES))
    number = rng.randrange(len(parts))
    return [*parts[:number], rng.choice(others), *parts[number + 1 :]]


def _of_another(rng: random.Random, _: list[bytes], __: Sequence[Message]) -> list[bytes]:
    return list(rng.choice(FOREIGN_MESSAGES))


def _of_many_parts(rng: random.Random, parts: list[bytes], _: Sequence[Message]) -> list[bytes]:
    return rng.choice(
        (
            parts * 50,
            [b""] * 100,
            [b"".join(parts)],
            [],
            [b""],
            [bytes([byte]) for byte in parts[0][:50]] if parts else [],
        )
    )


_PART_DEFECTS: tuple[Callable[[random.Random, list[bytes], Sequence[Message]], list[bytes]], ...] = (
    *(_swapped, _without_one, _with_one_more, _with_another, _of_another, _of_many_parts),
)
