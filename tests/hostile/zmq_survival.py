"""What every dialect must do with messages that have defects, and what it must still do after each.

`decode` gives an event that a run can take, or None, or raises `SourceError` in one line; it takes no more memory than
the message's own length allows; and after each message with defects the good ones, in their order, give the frames that
they gave before.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from zmq_mutations import Message, mutations

from stream_service.core.frame import MOST_FRAME_BYTES, Frame
from stream_service.core.stream import End, Series, SeriesEnd, StreamEvent
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Dialect, Received

LONGEST_LINE = 300
"""Of an error message."""
SLACK_BYTES = 1 << 18
"""For the objects that any message is made of, whatever its length."""
BYTES_PER_BYTE = 32
"""Memory that a dialect may take for one byte of a message: what Python makes of JSON, where a number of two bytes is
an object. More than that, a codec may make of its bytes."""
INT64 = range(-(2**63), 2**63)
EPOCHS = range(2**62)
"""Such that there is always a next one."""

Counts = dict[str, int]


def received(message: Message) -> Received:
    """As the socket gives it."""
    return Received([memoryview(part) for part in message])


def assert_survives(
    make_dialect: Callable[[], Dialect],
    good: Sequence[Message],
    seed: int,
    n: int,
    *,
    bytes_per_byte: float = BYTES_PER_BYTE,
    tell: Callable[[Counts], None] | None = None,
) -> Counts:
    """Give the dialect n messages with defects, and after each all the good ones; how many were `events`, `nothing`
    (None) and `refused`.

    `good` are messages as a sender sends them, whole series in order, so that each round means the same as the one
    before, but for the epoch; two frames or more, and small. At most `bytes_per_byte` of memory may be taken for a byte
    of a message, and `SLACK_BYTES`. `tell` is given the counts after every message.
    """
    frames = _frames_of(make_dialect(), good)
    assert len(frames) > 1
    dialect = make_dialect()
    counts = {"events": 0, "nothing": 0, "refused": 0}
    is_tracing_ours = not tracemalloc.is_tracing()
    if is_tracing_ours:
        tracemalloc.start()
    try:
        for number, message in enumerate(mutations(good, seed, n)):
            try:
                counts[_outcome(dialect, message, bytes_per_byte)] += 1
                _assert_same_frames(_frames_of(dialect, good), frames)
            except BaseException as error:
                error.add_note(
                    f"message {number} of seed {seed}: {len(message)} parts, {[part[:300] for part in message]}"
                )
                raise
            if tell is not None:
                tell(counts)
    finally:
        if is_tracing_ours:
            tracemalloc.stop()
    return counts


def _outcome(dialect: Dialect, message: Message, bytes_per_byte: float) -> str:
    given = received(message)
    before_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    event, outcome = None, "refused"
    try:
        event = dialect.decode(given)
        outcome = "nothing" if event is None else "events"
    except SourceError as error:
        line = str(error)
        assert 0 < len(line) <= LONGEST_LINE and line.isprintable(), line
    _, peak_bytes = tracemalloc.get_traced_memory()
    n_bytes, bound_bytes = peak_bytes - before_bytes, SLACK_BYTES + bytes_per_byte * given.n_bytes
    assert n_bytes <= bound_bytes, (
        f"{n_bytes} bytes taken for a message of {given.n_bytes}; at most {bound_bytes:.0f} may be"
    )
    if event is not None:
        assert_usable(event)
    return outcome


def _frames_of(dialect: Dialect, good: Sequence[Message]) -> list[Frame]:
    events = [dialect.decode(received(message)) for message in good]
    for event in events:
        if event is not None:
            assert_usable(event)
    return [event for event in events if isinstance(event, Frame)]


def _assert_same_frames(frames: Sequence[Frame], expected: Sequence[Frame]) -> None:
    assert len(frames) == len(expected)
    for frame, same in zip(frames, expected, strict=True):
        assert (frame.unique_id, frame.timestamp_ns) == (same.unique_id, same.timestamp_ns)
        assert repr(frame.attributes) == repr(same.attributes)
        assert frame.pixels.dtype == same.pixels.dtype
        np.testing.assert_array_equal(frame.pixels, same.pixels)


def assert_usable(event: StreamEvent) -> None:
    """The event is one that a run can take: numbers within their bounds, pixels that the kernels read."""
    if isinstance(event, Series):
        assert type(event.epoch) is int and event.epoch in EPOCHS
        assert type(event.first_unique_id) is int and event.first_unique_id in INT64
        assert event.n_frames is None or (type(event.n_frames) is int and event.n_frames in range(2**63))
        return
    if isinstance(event, SeriesEnd):
        assert type(event.epoch) is int and event.epoch in EPOCHS
        return
    assert not isinstance(event, End), "a dialect does not end the stream"
    assert event.pixels.ndim == 2 and event.pixels.size > 0 and event.pixels.nbytes <= MOST_FRAME_BYTES
    assert event.pixels.dtype.kind in "iuf" and event.pixels.dtype.isnative
    assert type(event.unique_id) is int and event.unique_id in INT64
    assert type(event.timestamp_ns) is int and abs(event.timestamp_ns) <= 2**62
    assert event.epoch is None or (type(event.epoch) is int and event.epoch in EPOCHS)
    for name, value in event.attributes.items():
        _assert_plain(name, value)


def _assert_plain(name: str, value: Any) -> None:
    assert isinstance(name, str) and name.encode() is not None
    assert value is None or isinstance(value, float | int | str)
    if isinstance(value, str):
        value.encode()  # else it could not be written
    if isinstance(value, int):
        assert value in range(-(2**63), 2**64)
