"""A dialect: what the messages of one kind of sender mean. A file each: `adzmq`, `simplon`, `stream2`.

A dialect is given every message in the order in which it came, and says what event it is. Whatever a message claims,
no more memory is taken than `codecs` allows for the bytes that it really brings: at most three frames of
`MOST_FRAME_BYTES`, and none of them before the message has that many bytes, or its codec can make them of what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stream_service.core.stream import Begin, StreamEvent

Part = memoryview
"""The bytes of one part of a message, where ZMQ has received them: arrays made of them keep them alive."""


class Received(NamedTuple):
    """A message, and when it came."""

    parts: Sequence[Part]
    at_s: float | None = None
    """On the monotonic clock; None if nobody looked at a clock."""
    waited_s: float = 0.0
    """How long before that it may have come."""

    @property
    def n_bytes(self) -> int:
        """Of all parts."""
        return sum(part.nbytes for part in self.parts)


class Dialect(Protocol):
    """The reader of one sender's messages, shared by all runs of a profile: each gives it the messages that it takes,
    so that it may see one more than once, from more than one thread."""

    name: str
    """For messages: `ADZMQ`."""
    sending: str
    """What must be so that it sends, for messages: `EnableCallbacks of its plugin is 1`."""

    def decode(self, message: Received) -> StreamEvent | None:
        """The event in a message; None if it is sound, and says nothing that a run must know.

        Raises `SourceError`, in a sentence that names the frame where it can, if the message is not what the dialect
        says that it must be, or damaged.
        """
        ...

    def begin(self) -> Begin:
        """What is known of the frames that come after the messages which were given until now."""
        ...
