"""Delivery of the frames of one sender, which may be lost, sent twice, damaged, late, wrongly named, out of order.

Every transport has one, by the same table of faults: what one loses, all lose.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from iocsim.damage import garbled, truncated
from iocsim.detector.ndarray import NDArray
from iocsim.faults import Faults


@dataclass(slots=True)
class _Late:
    """A frame that is held back."""

    array: NDArray
    n_frames: int
    """How many others are to be taken first."""
    due_s: float
    """`time.monotonic` before which it does not leave."""


class Delivery:
    """The faulty way of one sender's frames. `take` and `rest` in the driver's thread, `due` in any."""

    def __init__(self, faults: Callable[[], Faults]) -> None:
        """`faults` gives those in force."""
        self._faults = faults
        self._held: list[tuple[float, NDArray]] = []
        self._late: list[_Late] = []
        self._lock = threading.Lock()
        self.n_sent = 0
        self.n_dropped = 0
        """On purpose."""
        self.n_duplicated = 0

    def take(self, array: NDArray) -> tuple[int, tuple[NDArray, ...]]:
        """The number of times that the frame leaves, now or later, and the frames that leave now."""
        faults = self._faults()
        copies = faults.copies(array.unique_id)
        if copies:
            self.n_sent += 1
            self.n_duplicated += copies - 1
        else:
            self.n_dropped += 1
        with self._lock:
            for late in self._late:
                late.n_frames -= 1
            leaving = self._taken(array, copies, faults)
            return copies, leaving + self._due()

    def rest(self) -> tuple[NDArray, ...]:
        """The frames that wait to be shuffled, in the order in which they leave; late ones stay."""
        with self._lock:
            return self._shuffled()

    def due(self) -> tuple[NDArray, ...]:
        """The late frames whose time has come, though no other was taken."""
        with self._lock:
            return self._due()

    def _taken(self, array: NDArray, copies: int, faults: Faults) -> tuple[NDArray, ...]:
        sent = _as_sent(array, faults, copies)
        if (delay := faults.delays.of(array.unique_id)) is not None:
            due_s = time.monotonic() + delay.seconds
            self._late += [_Late(one, delay.n_frames, due_s) for one in sent]
            return ()
        if faults.reorder < 2 and not self._held:
            return sent
        self._held += [(faults.place(array.unique_id), one) for one in sent]
        return self._shuffled() if len(self._held) >= faults.reorder else ()

    def _shuffled(self) -> tuple[NDArray, ...]:
        held, self._held = self._held, []
        return tuple(array for _, array in sorted(held, key=lambda one: one[0]))

    def _due(self) -> tuple[NDArray, ...]:
        if not self._late:
            return ()
        now_s = time.monotonic()
        due = tuple(late.array for late in self._late if late.n_frames <= 0 and late.due_s <= now_s)
        self._late = [late for late in self._late if late.n_frames > 0 or late.due_s > now_s]
        return due


def _as_sent(array: NDArray, faults: Faults, copies: int) -> tuple[NDArray, ...]:
    """The frame as it leaves, once or twice: damaged, under a wrong uniqueId, the copy with another stamp."""
    if array.unique_id in faults.corrupt_ids:
        array = garbled(array, faults.seed)
    elif array.unique_id in faults.truncated_ids:
        array = truncated(array)
    if ahead := faults.sent_id(array.unique_id) - array.unique_id:
        array = replace(array, unique_id=array.unique_id + ahead, number=array.number + ahead)
    if copies < 2 or not faults.copy_stamp_s:
        return (array,) * copies
    return array, replace(array, timestamp_ns=array.timestamp_ns + round(1e9 * faults.copy_stamp_s))
