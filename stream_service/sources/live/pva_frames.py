"""Frames of one areaDetector over PV Access, a source of a run (`FrameSource`).

Policy. Updates are taken out by the thread of the run (`PvaQueue`). `pipeline` stays off: real NDPluginPva servers
replay old frames with it. `queueSize` follows from a budget of bytes, since at its default of 2 a server overwrites
frames at once; what is overwritten all the same shows as a gap in uniqueId, and only there.

Each run has a client of its own, and a new one when it has lost its connection: pvxs (1.5.3) calls a name server that
was away (`EPICS_PVA_NAME_SERVERS`) every 10 s only, and nothing hurries it.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any

from p4p.client.raw import Context
from p4p.wrapper import Value

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin
from stream_service.errors import BadFrameError, SourceError
from stream_service.sources.live.ntndarray import (
    TimestampField,
    decode_ntndarray,
    held_bytes,
    identity_of,
    is_empty,
    is_ntndarray,
)
from stream_service.sources.live.pva_queue import TAKEN_OUT, PvaQueue, Received, Subscription

log = logging.getLogger(__name__)

MAX_QUEUE_SIZE = 4096
"""Elements; enough for 4 s at 1 kHz of the smallest frames."""
ANSWER_TIMEOUT_S = 5.0
FIRST_UPDATE_TIMEOUT_S = 15.0
"""The channel is known to answer: on a busy machine its first update may take longer."""
SEARCH_S = 1.0
"""A client that has lost its channel asks for it within a second, where it asks the network."""
LONGEST_SEARCH_S = 16.0
"""Each search has twice the time of the one before: the IOC may be slow to answer."""
UNKNOWN_FRAME_BYTES = 2 << 20
"""Taken for a detector of unknown size that has sent no frame yet: a megapixel of uint16."""


def queue_size(frame_bytes: int, budget_bytes: int) -> int:
    """Elements of the PVA monitor's queue that fit into its part of the budget; at least 4."""
    own_bytes = budget_bytes - budget_bytes // TAKEN_OUT
    return max(4, min(MAX_QUEUE_SIZE, own_bytes // max(frame_bytes, 1)))


class PvaSource:
    """A subscription to an NTNDArray channel."""

    transport = "PVA"

    def __init__(
        self,
        new_context: Callable[[], Context],
        channel: str,
        budget_bytes: int,
        frame_bytes: int = UNKNOWN_FRAME_BYTES,
        *,
        timestamp_field: TimestampField = "timeStamp",
        wanted: Container[str] | None = None,
    ) -> None:
        """`new_context` makes a client. `frame_bytes` sizes the queue until a first frame has shown its size.

        `timestamp_field` is the one that tells when a frame was taken; of the NDAttributes those that are `wanted`
        (None: all) are read.
        """
        self.channel = channel
        self.queue = PvaQueue(budget_bytes)
        self._timestamp_field: TimestampField = timestamp_field
        self._wanted = wanted
        self._latest_before: Value | None = None
        """The old frame that every new subscriber gets first."""
        self._new_context = new_context
        self._context: Context | None = None
        self._request = ""
        self._search_s = SEARCH_S
        self._search_ends_s = math.inf
        """When the channel is searched for anew, while it does not answer."""
        self._told: Exception | None = None
        """The disconnection that was logged last."""
        self._budget_bytes = budget_bytes
        self._frame_bytes = frame_bytes

    def start(self, cancellation: Cancellation | None = None) -> None:
        """Subscribe, and wait for the first update: the last old frame, or the sign that there was none yet.

        Raises `SourceError` when the channel does not answer, or is none of frames; and `CancelledError`.
        """
        cancellation = cancellation or Cancellation()
        self._context = context = self._new_context()
        try:
            present = self._present(context, cancellation)
        except Exception:
            context.close()
            raise
        frame_bytes = self._frame_bytes if is_empty(present) else held_bytes(present)
        size = queue_size(frame_bytes, self._budget_bytes)
        self._request = f"field()record[queueSize={size},pipeline=false]"
        self.queue.subscribe(self._monitor(context))
        if not cancellation.wait_until(self._has_answered, FIRST_UPDATE_TIMEOUT_S):
            self.close()
            raise SourceError(
                f"{self.channel} answers a get over PVA but sent no update to a monitor within "
                f"{FIRST_UPDATE_TIMEOUT_S:g} s: is its IOC overloaded?"
            )

    def _monitor(self, context: Context) -> Subscription:
        return context.monitor(self.channel, self.queue.signal, self._request)

    def listen(self) -> None:
        """See `LiveFrames`; the old frame that comes first is `latest_frame`."""
        self.start()
        self.begin()

    def listen_again(self, cancellation: Cancellation) -> None:
        """See `LiveFrames`; the last frame comes once more."""
        self.start(cancellation)

    def _has_answered(self) -> bool:
        self.queue.look()
        return self.queue.has_answered

    @property
    def is_connected(self) -> bool:
        """False while the channel does not answer; a change is logged."""
        queue = self.queue
        if queue.disconnection is not self._told:
            self._told = queue.disconnection
            if self._told is not None:
                log.warning("%s does not answer over PVA any more: %s", self.channel, self._told)
        return queue.has_answered and queue.disconnection is None

    def silent(self) -> list[str]:
        """The channel, while it does not answer; it is searched for anew by this, at times."""
        if self.is_connected:
            self._search_s, self._search_ends_s = SEARCH_S, math.inf
            return []
        now_s = time.monotonic()
        if self._search_ends_s == math.inf:
            self._search_ends_s = now_s + self._search_s
        elif now_s >= self._search_ends_s:
            self._search_s = min(2.0 * self._search_s, LONGEST_SEARCH_S)
            self._search_ends_s = now_s + self._search_s
            self._search_anew()
        return [f"{self.channel} ({self.transport})"]

    def _search_anew(self) -> None:
        old, new = self._context, self._new_context()
        subscription = self._monitor(new)
        if self.queue.replace(subscription):
            self._context = new
        else:
            subscription.close()
            old = new
        if old is not None:
            old.close()

    @property
    def problem(self) -> str:
        """A disconnection is all that is seen."""
        return ""

    @property
    def advice(self) -> str:
        """See `LiveFrames`."""
        return f"is the plugin behind {self.channel} enabled?"

    def _present(self, context: Context, cancellation: Cancellation) -> Value:
        """Present value of the channel, by a get that can be cancelled."""
        answers: deque[Any] = deque()
        operation = context.get(self.channel, answers.append)
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
        """The frame in a message; raises `SourceError` if it is none, `BadFrameError` if its id can be read."""
        update, at_s, waited_s = message
        try:
            return decode_ntndarray(update, self._timestamp_field, at_s, self._wanted, waited_s=waited_s)
        except SourceError as error:
            unique_id = update.get("uniqueId")
            if type(unique_id) is not int:
                raise
            raise BadFrameError(str(error), unique_id) from error

    def close(self) -> None:
        """End the subscription; what has come can still be taken."""
        self.queue.close()
        if self._context is not None:
            self._context.close()
