"""The updates of one PVA subscription, taken by the thread that works on them: the way from the network to the run.

pvxs keeps the updates that came, up to the `queueSize` of the subscription; p4p's raw client only says that there are
some. Whoever works on them takes them out in batches, so that no frame costs a change of threads, and none waits
between two of them for Python's lock. What comes while the subscription's queue is full is overwritten by the
transport, and the ledger sees the gap: there is one place of loss.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

from p4p.client.raw import Cancelled
from p4p.wrapper import Value

from stream_service.core.frame import PROMPT_S, UNKNOWN_WAIT_S
from stream_service.sources.live.ntndarray import held_bytes, is_empty

TAKEN_OUT = 4
"""One in so many bytes of the budget is for updates that were taken out and wait here, where it is seen how much waits;
the others are for the subscription."""


class Subscription(Protocol):
    """p4p's raw one."""

    def pop(self) -> Value | Exception | None:
        """The next update, or what became of the connection; None if there is none now."""
        ...

    def close(self) -> None: ...


class Received(NamedTuple):
    """An update with pixels, and when it came, on the monotonic clock; None if nobody looked at a clock."""

    message: Value
    at_s: float | None
    waited_s: float = 0.0
    """How long before that it may have come."""


class PvaQueue:
    """Updates in the order in which they came; `signal` is the handler of the subscription it takes them from.

    Updates without pixels, which a channel sends before its first frame, show only that it answers. The first update of
    a connection is what the channel held, an old frame: it came to us when it was made, or at any time after that.
    """

    def __init__(self, budget_bytes: int) -> None:
        """`budget_bytes` is for all that waits, here and in the subscription."""
        self.held_bytes = 0
        """Of the updates that are known to wait; more may be in the subscription."""
        self.has_answered = False
        """True once an update came."""
        self.disconnection: Exception | None = None
        """What became of the connection; None while it stands."""
        self._taken: deque[tuple[Received, int]] = deque()
        self._most_bytes = budget_bytes // TAKEN_OUT
        self._most_in_a_batch_bytes = self._most_bytes // 2
        """Where frames are large, the rest of those taken out shows that they wait."""
        self._subscription: Subscription | None = None
        self._has_news = threading.Event()
        self._lock = threading.Lock()
        """`close` may be called beside `take`."""
        self._is_old = True
        """True of the next update: no other has come by this connection."""
        self._signalled_s = 0.0
        self._emptied_s: float | None = None
        """When the subscription had no update left; None once it had one again: only that one is signalled."""

    def __len__(self) -> int:
        self._fill()
        return len(self._taken)

    def signal(self) -> None:
        """The subscription has updates, after it had none."""
        self._signalled_s = time.monotonic()
        self._has_news.set()

    def subscribe(self, subscription: Subscription) -> None:
        """Take updates from now on."""
        self._subscription = subscription

    def replace(self, subscription: Subscription) -> bool:
        """Take updates from this one instead of that whose connection is lost, which is closed; False if that has
        updates again."""
        self._fill()
        with self._lock:
            old = self._subscription
            if old is None or self.disconnection is None or self.held_bytes >= self._most_bytes:
                return False
            if (update := old.pop()) is not None:
                self._enter(update, time.monotonic(), UNKNOWN_WAIT_S)
                return False
            self._subscription = subscription
        old.close()
        return True

    def look(self) -> None:
        """See what has come, without taking it."""
        self._fill()

    def take(self, timeout_s: float, at_most: int = 64) -> list[Received]:
        """Some updates in order, `at_most` or half of what may be held; waits up to `timeout_s` for the first one."""
        self._has_news.clear()
        self._fill()
        if not self._taken and self._has_news.wait(timeout_s):
            self._fill()
        batch: list[Received] = []
        batch_bytes = 0
        while self._taken and (not batch or (len(batch) < at_most and batch_bytes < self._most_in_a_batch_bytes)):
            received, n_bytes = self._taken.popleft()
            self.held_bytes -= n_bytes
            batch_bytes += n_bytes
            batch.append(received)
        return batch

    def wake(self) -> None:
        """End a `take` that waits, with nothing."""
        self._has_news.set()

    def close(self) -> None:
        """Let nothing more in; what has come, as far as it is held here, can still be taken."""
        self._fill()
        with self._lock:
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None  # its handler keeps this queue, and that its frames: a circle
        self._has_news.set()

    def _fill(self) -> None:
        with self._lock:
            if self._subscription is None:
                return
            while self.held_bytes < self._most_bytes:
                now_s = time.monotonic()
                if (update := self._subscription.pop()) is None:
                    self._emptied_s = now_s
                    return
                at_s, waited_s = now_s, now_s - self._signalled_s
                if self._emptied_s is not None:
                    is_signalled = self._signalled_s >= self._emptied_s  # else its signal is still on its way
                    at_s = self._signalled_s if is_signalled else now_s
                    since_s = 0.0 if is_signalled else now_s - self._emptied_s
                    waited_s = since_s if since_s > PROMPT_S else 0.0
                    self._emptied_s = None
                self._enter(update, at_s, waited_s)

    def _enter(self, update: Any, at_s: float, waited_s: float) -> None:
        if not isinstance(update, Value):
            if not isinstance(update, Cancelled):
                self.disconnection = update
                self._is_old = True
            return
        self.has_answered, self.disconnection = True, None
        if self._is_old:
            self._is_old, waited_s = False, UNKNOWN_WAIT_S
        if not is_empty(update):
            n_bytes = held_bytes(update)
            self._taken.append((Received(update, at_s, waited_s), n_bytes))
            self.held_bytes += n_bytes
