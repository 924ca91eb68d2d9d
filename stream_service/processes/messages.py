"""Messages through a pipe between two processes of ours: facts, as JSON has them, and arrays.

A message is the length of its text, the text (facts; name, type and shape of each array), and the bytes of the arrays.
The other side may be reading files of others, so nothing it says is unpickled, and every length is compared with a
limit before memory is taken for it.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.errors import PtychostreamError

HEAD = struct.Struct("<Q")
"""Bytes of the text."""
MOST_TEXT_BYTES = 16 << 20
"""The longest: facts on a file of 1,000,000 rows, or the attributes of a frame, at most 1 MiB in its file."""
MOST_AT_ONCE = 16
"""Pieces filled by one call of the system, which has a limit."""

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
NO_ARRAYS: Arrays = {}


class MessageError(PtychostreamError):
    """What came is no message."""


class Message(NamedTuple):
    """One message as it came."""

    facts: dict[str, Any]
    arrays: dict[str, Array]
    """By name; each owns its memory."""


def packed(facts: Mapping[str, Any], arrays: Arrays = NO_ARRAYS) -> list[bytes | memoryview]:
    """A message in pieces, to be written one after the other."""
    told = [(name, np.lib.format.dtype_to_descr(array.dtype), array.shape) for name, array in arrays.items()]
    text = json.dumps({"facts": dict(facts), "arrays": told}).encode()
    return [HEAD.pack(len(text)) + text, *(_bytes_of(np.ascontiguousarray(array)) for array in arrays.values())]


class Outbox:
    """The end of a pipe into which messages are written."""

    def __init__(self, fd: int) -> None:
        self._out = os.fdopen(fd, "wb", buffering=0)

    def send(self, facts: Mapping[str, Any], arrays: Arrays = NO_ARRAYS) -> None:
        """Write a message; waits while the pipe is full."""
        for piece in packed(facts, arrays):
            left = memoryview(piece)
            while left:
                left = left[self._out.write(left) :]


class Inbox:
    """Messages that come through a pipe, put together from what has come so far."""

    def __init__(self, fd: int, most_bytes: int) -> None:
        """`fd` may be non-blocking or not; `most_bytes` is the limit of the arrays of one message."""
        self._fd = fd
        self._most_bytes = most_bytes
        self.n_bytes = 0
        """That came until now."""
        self._coming = self._read()

    def next(self) -> Message | None:
        """One message; None if no whole one has come.

        Raises `EOFError` at the end, and `MessageError` for what is none, after which nothing more comes.
        """
        try:
            return next(self._coming)
        except StopIteration:
            raise EOFError from None

    def _read(self) -> Iterator[Message | None]:
        while True:
            head = bytearray(HEAD.size)
            yield from self._fill([memoryview(head)])
            (n_text,) = HEAD.unpack(head)
            if n_text > MOST_TEXT_BYTES:
                raise MessageError(f"a text of {n_text} bytes")
            text = bytearray(n_text)
            yield from self._fill([memoryview(text)])
            try:
                told = json.loads(text)
                message = Message(dict(told["facts"]), _unfilled(told["arrays"], self._most_bytes))
                pieces = [_bytes_of(array) for array in message.arrays.values()]
            except (ValueError, TypeError, LookupError, SyntaxError, RecursionError) as error:
                raise MessageError(f"what is no message ({error})") from error
            yield from self._fill(pieces)
            yield message

    def _fill(self, missing: list[memoryview]) -> Iterator[None]:
        """Fill them, in order; yields whenever no more has come."""
        while missing := [piece for piece in missing if len(piece)]:
            try:
                n_read = os.readv(self._fd, missing[:MOST_AT_ONCE])
            except BlockingIOError:
                yield
                continue
            if not n_read:
                raise EOFError
            self.n_bytes += n_read
            for n, piece in enumerate(missing):
                missing[n], n_read = piece[n_read:], max(0, n_read - len(piece))


def _bytes_of(array: Array) -> memoryview:
    """Its memory, which lies in one piece."""
    return array.reshape(-1).view(np.uint8).data


def _unfilled(told: Any, most_bytes: int) -> dict[str, Array]:
    """The arrays that are to come. Raises `ValueError`, `TypeError` and others for what is none."""
    arrays: dict[str, Array] = {}
    n_bytes = 0
    for name, descr, shape in told:
        dtype = np.lib.format.descr_to_dtype(_with_tuples(descr))
        n_bytes += math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or n_bytes > most_bytes:
            raise ValueError(f"arrays of {n_bytes} bytes, at most {most_bytes} are taken; the last one {dtype} {shape}")
        arrays[str(name)] = np.empty(shape, dtype)
    return arrays


def _with_tuples(descr: str | list[Any]) -> Any:
    """The type of an array as numpy spells it, whose tuples are lists in JSON."""
    if isinstance(descr, str):
        return descr
    return [(name, _with_tuples(kind), *map(tuple, shape)) for name, kind, *shape in descr]
