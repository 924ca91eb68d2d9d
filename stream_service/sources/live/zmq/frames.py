"""Frames over ZMQ, a source of a run (`FrameSource`): messages of the shared socket, read by the sender's dialect."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin, StreamEvent
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.backlog import PAUSE_S
from stream_service.sources.live.zmq.dialect import Dialect, Received
from stream_service.sources.live.zmq.queue import TAKEN_OUT, ZmqQueue
from stream_service.sources.live.zmq.receiver import ZmqReceiver

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
QUIET_S = PAUSE_S
"""From the greeting until a publisher has heard what is subscribed to, which it does not confirm, and a control unit
has begun to send what it has kept."""
ANSWER_S = 0.4
"""To take what came since: a service answers within half a second."""
KEPT_S = 60.0
"""To take what was kept: gigabytes, at 1 Gbit/s."""


class ZmqSource:
    """The source of one run. What its dialect knows of the series so far, it knows from the runs before."""

    def __init__(self, receiver: ZmqReceiver, dialect: Dialect, budget_bytes: int) -> None:
        self.transport = dialect.name
        self.channel = ", ".join(receiver.addresses)
        self.queue = ZmqQueue(receiver, budget_bytes // TAKEN_OUT)
        self._receiver = receiver
        self._dialect = dialect
        self._latest_before: Frame | None = None

    def start(self, cancellation: Cancellation | None = None) -> None:
        """Listen, wait until a sender is there, and pass over what it has kept since the run before.

        Raises `SourceError`, `ConfigError` and `CancelledError`.
        """
        cancellation = cancellation or Cancellation()
        self._connect(cancellation)
        try:
            self._pass_over_what_was_kept(cancellation)
        except BaseException:
            self.close()
            raise

    def listen(self) -> None:
        """See `LiveFrames`."""
        self._connect(Cancellation())

    def listen_again(self, cancellation: Cancellation) -> None:
        """See `LiveFrames`."""
        self._connect(cancellation)
        if self._dialect.begin().first_unique_id is not None:
            self._receiver.leave_to(self.queue)

    def _connect(self, cancellation: Cancellation) -> None:
        self._receiver.attach(self.queue)
        try:
            if not cancellation.wait_until(lambda: not self._receiver.silent(), ANSWER_TIMEOUT_S):
                why = self._receiver.problem()
                raise SourceError(
                    f"no sender at {', '.join(self._receiver.silent())} within {ANSWER_TIMEOUT_S:g} s: is it running, "
                    f"and are the addresses under detector.frames right?{f' ({why})' if why else ''}"
                )
        except BaseException:
            self.close()
            raise

    @property
    def is_connected(self) -> bool:
        """False while no sender is there."""
        return set(self._receiver.silent()) != set(self._receiver.addresses)

    def silent(self) -> list[str]:
        """The addresses at which no sender is now."""
        return [f"{address} ({self.transport})" for address in self._receiver.silent()]

    @property
    def problem(self) -> str:
        """Senders that were refused or cut off, in a sentence; empty if there were none."""
        return self._receiver.problem()

    @property
    def advice(self) -> str:
        """See `LiveFrames`."""
        others = ", and does nobody else pull its frames" if self._receiver.pulls else ""
        return f"does the sender at {self.channel} send ({self._dialect.sending}){others}?"

    def begin(self) -> Begin:
        """See `FrameSource`: the dialect knows the series, the last frame its shape and type.

        A series that begins now is of this run alone: of a sender that counts series, one that still waits for its last
        frames could not tell.
        """
        began_s = time.monotonic()
        while self._pass_over(0.0, Cancellation()):
            if time.monotonic() - began_s > ANSWER_S:
                raise SourceError(self._goes_on("faster than its frames are read"))
        begin = self._dialect.begin()
        if begin.first_unique_id is not None:
            self._receiver.leave_to(self.queue)
        self._latest_before = latest = self._receiver.latest_frame
        if latest is None:
            return begin
        rows, columns = latest.pixels.shape
        return replace(begin, shape=(rows, columns), dtype=latest.pixels.dtype)

    def _pass_over_what_was_kept(self, cancellation: Cancellation) -> None:
        n_kept, began_s = 0, time.monotonic()
        now_s = came_s = began_s
        while now_s - came_s < QUIET_S:
            cancellation.check()
            n = self._pass_over(QUIET_S, cancellation)
            n_kept, now_s = n_kept + n, time.monotonic()
            came_s = now_s if n and self._receiver.pulls else came_s  # who publishes keeps nothing
            if now_s - began_s > KEPT_S:
                raise SourceError(self._goes_on(f"for {KEPT_S:g} s"))
        if n_kept:
            log.info("%d messages that %s had kept from before the run are passed over", n_kept, self.channel)

    def _goes_on(self, how: str) -> str:
        return f"the sender at {self.channel} goes on sending {how} before the run has begun: stop the detector"

    def _pass_over(self, timeout_s: float, cancellation: Cancellation) -> int:
        """Take what is there, for what it tells of the series; gives how many messages."""
        taken = self.queue.take(timeout_s)
        for message in taken:
            cancellation.check()
            with suppress(SourceError):
                self.decode(message)
        return len(taken)

    def latest_frame(self) -> Frame | None:
        """The last frame before the series that a run of this service received."""
        return self._latest_before

    def decode(self, message: Received) -> StreamEvent | None:
        """The event in a message; raises `SourceError`."""
        event = self._dialect.decode(message)
        if isinstance(event, Frame):
            self._receiver.latest_frame = event
        return event

    def close(self) -> None:
        """Let nothing more in; what is in the queue can still be taken."""
        self._receiver.detach(self.queue)
