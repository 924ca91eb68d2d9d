"""Messages between the daemon and the process that reads the raw file for it.

A message is a head, a JSON object and bytes: of a question the ids and stamps that are held, of a frame its pixels. The
process reads files of others, so nothing it says is unpickled, and every length is compared with a limit. A message of
neither kind is a sign of life.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_FRAME_BYTES, Frame
from stream_service.errors import SourceError

HEAD = struct.Struct("<QQ")
"""Bytes of the JSON, bytes of what follows it."""
MOST_TEXT_BYTES = 16 << 20
"""Of the JSON of a frame; its attributes take at most 1 MiB in the file."""
KINDS = "iuf"
"""Kinds of dtype that pixels have."""


class RawState(StrEnum):
    """What the raw file was when it was asked. Only the first three can become something else by waiting."""

    NOT_THERE = "not there"
    GROWING = "growing"
    """It is being written in SWMR mode: what has been flushed was read."""
    BEING_WRITTEN = "being written"
    """Not in SWMR mode: it can be read once it is closed."""
    CLOSED = "closed"
    OTHER_SCAN = "other scan"
    """Nothing shows that it holds the frames of this run, or something shows that it does not: it is not used."""
    UNREADABLE = "unreadable"

    @property
    def is_final(self) -> bool:
        """True if asking the same again gives no more."""
        return self in (RawState.CLOSED, RawState.OTHER_SCAN, RawState.UNREADABLE)


class RawAnswer(NamedTuple):
    """End of the answer to one question."""

    state: RawState
    n_frames: int = 0
    """Rows that the file has now with all that belongs to them."""
    n_compared: int = 0
    """Held frames whose id is in the file."""
    n_agree: int = 0
    """Those of them that are in it with the same stamp."""
    n_found: int = 0
    """Frames that were wanted and have been handed over."""
    n_unreadable: int = 0
    """Frames that were wanted and whose pixels cannot be read."""
    sentence: str = ""
    """For the operator; empty if all is well."""


class Message(NamedTuple):
    """One message as it came."""

    facts: dict[str, Any]
    data: npt.NDArray[np.uint8]


def packed(facts: dict[str, Any], *arrays: npt.NDArray[Any]) -> list[bytes | memoryview]:
    """A message in pieces, to be written one after the other."""
    text = json.dumps(facts).encode()
    data = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays if array.size]
    return [HEAD.pack(len(text), sum(len(piece) for piece in data)) + text, *data]


def question(*columns: npt.NDArray[np.int64]) -> list[bytes | memoryview]:
    """`wanted`, `held_ids` and `held_ns`; copied, since it is written when its arrays may have changed."""
    facts = {"lengths": [len(column) for column in columns]}
    return packed(facts, np.concatenate([np.asarray(column, np.int64) for column in columns]))


def columns_of(message: Message) -> list[npt.NDArray[np.int64]]:
    """The columns of a question."""
    lengths = message.facts["lengths"]
    return np.split(message.data.view(np.int64), np.cumsum(lengths)[:-1])


def frame_message(frame: Frame) -> list[bytes | memoryview]:
    """A frame with its pixels."""
    facts = {
        "unique_id": frame.unique_id,
        "timestamp_ns": frame.timestamp_ns,
        "dtype": frame.pixels.dtype.str,
        "shape": frame.pixels.shape,
        "attributes": dict(frame.attributes),
    }
    return packed({"frame": facts}, frame.pixels)


def frame_of(message: Message) -> Frame:
    """The frame of a message; its pixels are the message's own memory. Raises `SourceError` for what is none."""
    facts = message.facts["frame"]
    dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
    if dtype.kind not in KINDS or len(shape) != 2 or math.prod(shape) * dtype.itemsize != message.data.nbytes:
        raise SourceError(f"{shape} {dtype} are no {message.data.nbytes} bytes of pixels")
    pixels = message.data.view(dtype).reshape(shape)
    return Frame(facts["unique_id"], facts["timestamp_ns"], pixels, facts["attributes"], is_backfilled=True)


def answer_message(answer: RawAnswer) -> list[bytes | memoryview]:
    """The end of an answer."""
    return packed({"answer": answer._asdict()})


def answer_of(message: Message) -> RawAnswer:
    """Raises `ValueError` or `TypeError` for what is none."""
    facts = message.facts["answer"]
    return RawAnswer(**{**facts, "state": RawState(facts["state"])})


class Inbox:
    """Messages that come through a pipe, put together from what has come so far."""

    def __init__(self, fd: int, most_data_bytes: int = MOST_FRAME_BYTES) -> None:
        """`fd` may be non-blocking or not; `most_data_bytes` limits what comes with one message."""
        self._fd = fd
        self._most = most_data_bytes
        self.n_bytes = 0
        """That came until now."""
        self._begin()

    def _begin(self) -> None:
        self._head = np.empty(HEAD.size, np.uint8)
        self._text: npt.NDArray[np.uint8] | None = None
        self._data = np.empty(0, np.uint8)
        self._missing: list[memoryview] = [self._head.data]

    def next(self) -> Message | None:
        """One message; None if no whole one has come. Raises `EOFError` at the end, `SourceError` for what is none."""
        while True:
            while self._missing:
                try:
                    n_read = os.readv(self._fd, self._missing)
                except BlockingIOError:
                    return None
                if not n_read:
                    raise EOFError
                self.n_bytes += n_read
                self._missing = _without(self._missing, n_read)
            if self._text is not None:
                message = Message(json.loads(self._text.tobytes()), self._data)
                self._begin()
                return message
            n_text, n_data = HEAD.unpack(self._head.tobytes())
            if n_text > MOST_TEXT_BYTES or n_data > self._most:
                raise SourceError(f"a message of {n_text} and {n_data} bytes")
            self._text, self._data = np.empty(n_text, np.uint8), np.empty(n_data, np.uint8)
            self._missing = [piece.data for piece in (self._text, self._data) if piece.size]


def _without(pieces: Sequence[memoryview], n_bytes: int) -> list[memoryview]:
    """What is left of the pieces behind the first bytes."""
    left: list[memoryview] = []
    for piece in pieces:
        n_here = min(n_bytes, len(piece))
        n_bytes -= n_here
        if n_here < len(piece):
            left.append(piece[n_here:])
    return left
