"""Intake of frames into the ledger: a frame whose uniqueId does not follow waits until another frame confirms it.

Policy. A frame whose id follows the last one is entered at once. One whose id does not (frames were lost before it, the
detector has reset its counter, or the id is wrong) waits. The next frames decide: if one follows the waiting frame, the
gap is real and both are entered; if one follows the last frame entered, the id of the waiting one is implausible: it is
counted as such and not stored. Where no next frame comes, the detector's counter decides. So one wrong id moves
nothing, and nothing that was received goes missing from the account.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.frame import Frame
from stream_service.core.ledger import INT32_MAX, Arrival, Ledger, Receipt

NEAR = 10_000
"""Ids this close are of one epoch: 10 s of frames at 1 kHz may be lost between two that confirm each other."""
MOST_WAITING = 4
"""Frames that may wait at once: a wrong id may stand beside a real gap."""
UNCONFIRMED = 100
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
        self._waiting: list[_Came] = []

    @property
    def waiting(self) -> Frame | None:
        """The frame that has waited longest for its confirmation."""
        return self._waiting[0].frame if self._waiting else None

    def admit(self, came: Frame, timestamp_ns: int | None = None) -> list[Entered]:
        """Take a frame that came in; those that are decided on with it, itself among them unless it waits.

        `timestamp_ns` tells frames apart that carry no stamps of their own.
        """
        frame = _Came(came, came.unique_id, came.timestamp_ns if timestamp_ns is None else timestamp_ns)
        if self._ledger.is_from_before(frame.unique_id, frame.timestamp_ns):
            return [self._enter(frame)]
        confirmed = next((waiting for waiting in reversed(self._waiting) if self._confirms(frame, waiting)), None)
        if confirmed is None and not self._goes_on(frame):
            self._waiting.append(frame)
            return [] if len(self._waiting) <= MOST_WAITING else [self._refuse(self._waiting.pop(0))]
        if confirmed is None:
            entered = [self._enter(frame)]
        elif frame.unique_id < confirmed.unique_id:
            entered = [self._enter(frame, is_confirmed=True), *self._release(confirmed)]
        else:
            entered = [*self._release(confirmed), self._enter(frame, is_confirmed=True)]
        for waiting in tuple(self._waiting):
            if not any(waiting is still for still in self._waiting):
                continue
            if waiting.unique_id == _next_id(self._last_id):  # it had overtaken this frame
                entered += self._release(waiting)
            elif not (frame.unique_id < waiting.unique_id and frame.timestamp_ns < waiting.timestamp_ns):
                self._waiting = [still for still in self._waiting if still is not waiting]
                entered.append(self._refuse(waiting))
        return entered

    def decide(self, counter: int | None, *, is_last: bool = False) -> list[Entered]:
        """No frame has followed those that wait: let the detector's counter decide (None: it cannot tell).

        With `is_last` they are decided on in any case.
        """
        entered = []
        trusted = next((waiting for waiting in reversed(self._waiting) if self._is_counted(waiting, counter)), None)
        if trusted is not None:
            entered += self._release(trusted)
        if is_last:
            entered += [self._refuse(waiting) for waiting in self._waiting]
            self._waiting.clear()
        return entered

    def _goes_on(self, frame: _Came) -> bool:
        """True for the next id, and for what is not newer than the last frame: a late one, or a duplicate."""
        is_late = frame.unique_id <= self._last_id and frame.timestamp_ns <= self._last_ns
        is_late = is_late and not self._ledger.belies_begin(frame.unique_id)
        return is_late or frame.unique_id == _next_id(self._last_id)

    def _confirms(self, frame: _Came, waiting: _Came) -> bool:
        """True if `frame` and `waiting` are of one epoch, and `frame` is not of the one before."""
        if _is_same(frame, waiting):
            return False
        has_restarted = waiting.unique_id <= self._last_id
        if has_restarted and frame.unique_id == waiting.unique_id:
            return True  # a detector that counts from the beginning at every position, or does not count at all
        if has_restarted and frame.unique_id > self._last_id:
            return False
        step = frame.unique_id - waiting.unique_id
        if frame.unique_id == _next_id(waiting.unique_id) or 0 < step <= NEAR:
            return True
        is_overtaken = frame.unique_id > self._last_id + 1 and frame.timestamp_ns < waiting.timestamp_ns
        return is_overtaken and -NEAR <= step < 0

    def _is_counted(self, waiting: _Came, counter: int | None) -> bool:
        has_restarted = waiting.unique_id <= self._last_id
        if counter is None:
            ahead = waiting.unique_id - self._last_id
            begins = (self._ledger.restart_unique_id, self._last_id)
            return waiting.unique_id in begins if has_restarted else ahead <= UNCONFIRMED
        return waiting.unique_id <= counter and not (has_restarted and counter > self._last_id)

    def _release(self, trusted: _Came) -> list[Entered]:
        """Enter a frame that is confirmed, and its duplicates; what else has waited before it is refused."""
        entered = []
        while not _is_same(self._waiting[0], trusted):
            entered.append(self._refuse(self._waiting.pop(0)))
        same = [waiting for waiting in self._waiting if _is_same(waiting, trusted)]
        self._waiting = [waiting for waiting in self._waiting if not _is_same(waiting, trusted)]
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
