"""The messages of one ZMQ socket, given to every run that listens.

All runs of a profile share a socket: of two that pull from one sender each would get every second frame. It is open
while a run listens, and the thread of whichever run waits receives for all of them. While the queue of one is full
nothing is received: what ZMQ and the sender cannot hold then is lost where it is sent, and the ledger sees the gap.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Sequence
from socket import socketpair

import zmq
from zmq.auth.thread import ThreadAuthenticator

from stream_service.core.frame import PROMPT_S, UNKNOWN_WAIT_S, Frame
from stream_service.errors import ConfigError
from stream_service.settings.frames import ZmqFrames
from stream_service.sources.live.zmq.backlog import Backlog
from stream_service.sources.live.zmq.connections import Connections
from stream_service.sources.live.zmq.curve import secure
from stream_service.sources.live.zmq.dialect import Received
from stream_service.sources.live.zmq.queue import TAKEN_OUT, ZmqQueue

MOST_MESSAGES = 4096
"""That ZMQ holds for us: 4 s at 1 kHz of the smallest frames."""
KEEPALIVE = {zmq.TCP_KEEPALIVE: 1, zmq.TCP_KEEPALIVE_IDLE: 5, zmq.TCP_KEEPALIVE_INTVL: 2, zmq.TCP_KEEPALIVE_CNT: 3}
"""A sender whose machine has lost its power is told from a silent one after some 11 s."""
LOOK_S = 0.1
"""For another thread to let go of the socket; else what was known of its senders is told."""


def high_water_mark(budget_bytes: int, frame_bytes: int, n_senders: int) -> int:
    """Messages of each sender for which ZMQ's part of the budget is enough; at least 4."""
    own_bytes = budget_bytes - budget_bytes // TAKEN_OUT
    return max(4, min(MOST_MESSAGES, own_bytes // n_senders // max(frame_bytes, 1)))


class ZmqReceiver:
    """The socket of a profile's frames, and the queues of those that listen."""

    def __init__(self, frames: ZmqFrames, budget_bytes: int, frame_bytes: int, largest_bytes: int) -> None:
        """`frame_bytes` says how many messages the budget is for; a sender of parts above `largest_bytes` is cut off.

        So ZMQ and a queue hold the budget, or, of frames that are larger than was said, `largest_bytes` for each; but
        more if several senders connect to an address that we bind.
        """
        self.addresses = (*frames.connect, *frames.bind)
        self.largest_bytes = largest_bytes
        self.pulls = frames.socket == "pull"
        """True if a message goes to one receiver only."""
        self.latest_frame: Frame | None = None
        """That any run has decoded: it tells what those of the next one will be like."""
        self._frames = frames
        self._high_water_mark = high_water_mark(budget_bytes, frame_bytes, len(self.addresses))
        self._socket: zmq.Socket[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]]
        self._authenticator: ThreadAuthenticator | None = None
        self._connections: Connections
        self._backlog = Backlog()
        self._queues: list[ZmqQueue] = []
        self._lock = threading.Lock()
        """Of the socket, which is used by one thread at a time."""
        self._wake_reader, self._wake_writer = socketpair()
        """Not a pipe: `wake` may come after `close`, when the number of a pipe can be that of a file."""
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._emptied_s = -math.inf
        """When ZMQ had no message last: what it has now came since."""

    def attach(self, queue: ZmqQueue) -> None:
        """Let a queue have what comes from now on. Raises `ConfigError` where the socket cannot be opened."""
        self.wake()
        with self._lock:
            self._forget_wake()
            if self._socket is None:
                self._open()
            if queue not in self._queues:
                self._queues.append(queue)

    def detach(self, queue: ZmqQueue) -> None:
        """Give it nothing more; without a queue the socket is closed, and what it holds is nobody's."""
        self.wake()
        with self._lock:
            self._forget_wake()
            if queue in self._queues:
                self._queues.remove(queue)
            if not self._queues:
                self._close()

    def leave_to(self, queue: ZmqQueue) -> None:
        """Give what comes from now on to this queue alone."""
        for other in [other for other in self._queues if other is not queue]:
            self.detach(other)

    def receive(self, own: ZmqQueue, timeout_s: float) -> None:
        """Give the queues what has come; wait up to `timeout_s` for it, or until another thread has received."""
        if self._lock.acquire(blocking=False):
            try:
                if self._receive(timeout_s):
                    return
            finally:
                self._lock.release()
        own.wait(timeout_s)

    def wake(self) -> None:
        """End a `receive` that waits; does nothing once all is closed."""
        with contextlib.suppress(OSError):  # there is no room, since nobody has heard the ones before; or it is closed
            self._wake_writer.send(b"\0")

    def silent(self) -> list[str]:
        """Addresses at which no sender is."""
        return self._look().silent() if self._socket is not None else list(self.addresses)

    def problem(self) -> str:
        """Who was refused or cut off, in a sentence; empty if nobody was."""
        return self._look().problem(self.largest_bytes) if self._socket is not None else ""

    def close(self) -> None:
        """End it for all."""
        for queue in list(self._queues):
            self.detach(queue)
        self._wake_reader.close()
        self._wake_writer.close()

    def _look(self) -> Connections:
        """What the monitor has told; nobody waits for the socket to hear it."""
        if self._lock.acquire(timeout=LOOK_S):
            try:
                if self._socket is not None:
                    self._connections.look(time.monotonic())
            finally:
                self._lock.release()
        return self._connections

    def _receive(self, timeout_s: float) -> bool:
        """False if there is no socket, or no room: then it is for others to end the wait, who need the lock for it."""
        if self._drain() or timeout_s <= 0:
            return True
        if self._socket is None or any(queue.is_full for queue in self._queues):
            return False
        has_come = self._wait(self._socket, timeout_s)
        self._emptied_s = time.monotonic()
        if has_come:
            self._drain()
        return True

    def _wait(self, socket: zmq.Socket[bytes], timeout_s: float) -> bool:
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(self._wake_reader, zmq.POLLIN)
        came = dict(poller.poll(max(1, round(timeout_s * 1e3))))
        self._forget_wake()
        return socket in came

    def _forget_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)

    def _drain(self) -> int:
        """Take what is there, as far as every queue has room; gives how many messages."""
        n, socket = 0, self._socket
        if socket is not None and self.pulls:
            now_s = time.monotonic()
            self._connections.look(now_s)
            self._backlog.greeted(self._connections.n_greetings, now_s)
        while socket is not None and not any(queue.is_full for queue in self._queues):
            now_s = time.monotonic()
            try:
                parts: Sequence[zmq.Frame] = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._emptied_s = now_s
                break
            since_s = UNKNOWN_WAIT_S if self._backlog.has(now_s) else min(now_s - self._emptied_s, UNKNOWN_WAIT_S)
            message = Received([part.buffer for part in parts], now_s, since_s if since_s > PROMPT_S else 0.0)
            for queue in self._queues:
                queue.enter(message)
            n += 1
        return n

    def _open(self) -> None:
        frames, context = self._frames, zmq.Context()
        socket = context.socket(zmq.SUB if frames.socket == "sub" else zmq.PULL)
        try:
            socket.setsockopt(zmq.RCVHWM, self._high_water_mark)
            socket.setsockopt(zmq.MAXMSGSIZE, self.largest_bytes)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.IPV6, any("[" in address for address in self.addresses))
            for option, value in KEEPALIVE.items():
                socket.setsockopt(option, value)
            if frames.socket == "sub":
                socket.setsockopt(zmq.SUBSCRIBE, b"")
            self._authenticator = secure(context, socket, frames)
            self._connections, self._backlog = Connections(socket, frames.connect, frames.bind), Backlog()
            for address in frames.bind:
                socket.bind(address)
                self._connections.bound(address, socket.getsockopt_string(zmq.LAST_ENDPOINT))
            for address in frames.connect:
                socket.connect(address)
        except (zmq.ZMQError, ConfigError) as error:
            self._context, self._socket = context, socket
            self._close()
            if isinstance(error, ConfigError):
                raise
            where = ", ".join(self.addresses)
            raise ConfigError(f"frames cannot be received at {where} (detector.frames): {error.strerror}") from error
        self._context, self._socket = context, socket

    def _close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        self._context.destroy(linger=0)
