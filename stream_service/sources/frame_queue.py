"""The queue between the thread that receives frames and the one that works on them, bounded in bytes.

Policy: towards the file nothing is dropped here. A full queue makes the receiver wait; the transport behind it then
overwrites what it cannot hold, and the ledger sees the gap. So every loss is counted, and there is one place of loss.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """First in, first out; `put` waits while more than `capacity_bytes` are held."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.held_bytes = 0
        self._items: deque[tuple[T, int]] = deque()
        self._is_closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, n_bytes: int) -> bool:
        """Append an item, waiting for room; False if the queue was closed instead. One item always fits."""
        with self._changed:
            while self._items and self.held_bytes + n_bytes > self.capacity_bytes and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return False
            self._items.append((item, n_bytes))
            self.held_bytes += n_bytes
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float, at_most: int = 32) -> list[T]:
        """Up to `at_most` items in order; waits up to `timeout_s` for the first one."""
        with self._changed:
            if not self._items and not self._is_closed:
                self._changed.wait(timeout_s)
            taken = []
            while self._items and len(taken) < at_most:
                item, n_bytes = self._items.popleft()
                self.held_bytes -= n_bytes
                taken.append(item)
            if taken:
                self._changed.notify_all()
            return taken

    def wake(self) -> None:
        """End a `take` that waits, with nothing."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Let nothing more in and end every wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
