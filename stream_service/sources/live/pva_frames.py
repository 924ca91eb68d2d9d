"""Frames of one areaDetector over PV Access, a source of a run (`FrameSource`).

Policy. The monitor's callback only enqueues: an exception in it would end the subscription for ever. `pipeline` stays
off: real NDPluginPva servers replay old frames with it. `queueSize` follows from a budget of bytes, since at its
default of 2 a server overwrites frames at once; what is overwritten all the same shows as a gap in uniqueId, and only
there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Container
from dataclasses import replace
from typing import Any, NamedTuple

from p4p.client.raw import Context as RawContext
from p4p.client.thread import Cancelled, Context
from p4p.wrapper import Value

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.sources.frame_queue import FrameQueue
from stream_service.sources.live.ntndarray import (
    TimestampField,
    decode_ntndarray,
    held_bytes,
    identity_of,
    is_empty,
    is_ntndarray,
)

log = logging.getLogger(__name__)

MAX_QUEUE_SIZE = 4096
"""Elements; enough for 4 s at 1 kHz of the smallest frames."""
ANSWER_TIMEOUT_S = 5.0
FIRST_UPDATE_TIMEOUT_S = 15.0
"""The channel is known to answer: on a busy machine its first update may take longer."""
SUBSCRIBE_AGAIN_S = 2.0
"""p4p loses the first update, and with it all others, if it comes before `Context.monitor` has returned ("Lost
Subscription update" in the log): no update for so long, and another subscription is made; twice, since a machine
that is held up once may be again."""
UNKNOWN_FRAME_BYTES = 2 << 20
"""Taken for a detector of unknown size that has sent no frame yet: a megapixel of uint16."""


WAITED_S = 0.02
"""A message that could not be put into the queue for this long has kept the next ones waiting."""


class Received(NamedTuple):
    """An update of the channel and when it came, on the monotonic clock; None if it was kept waiting before that."""

    message: Value
    at_s: float | None


def queue_size(frame_bytes: int, budget_bytes: int) -> int:
    """Elements of the PVA monitor's queue that fit into the budget; at least 4."""
    return max(4, min(MAX_QUEUE_SIZE, budget_bytes // max(frame_bytes, 1)))


class PvaFrames:
    """A subscription to an NTNDArray channel."""

    transport = "PVA"

    def __init__(
        self,
        context: Context,
        channel: str,
        budget_bytes: int,
        frame_bytes: int = UNKNOWN_FRAME_BYTES,
        *,
        timestamp_field: TimestampField = "timeStamp",
        wanted: Container[str] | None = None,
    ) -> None:
        """`frame_bytes` sizes the queue until a first frame has shown its size.

        `timestamp_field` is the one that tells when a frame was taken; of the NDAttributes those that are `wanted`
        (None: all) are read.
        """
        self.channel = channel
        self.queue: FrameQueue[Received] = FrameQueue(budget_bytes)
        self.is_connected = False
        """False while the channel does not answer."""
        self._timestamp_field: TimestampField = timestamp_field
        self._wanted = wanted
        self._latest_before: Value | None = None
        """The old frame that every new subscriber gets first."""
        self._was_held_up = False
        self._context = context
        self._first_update = threading.Event()
        self._subscription: Any = None
        self._budget_bytes = budget_bytes
        self._frame_bytes = frame_bytes

    def start(self, cancellation: Cancellation | None = None) -> None:
        """Subscribe, and wait for the first update: the last old frame, or the sign that there was none yet.

        Raises `SourceError` when the channel does not answer, or is none of frames; and `CancelledError`.
        """
        cancellation = cancellation or Cancellation()
        present = self._present(cancellation)
        frame_bytes = self._frame_bytes if is_empty(present) else held_bytes(present)
        size = queue_size(frame_bytes, self._budget_bytes)
        for timeout_s in (SUBSCRIBE_AGAIN_S, 2 * SUBSCRIBE_AGAIN_S, FIRST_UPDATE_TIMEOUT_S):
            self._subscribe(size)
            if cancellation.wait_until(self._first_update.is_set, timeout_s):
                return
            log.warning("%s sent no update to a monitor within %g s", self.channel, timeout_s)
            self._subscription.close()
        self.close()
        raise SourceError(
            f"{self.channel} answers a get over PVA but sent no update to a monitor within "
            f"{FIRST_UPDATE_TIMEOUT_S:g} s: is its IOC overloaded?"
        )

    def _subscribe(self, size: int) -> None:
        """Each subscription has its own first update, the old frame, which must come before the series begins."""
        self._first_update = first_update = threading.Event()
        self._subscription = self._context.monitor(
            self.channel,
            lambda update: self._on_update(update, first_update),
            request=f"field()record[queueSize={size},pipeline=false]",
            notify_disconnect=True,
        )

    def _present(self, cancellation: Cancellation) -> Value:
        """Present value of the channel, by a get that can be cancelled, unlike that of p4p's threaded client."""
        answers: deque[Any] = deque()
        operation = RawContext.get(self._context, self.channel, answers.append)
        try:
            if not cancellation.wait_until(lambda: bool(answers), ANSWER_TIMEOUT_S):
                raise SourceError(
                    f"no answer from {self.channel} over PVA within {ANSWER_TIMEOUT_S:g} s: is the IOC running, "
                    "its NDPluginPva enabled, and EPICS_PVA_ADDR_LIST right?"
                )
        finally:
            operation.close()
        present = answers[0]
        if isinstance(present, Exception):
            raise SourceError(f"{self.channel} refused a get over PVA: {present}")
        assert isinstance(present, Value)
        if not is_ntndarray(present):
            raise SourceError(f"{self.channel} is not an NTNDArray: name NDPluginPva's Image channel in the profile")
        return present

    def begin(self) -> Begin:
        """What came so far is from before the series, and the newest of it tells what its frames will be like.

        PVA has no begins: the detector must be idle.
        """
        while taken := self.queue.take(0.0):
            self._latest_before = taken[-1].message
        begin = Begin()
        if self._latest_before is None:
            return begin
        try:
            begin = Begin(last_before=identity_of(self._latest_before, self._timestamp_field))
            pixels = decode_ntndarray(self._latest_before, self._timestamp_field, wanted=()).pixels
        except SourceError as error:
            log.warning("the last frame before the run cannot be used to prepare it: %s", error)
            return begin
        rows, columns = pixels.shape
        return replace(begin, shape=(rows, columns), dtype=pixels.dtype)

    def latest_frame(self) -> Frame | None:
        """The last frame before the series with all its NDAttributes; None if there is none.

        Raises `SourceError` if it cannot be decoded.
        """
        return decode_ntndarray(self._latest_before, self._timestamp_field) if self._latest_before is not None else None

    def decode(self, message: Received) -> Frame:
        """The frame in a message; raises `SourceError` if it is none."""
        return decode_ntndarray(message.message, self._timestamp_field, message.at_s, self._wanted)

    def close(self) -> None:
        """End the subscription; a receiver that waits for room is released."""
        self.queue.close()
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None  # its callback keeps this object, and that the last frame: a circle

    def _on_update(self, update: Any, first_update: threading.Event) -> None:
        self.is_connected = isinstance(update, Value)
        if not isinstance(update, Value):
            if first_update.is_set() and not isinstance(update, Cancelled):
                log.warning("%s does not answer over PVA any more: %s", self.channel, update)
            return
        if not is_empty(update):
            came_s = time.monotonic()
            self.queue.put(Received(update, None if self._was_held_up else came_s), held_bytes(update))
            self._was_held_up = time.monotonic() - came_s > WAITED_S
        first_update.set()
