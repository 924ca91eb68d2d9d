"""Reader of the part of CBOR (RFC 8949) that Stream2 sends: one item of definite or indefinite length.

Byte strings are not copied: they are views of the message. Tags are given as they are (`Tagged`), so that an item means
nothing more than it says. Strings of indefinite length are refused. Memory beside the message: less than 1 MiB, since
items, their depth and the length of texts are limited; a general reader (cbor2 6.3: 71 bytes of memory for a byte of
the message) is not bounded so. Time is linear in the message.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from stream_service.errors import SourceError

MOST_ITEMS = 8192
"""An image has about 45, a start message a few hundred; user data may have more."""
DEEPEST = 16
"""Containers and tags within each other: pixels are 7 deep."""
MOST_TEXT_BYTES = 1 << 16
"""Of all texts of a message."""

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""The major types."""
INDEFINITE = 31
ARGUMENTS = {24: struct.Struct(">B"), 25: struct.Struct(">H"), 26: struct.Struct(">I"), 27: struct.Struct(">Q")}
FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
SIMPLE_VALUES = {20: False, 21: True, 22: None, 23: None}
"""False, true, null, undefined."""
BREAK = 0xFF
"""The byte that ends a container of indefinite length."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """An item with a tag before it."""

    tag: int
    content: Any


def decode_cbor(message: memoryview) -> Any:
    """The item that a message is: dict, list, int, float, bool, None, str, memoryview or `Tagged`.

    Of a map, the entries whose key is a text. Raises `SourceError` if the message is not one such item.
    """
    reader = _Reader(message)
    try:
        item = reader.item(0)
    except (IndexError, struct.error):
        raise SourceError(f"its CBOR breaks off after {message.nbytes} bytes") from None
    if reader.at != message.nbytes:
        raise SourceError(f"its CBOR ends after {reader.at} of {message.nbytes} bytes")
    return item


class _Reader:
    """Raises `IndexError` or `struct.error` where the message breaks off."""

    __slots__ = ("_message", "_n_bytes", "_n_items", "_n_text_bytes", "at")

    def __init__(self, message: memoryview) -> None:
        self._message = message
        self._n_bytes = message.nbytes
        self._n_items = 0
        self._n_text_bytes = 0
        self.at = 0
        """Bytes that have been read."""

    def item(self, depth: int) -> Any:
        """The next one, which is in `depth` others."""
        self._n_items += 1
        if self._n_items > MOST_ITEMS or depth > DEEPEST:
            raise SourceError(f"its CBOR has more than {MOST_ITEMS} items, or more than {DEEPEST} within each other")
        first = self._message[self.at]
        self.at += 1
        major, argument = first >> 5, first & 31
        if argument > 23 and major != SIMPLE:
            argument = self._argument(major, argument)
        if major == TEXT:
            return self._text(argument)
        if major == UNSIGNED:
            return argument
        if major == ARRAY:
            return self._array(argument, depth + 1)
        if major == TAG:
            return Tagged(argument, self.item(depth + 1))
        if major == MAP:
            return self._map(argument, depth + 1)
        if major == BYTES:
            return self._bytes(argument)
        return -1 - argument if major == NEGATIVE else self._simple(argument)

    def _argument(self, major: int, code: int) -> int:
        """What follows the first byte of an item; -1 for a container that a `BREAK` ends."""
        if code in ARGUMENTS:
            return self._number(ARGUMENTS[code])
        if code == INDEFINITE and major in (ARRAY, MAP):
            return -1
        raise SourceError("its CBOR has a string of indefinite length, or an item that is not defined")

    def _number(self, layout: struct.Struct) -> Any:
        (number,) = layout.unpack_from(self._message, self.at)
        self.at += layout.size
        return number

    def _simple(self, code: int) -> float | bool | None:
        if code in FLOATS:
            return self._number(FLOATS[code])
        if code not in SIMPLE_VALUES:
            raise SourceError("its CBOR has a simple value that is not defined, or ends what has not begun")
        return SIMPLE_VALUES[code]

    def _bytes(self, n_bytes: int) -> memoryview:
        begin, self.at = self.at, self.at + n_bytes
        if self.at > self._n_bytes:
            raise IndexError
        return self._message[begin : self.at]

    def _text(self, n_bytes: int) -> str:
        self._n_text_bytes += n_bytes
        if self._n_text_bytes > MOST_TEXT_BYTES:
            raise SourceError(f"its CBOR has texts of more than {MOST_TEXT_BYTES} bytes")
        try:
            return self._bytes(n_bytes).tobytes().decode()
        except UnicodeDecodeError:
            raise SourceError("its CBOR has a text that is not UTF-8") from None

    def _has_ended(self) -> bool:
        """True at the `BREAK` of a container, which is passed over."""
        if self._message[self.at] != BREAK:
            return False
        self.at += 1
        return True

    def _array(self, n_items: int, depth: int) -> list[Any]:
        if n_items >= 0:
            return [self.item(depth) for _ in range(n_items)]
        items: list[Any] = []
        while not self._has_ended():
            items.append(self.item(depth))
        return items

    def _map(self, n_entries: int, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while n_entries > 0 or (n_entries < 0 and not self._has_ended()):
            n_entries -= 1
            key, value = self.item(depth), self.item(depth)
            if isinstance(key, str) and key in entries:
                raise SourceError("its CBOR has a key twice in a map")
            if isinstance(key, str):
                entries[key] = value
        return entries
