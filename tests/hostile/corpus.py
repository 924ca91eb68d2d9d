"""Messages that break the contract of a frame source: one corpus, for the decoder and for a whole run.

Every message is a `Value` as p4p would deliver it, in ADCore's own type or in one that is not quite it. `BAD` and `ODD`
name the single mistakes; `mutated` combines them at random, the same ones for the same seed. What is wrong inside a
compressed payload is the matter of `compressed_corpus`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import payloads
from p4p import Type, Value

from iocsim.detector.ntndarray import NTNDARRAY, SCALAR_TYPE, UNION_FIELD

STAMP_S = 1_795_218_868
"""Second of the Unix epoch in which frame 0 was exposed."""
OTHER_STRUCTURE = Value(Type([("value", "d"), ("egu", "s")]), {"value": 1.0, "egu": "um"})


@dataclass
class Message:
    """Content of a message; the defects change it, `build` makes it."""

    unique_id: Any = 1
    pixels: Any = field(default_factory=lambda: np.arange(48, dtype=np.uint16))
    member: str = ""
    """Union member, by default the one of the pixels' type."""
    sizes: list[Any] = field(default_factory=lambda: [8, 6])
    """x first."""
    codec: str = ""
    parameters: Any = ("i", SCALAR_TYPE["u2"])
    compressed_bytes: int | None = None
    """What the message says of it; by default the truth. So too the next."""
    uncompressed_bytes: int | None = None
    attributes: list[tuple[str, Any]] = field(
        default_factory=lambda: [("ColorMode", ("i", 0)), ("posx", 1.5), ("posy", -2.5), ("energy", 700.0)]
    )
    seconds: Any = STAMP_S
    nanoseconds: Any = 0
    retyped: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Fields of another type, with their content; no type: the field is not there at all."""

    def build(self) -> Value:
        type_ = _type_with(self.retyped) if self.retyped else NTNDARRAY
        stamp = {"secondsPastEpoch": self.seconds, "nanoseconds": self.nanoseconds, "userTag": 0}
        content: dict[str, Any] = {
            "codec": {"name": self.codec, "parameters": self.parameters},
            "compressedSize": self._n_bytes if self.compressed_bytes is None else self.compressed_bytes,
            "uncompressedSize": self._n_bytes if self.uncompressed_bytes is None else self.uncompressed_bytes,
            "dimension": [
                {"size": size, "offset": 0, "fullSize": size, "binning": 1, "reverse": False} for size in self.sizes
            ],
            "uniqueId": self.unique_id,
            "dataTimeStamp": stamp,
            "attribute": [
                {"name": name, "value": value, "descriptor": "", "sourceType": 2, "source": name}
                for name, value in self.attributes
            ],
            "timeStamp": stamp,
        }
        if self.pixels is not None:
            content["value"] = (self.member or UNION_FIELD[self.pixels.dtype.str[1:]], self.pixels)
        content |= {name: changed for name, (_, changed) in self.retyped.items()}
        return Value(type_, {name: value for name, value in content.items() if value is not None})

    @property
    def _n_bytes(self) -> int:
        return 0 if self.pixels is None else self.pixels.nbytes

    def compress(self, codec: str, frame: np.ndarray[Any, Any], payload: np.ndarray[Any, Any] | None = None) -> None:
        """Make it the message of a compressed frame, with its own payload or another one."""
        self.codec, self.sizes = codec, list(reversed(frame.shape))
        self.pixels = payloads.encode(codec, frame) if payload is None else payload
        self.parameters = ("i", SCALAR_TYPE[frame.dtype.str[1:]])
        self.uncompressed_bytes = frame.nbytes


def good(
    unique_id: int, *, seconds: float | None = None, pixels: np.ndarray[Any, Any] | None = None, codec: str = ""
) -> Value:
    """A frame as it should be, 1 ms after the one before."""
    time_ns = int((STAMP_S if seconds is None else seconds) * 1_000_000_000) + unique_id * 1_000_000
    message = Message(unique_id=unique_id, seconds=time_ns // 1_000_000_000, nanoseconds=time_ns % 1_000_000_000)
    if pixels is not None:
        message.pixels, message.sizes = pixels.reshape(-1), list(reversed(pixels.shape))
    if codec:
        message.compress(codec, _frame_for(codec) if pixels is None else pixels)
    return message.build()


def _frame_for(codec: str) -> np.ndarray[Any, Any]:
    return np.arange(48, dtype=np.uint8 if codec == "jpeg" else np.uint16).reshape(6, 8)


def _type_with(retyped: dict[str, tuple[Any, Any]]) -> Type:
    types = {name: NTNDARRAY[name] for name in NTNDARRAY.keys()}  # noqa: SIM118  (a p4p Type is no mapping)
    types |= {name: type_ for name, (type_, _) in retyped.items()}
    return Type([(name, type_) for name, type_ in types.items() if type_ is not None], id="epics:nt/NTNDArray:1.0")


def _attribute(name: str, value: Any) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        message.attributes = [entry for entry in message.attributes if entry[0] != name] + [(name, value)]

    return change


def _set(**changes: Any) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        for name, value in changes.items():
            setattr(message, name, value)

    return change


def _retype(name: str, type_: Any, content: Any = None) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        message.retyped[name] = (type_, content)

    return change


def _color(message: Message) -> None:
    message.pixels, message.sizes = np.zeros(3 * 48, np.uint8), [3, 8, 6]
    _attribute("ColorMode", ("i", 2))(message)


def _truncated(message: Message) -> None:
    if message.pixels is not None:
        message.pixels = message.pixels[: len(message.pixels) // 2]


def _too_long(message: Message) -> None:
    if message.pixels is not None:
        message.pixels = np.concatenate([message.pixels, message.pixels[:1]])


def _duplicated_names(message: Message) -> None:
    message.attributes = message.attributes * 2 + [("posx", float("nan"))]


def _compressed(codec: str, *mistakes: Callable[[Message], None], **changes: Any) -> Callable[[Message], None]:
    """A message of a good compressed frame but for the mistakes and changes."""

    def change(message: Message) -> None:
        message.compress(codec, _frame_for(codec))
        for mistake in (*mistakes, _set(**changes)):
            mistake(message)

    return change


def _payload(change_payload: Callable[[Any], Any]) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        message.pixels = change_payload(message.pixels)

    return change


def _followed_by_zeros(message: Message) -> None:
    assert message.pixels is not None
    message.compressed_bytes = message.pixels.size
    message.pixels = np.concatenate((message.pixels, np.zeros(100, np.uint8)))


BAD: dict[str, Callable[[Message], None]] = {
    "truncated": _truncated,
    "one value too many": _too_long,
    "no value": _set(pixels=None),
    "empty array": _set(pixels=np.zeros(0, np.uint16)),
    "booleans": _set(pixels=np.zeros(48, np.uint8), member="booleanValue"),
    "no dimensions": _set(sizes=[]),
    "one dimension": _set(sizes=[48]),
    "three dimensions": _set(sizes=[2, 4, 6]),
    "a hundred dimensions": _set(sizes=[1] * 100),
    "a zero dimension": _set(sizes=[0, 6]),
    "a negative dimension": _set(sizes=[-8, 6]),
    "two negative dimensions": _set(sizes=[-8, -6]),
    "a dimension larger than memory": _set(sizes=[2**31 - 1, 2**31 - 1]),
    "colour": _color,
    "ColorMode says RGB": _attribute("ColorMode", ("i", 2)),
    "ColorMode is a text": _attribute("ColorMode", "Mono"),
    "compressed": _set(codec="bslz4", pixels=np.zeros(20, np.uint8)),
    "a codec nobody knows": _set(codec="\u2620" * 1000),
    "stamped after the end of time": _set(seconds=2**63 - 1),
    "stamped before all time": _set(seconds=-(2**63)),
    "pixels in another place": _retype("value", None),
    "a text for pixels": _retype("value", "s", "pixels"),
    "a structure for pixels": _retype("value", ("S", "thing", [("a", "d")]), {"a": 1.0}),
    "texts for pixels": _retype("value", "as", ["a", "b"]),
    "one number for pixels": _retype("value", "d", 48.0),
    "no dimension field": _retype("dimension", None),
    "plain numbers as dimensions": _retype("dimension", "ai", [8, 6]),
    "one number as dimension": _retype("dimension", "i", 48),
    "dimensions without size": _retype("dimension", ("aS", "dimension_t", [("offset", "i")]), [{"offset": 8}] * 2),
    "no uniqueId": _retype("uniqueId", None),
    "a text for uniqueId": _retype("uniqueId", "s", "first"),
    "no number for uniqueId": _retype("uniqueId", "d", float("inf")),
    "a structure for uniqueId": _retype("uniqueId", ("S", "thing", [("a", "d")]), {"a": 1.0}),
    "no codec": _retype("codec", None),
    "a text for codec": _retype("codec", "s", "bslz4"),
    "no attributes": _retype("attribute", None),
    "texts for attributes": _retype("attribute", "as", ["posx"]),
    "attributes without values": _retype("attribute", ("aS", "a", [("name", "s")]), [{"name": "posx"}]),
    "no timeStamp": _retype("timeStamp", None),
    "a number for timeStamp": _retype("timeStamp", "d", float(STAMP_S)),
    "compressed, of pixels that nobody knows": _compressed("zlib", parameters=("i", 11)),
    "compressed, of pixels described in words": _compressed("zlib", parameters="uint16"),
    "compressed, of pixels not described": _compressed("zlib", parameters=None),
    "compressed, of wider pixels": _compressed("bslz4", parameters=("i", SCALAR_TYPE["u4"])),
    "compressed, of wider pixels throughout": _compressed(
        "bslz4", parameters=("i", SCALAR_TYPE["u4"]), uncompressed_bytes=192
    ),
    "compressed to more than there is": _compressed("lz4", compressed_bytes=10_000),
    "compressed to nothing": _compressed("lz4", compressed_bytes=0),
    "compressed to less than nothing": _compressed("lz4", compressed_bytes=-1),
    "compressed from more than there was": _compressed("lz4", uncompressed_bytes=97),
    "compressed from less than nothing": _compressed("lz4", uncompressed_bytes=-96),
    "compressed, with negative dimensions": _compressed("lz4", sizes=[-8, -6]),
    "compressed, larger than memory": _compressed(
        "blosc", sizes=[2**31 - 1, 2**31 - 1], uncompressed_bytes=2 * (2**31 - 1) ** 2
    ),
    "compressed, larger than its payload can hold": _compressed("zlib", sizes=[4096, 4096], uncompressed_bytes=2**25),
    "compressed into wide numbers": _compressed("lz4", pixels=np.zeros(20, np.uint16)),
    "compressed into booleans": _compressed("lz4", member="booleanValue"),
    "compressed twice": _compressed("zlib", pixels=payloads.encode("zlib", payloads.encode("zlib", _frame_for("lz4")))),
    "compressed, without sizes": _compressed("lz4", _retype("compressedSize", None)),
    "compressed, with a text for its size": _compressed("lz4", _retype("uncompressedSize", "s", "large")),
    **{
        f"{codec}: {name}": _compressed(codec, _payload(change))
        for codec in payloads.CODECS
        for name, change in {
            "half a payload": lambda payload: payload[: payload.size // 2],
            "one byte of payload": lambda payload: payload[:1],
            "no payload": lambda payload: payload[:0],
            "payload of zeros": np.zeros_like,
        }.items()
    },
}
"""Mistakes of which each makes a message unusable as a frame."""

ODD: dict[str, Callable[[Message], None]] = {
    "sizes that lie": _set(compressed_bytes=2**62, uncompressed_bytes=2**62),
    "negative sizes": _set(compressed_bytes=-(2**62), uncompressed_bytes=-(2**62)),
    **{f"compressed by {codec}": _compressed(codec) for codec in payloads.LOSSLESS},
    "compressed into signed bytes": _compressed("bslz4", member="byteValue"),
    "compressed into the beginning of a buffer": _compressed("lz4", _followed_by_zeros),
    "no attributes at all": _set(attributes=[]),
    "duplicate attribute names": _duplicated_names,
    "an attribute without a name": _attribute("", 1.0),
    "an attribute that is not connected": _attribute("posx", None),
    "a NaN attribute": _attribute("posx", float("nan")),
    "an infinite attribute": _attribute("posx", float("-inf")),
    "a text attribute": _attribute("posx", "Undefined"),
    "a boolean attribute": _attribute("posx", ("?", True)),
    "an array attribute": _attribute("posx", np.zeros(3)),
    "an array of one attribute": _attribute("posx", np.ones(1)),
    "texts as attribute": _attribute("posx", ["a", "b"]),
    "a structure as attribute": _attribute("posx", OTHER_STRUCTURE),
    "ColorMode is an array": _attribute("ColorMode", np.zeros(2, np.int32)),
    "ColorMode is not connected": _attribute("ColorMode", None),
    "a very long attribute": _attribute("sample", "\u00b5" * 4_000),
    "the largest uniqueId": _set(unique_id=2**31 - 1),
    "a negative uniqueId": _set(unique_id=-1),
    "the smallest uniqueId": _set(unique_id=-(2**31)),
    "stamped 1990": _set(seconds=631_152_000),
    "more nanoseconds than a second has": _set(nanoseconds=2**31 - 1),
    "negative nanoseconds": _set(nanoseconds=-(2**31)),
}
"""What looks strange but can be decoded; the ids and stamps are for the ledger to judge."""

CHANGES = [*BAD.values(), *ODD.values()]

WRONG_TYPES: dict[str, Value] = {
    "a scalar PV": OTHER_STRUCTURE,
    "an empty structure": Value(Type([]), {}),
    "a union of nothing": Value(Type([("value", "v")]), {}),
}


def single(change: Callable[[Message], None], **settings: Any) -> Value:
    """A message with one mistake."""
    message = Message(**settings)
    change(message)
    return message.build()


def mutated(seed: int) -> Value:
    """Message number `seed`: of any pixel type and size, with up to three defects; some have none."""
    rng = random.Random(f"message {seed}")
    while True:
        code = rng.choice(sorted(SCALAR_TYPE))
        nx, ny = rng.randrange(1, 40), rng.randrange(1, 40)
        message = Message(
            unique_id=rng.randrange(-(2**31), 2**31) if rng.random() < 0.2 else rng.randrange(100),
            pixels=np.zeros(nx * ny, code),
            sizes=[nx, ny] if rng.random() < 0.9 else [rng.randrange(-(2**31), 2**31) for _ in range(rng.randrange(4))],
            seconds=STAMP_S + rng.randrange(-10, 10),
            nanoseconds=rng.randrange(10**9),
        )
        for change in rng.sample(CHANGES, rng.randrange(4)):
            change(message)
        try:
            return message.build()
        except (RuntimeError, KeyError, ValueError):  # p4p itself refuses to make it: it cannot be on the wire
            continue
