"""The messages of a ZMQ socket that wait for one run, bounded in bytes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from stream_service.sources.live.zmq.dialect import Received

TAKEN_OUT = 4
"""One in so many bytes of the budget is for messages that were taken out of ZMQ; the others are for ZMQ."""
MOST_IN_A_BATCH = 64
"""After which a run looks around."""
PART_BYTES = 1024
"""What a part of a message takes beside its bytes."""


class Receiving(Protocol):
    """Who fills the queue; see `ZmqReceiver`."""

    def receive(self, own: ZmqQueue, timeout_s: float) -> None: ...

    def wake(self) -> None: ...


class ZmqQueue:
    """Messages in the order in which they came; `take` is for one thread."""

    def __init__(self, receiver: Receiving, budget_bytes: int) -> None:
        """It holds `budget_bytes`, and one message more; what comes while it is full waits in ZMQ."""
        self.held_bytes = 0
        self._receiver = receiver
        self._budget_bytes = budget_bytes
        self._messages: deque[Received] = deque()
        self._has_news = threading.Event()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        self._receiver.receive(self, 0.0)
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """True if no more may be entered."""
        return self.held_bytes >= self._budget_bytes

    def enter(self, message: Received) -> None:
        """Append a message; called by the thread that receives."""
        with self._lock:
            self.held_bytes += held_bytes(message)
            self._messages.append(message)
        self._has_news.set()

    def take(self, timeout_s: float) -> list[Received]:
        """Some messages in order, at most half of the budget; waits up to `timeout_s` for the first one."""
        self._has_news.clear()
        self._receiver.receive(self, 0.0)
        if not self._messages and timeout_s > 0:
            self._receiver.receive(self, timeout_s)
        batch: list[Received] = []
        batch_bytes = 0
        with self._lock:
            while self._messages and len(batch) < MOST_IN_A_BATCH and batch_bytes <= self._budget_bytes // 2:
                batch.append(self._messages.popleft())
                batch_bytes += held_bytes(batch[-1])
            self.held_bytes -= batch_bytes
        return batch

    def wait(self, timeout_s: float) -> None:
        """Wait until something came, or `wake` was called."""
        self._has_news.wait(timeout_s)

    def wake(self) -> None:
        """End a `take` that waits, with nothing."""
        self._has_news.set()
        self._receiver.wake()


def held_bytes(message: Received) -> int:
    """Memory that a message takes."""
    return message.n_bytes + PART_BYTES * len(message.parts)
