"""What becomes of the frames of one sender on their way: lost, sent twice, under a wrong uniqueId, out of order.

Every transport has one, by the same table of faults: what one loses, all lose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from iocsim.detector.ndarray import NDArray
from iocsim.faults import Faults


class Delivery:
    """The faulty way of one sender's frames. In the driver's thread."""

    def __init__(self, faults: Callable[[], Faults]) -> None:
        """`faults` gives those in force."""
        self._faults = faults
        self._held: list[tuple[float, NDArray]] = []
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
        sent = array
        if ahead := faults.sent_id(array.unique_id) - array.unique_id:
            sent = replace(array, unique_id=array.unique_id + ahead, number=array.number + ahead)
        if faults.reorder < 2 and not self._held:
            return copies, (sent,) * copies
        self._held += [(faults.place(array.unique_id), sent)] * copies
        return copies, self.rest() if len(self._held) >= faults.reorder else ()

    def rest(self) -> tuple[NDArray, ...]:
        """The frames that are held back, in the order in which they leave; none are held back any more."""
        held, self._held = self._held, []
        return tuple(array for _, array in sorted(held, key=lambda one: one[0]))
