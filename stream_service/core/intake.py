"""Intake of frames into the ledger: a frame whose uniqueId does not follow waits until another frame confirms it.

Policy. A frame whose id follows the last one is entered at once. One whose id does not (frames were lost before it, the
detector has reset its counter, or the id is wrong) waits. The next frames decide: if one follows the waiting frame, the
gap is real and both are entered; if one follows the last frame entered, the id of the waiting one is implausible: it is
counted as such and not stored. Where no next frame comes, since the detector has reset its counter, or stopped, its id
must be near, or the detector's counter decides. So one wrong id moves nothing, and nothing that was received goes
missing from the account. Where the source says the epoch of its frames, only ids within one epoch are compared: a
smaller one is late, and the first one of a new epoch follows; within the length of a series that was announced every
id is right.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_service.core.epochs import INT32_MAX
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival, Receipt

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
    epoch: int | None
    """None if its source does not say it."""


class Intake:
    """The way into one ledger: `admit` and `decide` give the frames on which it has decided."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last_epoch, self._last_id, self._last_ns = ledger.epochs.last_frame
        self._waiting: list[_Came] = []

    @property
    def waiting(self) -> Frame | None:
        """The frame that has waited longest for its confirmation."""
        return self._waiting[0].frame if self._waiting else None

    def admit(self, came: Frame, timestamp_ns: int | None = None) -> list[Entered]:
        """Take a frame that came in; those that are decided on with it, itself among them unless it waits.

        `timestamp_ns` tells frames apart that carry no stamps of their own.
        """
        time_ns = came.timestamp_ns if timestamp_ns is None else timestamp_ns
        frame = _Came(came, came.unique_id, time_ns, came.epoch)
        if self._ledger.is_from_before(frame.unique_id, frame.timestamp_ns, frame.epoch):
            return [self._enter(frame)]
        if self._is_late(frame) or (not self._waiting and self._goes_on(frame)):  # as nearly all do
            return [self._enter(frame)]
        entered = self.decide(None, is_last=True) if self._ends_what_waits(frame) else []
        confirmed = next((waiting for waiting in reversed(self._waiting) if self._confirms(frame, waiting)), None)
        if confirmed is None and not self._goes_on(frame):
            self._waiting.append(frame)
            return entered if len(self._waiting) <= MOST_WAITING else [*entered, self._refuse(self._waiting.pop(0))]
        if confirmed is None:
            entered.append(self._enter(frame))
        elif frame.unique_id < confirmed.unique_id:
            entered += [self._enter(frame, is_confirmed=True), *self._release(confirmed)]
        else:
            entered += [*self._release(confirmed), self._enter(frame, is_confirmed=True)]
        return entered + self._judge_waiting(frame)

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

    def _judge_waiting(self, entered: _Came) -> list[Entered]:
        """After a frame was entered: what follows it now had overtaken it, what it has overtaken goes on waiting."""
        judged = []
        while follows := [each for each in self._waiting if self._follows(each, self._last_id_before(each))]:
            judged += self._enter_waiting(follows[0])
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if entered.unique_id < each.unique_id and entered.timestamp_ns < each.timestamp_ns:
                self._waiting.append(each)
            else:
                judged.append(self._refuse(each))
        return judged

    def _ends_what_waits(self, frame: _Came) -> bool:
        """True for the first frame of a later epoch by its source's word: nothing more comes to confirm the others."""
        before = self._waiting[-1].epoch if self._waiting else None
        return before is not None and frame.epoch is not None and frame.epoch > before

    def _is_late(self, frame: _Came) -> bool:
        """True for one that its source's word puts before the last frame: it says nothing of those that wait."""
        return frame.epoch is not None and (frame.epoch, frame.unique_id) <= (self._last_epoch, self._last_id)

    def _last_id_before(self, frame: _Came) -> int:
        """The last id of the epoch of a frame; that before its first one if it begins it."""
        if frame.epoch is None or frame.epoch <= self._last_epoch:
            return self._last_id
        return self._ledger.restart_unique_id - 1

    def _goes_on(self, frame: _Came) -> bool:
        """True for the next id, one within an announced series, and what is not newer than the last frame: a late one,
        or a duplicate. Not for a copy with another stamp, which alone is no reset of counter and clock."""
        if frame.epoch is not None and self._ledger.epochs.is_announced(frame.epoch, frame.unique_id):
            return True
        last_id = self._last_id_before(frame)
        is_late = frame.unique_id <= last_id
        if frame.epoch is None:
            is_late = is_late and frame.timestamp_ns <= self._last_ns
            is_late = is_late and not self._ledger.belies_begin(frame.unique_id)
            is_late = is_late and not self._ledger.begins_epoch(frame.unique_id, frame.timestamp_ns)
        return is_late or self._follows(frame, last_id)

    def _follows(self, frame: _Came, last_id: int) -> bool:
        """True for the next id; where others get frames, too, for the next but those."""
        return frame.unique_id == _next_id(last_id) or 0 < frame.unique_id - last_id <= self._ledger.step

    def _has_restarted(self, waiting: _Came) -> bool:
        """True for a frame that waits and whose id counts back; one whose source says its epoch does not."""
        return waiting.epoch is None and waiting.unique_id <= self._last_id

    def _confirms(self, frame: _Came, waiting: _Came) -> bool:
        """True if `frame` and `waiting` are of one epoch, and `frame` is not of the one before."""
        if _is_same(frame, waiting) or frame.epoch != waiting.epoch:
            return False
        has_restarted = self._has_restarted(waiting)
        if has_restarted and frame.unique_id == waiting.unique_id:
            return True  # a detector that counts from the beginning at every position, or does not count at all
        if has_restarted and frame.unique_id > self._last_id and not self._is_overtaken_by_time(frame, waiting):
            return False
        step = frame.unique_id - waiting.unique_id
        if frame.unique_id == _next_id(waiting.unique_id) or 0 < step <= NEAR:
            return True
        is_overtaken = frame.unique_id > self._last_id_before(frame) + 1 and frame.timestamp_ns < waiting.timestamp_ns
        return is_overtaken and -NEAR <= step < 0

    def _is_overtaken_by_time(self, frame: _Came, restarted: _Came) -> bool:
        """True if `frame` was made after one that waits, came before the reset, and has a larger id: it is no late one,
        so it is of another epoch, too."""
        ends = (waiting for waiting in self._waiting if self._ends_epoch(waiting, restarted))
        return any(last.unique_id > frame.unique_id and last.timestamp_ns < frame.timestamp_ns for last in ends)

    def _is_counted(self, waiting: _Came, counter: int | None) -> bool:
        has_restarted = self._has_restarted(waiting)
        if counter is None:
            ahead = waiting.unique_id - self._last_id_before(waiting)
            begins = (self._ledger.restart_unique_id, self._last_id)
            return waiting.unique_id in begins if has_restarted else ahead <= UNCONFIRMED
        return waiting.unique_id <= counter and not (has_restarted and counter > self._last_id)

    def _release(self, trusted: _Came) -> list[Entered]:
        """Enter a frame that is confirmed, and its duplicates; what else has waited before it is refused.

        But for the last frames before the counter was reset, if others were lost before them: no frame follows those.
        """
        entered = []
        while not _is_same(first := self._waiting[0], trusted):
            if self._has_restarted(trusted) and self._ends_epoch(first, trusted):
                entered += self._enter_waiting(first)
            else:
                entered.append(self._refuse(self._waiting.pop(0)))
        return entered + self._enter_waiting(trusted)

    def _ends_epoch(self, waiting: _Came, restarted: _Came) -> bool:
        """True for a frame not far ahead, made between the last one and the first after a reset of the counter."""
        is_between = self._last_ns < waiting.timestamp_ns < restarted.timestamp_ns
        return is_between and 0 < waiting.unique_id - self._last_id <= UNCONFIRMED

    def _enter_waiting(self, trusted: _Came) -> list[Entered]:
        """Enter a frame that waits, and its duplicates."""
        same = [waiting for waiting in self._waiting if _is_same(waiting, trusted)]
        self._waiting = [waiting for waiting in self._waiting if not _is_same(waiting, trusted)]
        return [self._enter(frame, is_confirmed=n == 0) for n, frame in enumerate(same)]

    def _refuse(self, frame: _Came) -> Entered:
        return Entered(frame.frame, self._ledger.refuse(frame.unique_id, frame.timestamp_ns))

    def _enter(self, frame: _Came, *, is_confirmed: bool = False) -> Entered:
        receipt = self._ledger.receive(
            frame.unique_id, frame.timestamp_ns, epoch=frame.epoch, is_confirmed=is_confirmed
        )
        if receipt.arrival is not Arrival.BEFORE_RUN and self._is_newest(frame, is_confirmed=is_confirmed):
            self._last_id, self._last_ns = frame.unique_id, frame.timestamp_ns
            self._last_epoch = self._last_epoch if frame.epoch is None else frame.epoch
        return Entered(frame.frame, receipt)

    def _is_newest(self, frame: _Came, *, is_confirmed: bool) -> bool:
        if frame.epoch is not None:
            return not self._is_late(frame)
        return is_confirmed or self._follows(frame, self._last_id) or frame.timestamp_ns > self._last_ns


def _is_same(one: _Came, other: _Came) -> bool:
    return one[1:] == other[1:]


def _next_id(unique_id: int) -> int:
    """areaDetector counts in 32 bits: after the largest number comes the smallest."""
    return -INT32_MAX - 1 if unique_id == INT32_MAX else unique_id + 1
