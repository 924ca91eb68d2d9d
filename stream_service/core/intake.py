"""Frames on their way into the ledger: one whose id breaks the counting waits until another bears witness.

Policy. A frame that continues the counting is entered at once. One that does not (frames were lost before it, the
detector began to count anew, or its id is wrong) is held. The next frames decide: if one continues from the one held,
the break is real and both are entered; if one continues from before, the held one has an id that cannot be, is counted
as such and not stored. Where no next frame comes, the detector's counter decides. So one wrong id moves nothing, and
nothing that was received goes missing from the account.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.frame import Frame
from stream_service.core.ledger import INT32_MAX, Arrival, Ledger, Receipt

NEAR = 10_000
"""Ids this close belong to one counting: 10 s of frames at 1 kHz may be lost between two that bear witness together."""
MOST_HELD = 4
"""Frames that may wait at once: a wrong id may stand beside a real break."""
UNWITNESSED = 100
"""A last frame whose id no counter confirms may be this far ahead."""


class Entered(NamedTuple):
    """A frame the ledger has decided on."""

    frame: Frame
    receipt: Receipt


class _Came(NamedTuple):
    """A frame with what its identity is made of."""

    frame: Frame
    unique_id: int
    timestamp_ns: int


class Intake:
    """The way into one ledger: `admit` and `decide` give the frames on which it has decided."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last_id = ledger.first_unique_id - 1
        self._last_ns = BEFORE_ALL_TIME
        self._held: list[_Came] = []

    @property
    def held(self) -> Frame | None:
        """The frame that has waited longest for a witness."""
        return self._held[0].frame if self._held else None

    def admit(self, came: Frame, timestamp_ns: int | None = None) -> list[Entered]:
        """Take a frame that came in; those that are decided on with it, itself among them unless it is held.

        `timestamp_ns` tells frames apart that carry no stamps of their own.
        """
        frame = _Came(came, came.unique_id, came.timestamp_ns if timestamp_ns is None else timestamp_ns)
        if self._ledger.is_from_before(frame.unique_id, frame.timestamp_ns):
            return [self._enter(frame)]
        witnessed = next((held for held in reversed(self._held) if self._bears_witness(frame, held)), None)
        if witnessed is None and not self._goes_on(frame):
            self._held.append(frame)
            return [] if len(self._held) <= MOST_HELD else [self._refuse(self._held.pop(0))]
        if witnessed is None:
            entered = [self._enter(frame)]
        elif frame.unique_id < witnessed.unique_id:
            entered = [self._enter(frame, is_confirmed=True), *self._release(witnessed)]
        else:
            entered = [*self._release(witnessed), self._enter(frame, is_confirmed=True)]
        for held in tuple(self._held):
            if not any(held is still for still in self._held):
                continue
            if held.unique_id == _next_id(self._last_id):  # it had overtaken this frame
                entered += self._release(held)
            elif not (frame.unique_id < held.unique_id and frame.timestamp_ns < held.timestamp_ns):
                self._held = [still for still in self._held if still is not held]
                entered.append(self._refuse(held))
        return entered

    def decide(self, counter: int | None, *, is_last: bool = False) -> list[Entered]:
        """No frame has followed those held: let the detector's counter decide (None: it cannot tell).

        With `is_last` they are decided on in any case.
        """
        entered = []
        believed = next((held for held in reversed(self._held) if self._is_counted(held, counter)), None)
        if believed is not None:
            entered += self._release(believed)
        if is_last:
            entered += [self._refuse(held) for held in self._held]
            self._held.clear()
        return entered

    def _goes_on(self, frame: _Came) -> bool:
        """True for the next id, and for what is not newer than the last frame: a late one, or a duplicate."""
        is_late = frame.unique_id <= self._last_id and frame.timestamp_ns <= self._last_ns
        return is_late or frame.unique_id == _next_id(self._last_id)

    def _bears_witness(self, frame: _Came, held: _Came) -> bool:
        """True if `frame` and `held` belong to one counting, and not `frame` to the one before."""
        if _is_same(frame, held):
            return False
        counts_anew = held.unique_id <= self._last_id
        if counts_anew and frame.unique_id == held.unique_id:
            return True  # a detector that counts from the beginning at every position, or does not count at all
        if counts_anew and frame.unique_id > self._last_id:
            return False
        step = frame.unique_id - held.unique_id
        if frame.unique_id == _next_id(held.unique_id) or 0 < step <= NEAR:
            return True
        is_overtaken = frame.unique_id > self._last_id + 1 and frame.timestamp_ns < held.timestamp_ns
        return is_overtaken and -NEAR <= step < 0

    def _is_counted(self, held: _Came, counter: int | None) -> bool:
        counts_anew = held.unique_id <= self._last_id
        if counter is None:
            ahead = held.unique_id - self._last_id
            begins = (self._ledger.restart_unique_id, self._last_id)
            return held.unique_id in begins if counts_anew else ahead <= UNWITNESSED
        return held.unique_id <= counter and not (counts_anew and counter > self._last_id)

    def _release(self, believed: _Came) -> list[Entered]:
        """Enter a frame that is believed, and those that came as the same; what else was held before it is refused."""
        entered = []
        while not _is_same(self._held[0], believed):
            entered.append(self._refuse(self._held.pop(0)))
        same = [held for held in self._held if _is_same(held, believed)]
        self._held = [held for held in self._held if not _is_same(held, believed)]
        return entered + [self._enter(frame, is_confirmed=n == 0) for n, frame in enumerate(same)]

    def _refuse(self, frame: _Came) -> Entered:
        return Entered(frame.frame, self._ledger.refuse(frame.unique_id))

    def _enter(self, frame: _Came, *, is_confirmed: bool = False) -> Entered:
        receipt = self._ledger.receive(frame.unique_id, frame.timestamp_ns, is_confirmed=is_confirmed)
        if receipt.arrival is not Arrival.BEFORE_RUN and (
            is_confirmed or frame.unique_id == _next_id(self._last_id) or frame.timestamp_ns > self._last_ns
        ):
            self._last_id, self._last_ns = frame.unique_id, frame.timestamp_ns
        return Entered(frame.frame, receipt)


def _is_same(one: _Came, other: _Came) -> bool:
    return (one.unique_id, one.timestamp_ns) == (other.unique_id, other.timestamp_ns)


def _next_id(unique_id: int) -> int:
    """areaDetector counts in 32 bits: after the largest number comes the smallest."""
    return -INT32_MAX - 1 if unique_id == INT32_MAX else unique_id + 1
