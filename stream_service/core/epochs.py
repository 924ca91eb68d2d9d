"""Places of frames in a run: from uniqueId and epoch to the ordinal, which counts frames across epochs.

A detector that resets its counter begins an epoch. Which one a frame belongs to is said by its source where that knows
(`Frame.epoch`: a series of ZMQ, an arming of SIMPLON), else found by its id and stamp: an id that counts back, or whose
place another frame has, begins a new epoch. An epoch ends where the next one begins: what comes later of it and was not
made before has no place any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import pairwise
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from stream_service.core.clock import AFTER_ALL_TIME, BEFORE_ALL_TIME
from stream_service.core.epoch import Epoch, EpochEnd, Place, Reached
from stream_service.core.growing import grown

MAX_JUMP = 1 << 22
"""Most frames that can have been lost at once (4 million: over an hour at 1 kHz)."""
MOST_RESETS = 100
"""Of the counter in one run, for each of which frames are looked for that no id tells of."""
INT32_MAX = (1 << 31) - 1
"""areaDetector's uniqueId is a 32-bit integer."""


_given = attrgetter("given")


class Epochs:
    """The epochs of one run, the first of which begins with `first_unique_id`."""

    def __init__(self, first_unique_id: int, restart_unique_id: int, given: int, capacity: int) -> None:
        self.n_seen = 0
        """Ordinals up to the last frame seen, or that a later epoch has passed: frames the detector has made."""
        self.restart_unique_id = restart_unique_id
        self.n_announced = 0
        """Ordinals up to the last one of the series that were announced with their length."""
        self.n_changes = 0
        """How often an epoch has begun, or was announced."""
        self._epochs = [Epoch(first_unique_id, 0, BEFORE_ALL_TIME, given)]
        self._last_unique_id = first_unique_id - 1
        self._last_timestamp_ns = BEFORE_ALL_TIME
        # of zeros: a long plan takes no memory before its frames
        self._is_taken = np.zeros(capacity, np.bool_)
        self._stamps_ns = np.zeros(capacity, np.int64)
        self._displaced: dict[int, tuple[int, int]] = {}
        """Epoch and id of frames that stand behind all others."""
        self._unseen: Epoch | None = None
        """The one that began without a frame."""

    @property
    def current(self) -> int:
        """The epoch that began last."""
        return len(self._epochs) - 1

    def since(self, epoch: int = 0) -> tuple[Epoch, ...]:
        """This one, counted from 0, and those after it."""
        return tuple(self._epochs[epoch:])

    @property
    def last_frame(self) -> tuple[int, int, int]:
        """What its source calls the epoch of the last frame, its id and stamp; at first what precedes the first."""
        return self._epochs[-1].given, self._last_unique_id, self._last_timestamp_ns

    @property
    def reached(self) -> Reached:
        """How far frames have come by now."""
        return Reached(self.current, self.n_seen, self._last_unique_id, self._last_timestamp_ns)

    def restore(
        self,
        epochs: Sequence[Epoch],
        n_announced: int,
        frames: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        n_most: int,
        reached: Reached | None = None,
        n_made: int = 0,
    ) -> npt.NDArray[np.int64]:
        """Go on with these epochs, in which these frames have come: epoch, unique_id and stamp, (n,) each.

        `reached` is how far frames had come that are not among them. Gives their ordinals (n,); -1 for one that has no
        place below `n_most`. Those that were displaced stand behind the `n_made` that are known of, as before.
        """
        epoch, unique_ids, stamps_ns = frames
        self._epochs, self.n_announced = list(epochs), n_announced
        firsts = np.array([known.first_ordinal for known in epochs] + [n_most], np.int64)
        first_ids = np.array([known.first_unique_id for known in epochs], np.int64)
        is_known = (epoch >= 0) & (epoch < len(epochs))
        of = np.where(is_known, epoch, 0)
        ordinals = firsts[of] + unique_ids - first_ids[of]
        is_within = is_known & (ordinals >= firsts[of]) & (ordinals < firsts[of + 1]) & (ordinals < n_most)
        behind = ordinals - firsts[of + 1]
        ordinals[~is_within] = -1
        places = ordinals[is_within]
        self.n_seen = max(epochs[-1].first_ordinal, int(places.max(initial=-1)) + 1)
        self._is_taken, self._stamps_ns = grown(self._is_taken, self.n_seen), grown(self._stamps_ns, self.n_seen)
        self._is_taken[places], self._stamps_ns[places] = True, stamps_ns[is_within]
        self._last_unique_id, self._last_timestamp_ns = epochs[-1].first_unique_id - 1, epochs[-1].after_ns
        if (current := is_within & (epoch == self.current)).any():
            last = int(np.argmax(np.where(current, ordinals, -1)))
            self._last_unique_id, self._last_timestamp_ns = int(unique_ids[last]), int(stamps_ns[last])
        if reached is not None and reached.epoch == self.current and self.n_seen < reached.n_seen <= n_most:
            _, self.n_seen, self._last_unique_id, self._last_timestamp_ns = reached
            if self.ordinal_now(reached.last_unique_id) == self.n_seen - 1:  # it shows whose a record of all frames is
                self._take(self.n_seen - 1, reached.last_timestamp_ns)
        is_behind = is_known & (epoch < self.current) & (behind >= 0)
        self._restore_displaced(np.flatnonzero(is_behind), frames, ordinals, n_made, n_most)
        return ordinals

    def _restore_displaced(
        self,
        which: npt.NDArray[np.int64],
        frames: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        ordinals: npt.NDArray[np.int64],
        n_made: int,
        n_most: int,
    ) -> None:
        """Enter those of the frames that came after the last one of their epoch for which there is a place."""
        of: dict[tuple[int, int], int] = {}
        for n in which.tolist():
            epoch, unique_id, stamp_ns = (int(column[n]) for column in frames)
            ordinal = of.setdefault((epoch, unique_id), max(self.n_seen, n_made))
            if ordinal < n_most:
                self.displace(ordinal, epoch, unique_id, stamp_ns)
                ordinals[n] = ordinal

    def has(self, ordinal: int) -> bool:
        """True if a frame has come to this place."""
        return 0 <= ordinal < len(self._is_taken) and bool(self._is_taken[ordinal])

    def shares_stamp(self, ordinal: int) -> bool:
        """True if a frame beside this one has its stamp: the clock stood, and stamps tell no frames apart."""
        stamp_ns = self._stamps_ns[ordinal]
        beside = (ordinal - 1, ordinal + 1)
        return any(self.has(other) and self._stamps_ns[other] == stamp_ns for other in beside)

    def repeats_stamp(self, ordinal: int) -> bool:
        """True if a frame has the stamp of the one before it."""
        return self.has(ordinal - 1) and self.has(ordinal) and bool(np.diff(self._stamps_ns[ordinal - 1 :][:2]) == 0)

    def ordinal_now(self, unique_id: int) -> int:
        """The place of an id in the current epoch."""
        return self._epochs[-1].ordinal_of(unique_id)

    def announce(
        self, given: int, first_unique_id: int, n_frames: int, n_most: int | None, *, is_in_vain: bool = False
    ) -> None:
        """The source says that an epoch begins, and how long it is (0: not said): its frames keep their places, also
        those of which nothing comes, once the next one begins.

        A length does not count that goes beyond `n_most`, the ordinals that were planned: a detector may be set to
        count on until it is stopped. Nor where nobody planned (None): the series may end early. `is_in_vain`: of those
        that were announced before, nothing was made.
        """
        self.n_changes += 1
        if given == self._epochs[-1].given:
            begun = self._epochs[-1]
        elif given < self._epochs[-1].given:
            return
        else:
            self.n_announced = 0 if is_in_vain else self.n_announced
            begun = self._after_last(first_unique_id, given)
            self._epochs[len(self._epochs) if self._n_placed else 0 :] = [begun]
            self.n_seen = begun.first_ordinal
        end = begun.first_ordinal + n_frames
        if n_most is not None and end <= n_most:
            self.n_announced = max(self.n_announced, end)

    def begin_unseen(self) -> None:
        """The counter was reset behind the last frame, and none has come since: an epoch has begun all the same."""
        self._unseen = begun = self._after_last(self.restart_unique_id, self._epochs[-1].given + 1)
        self._epochs[len(self._epochs) if self._n_placed else 0 :] = [begun]
        self._last_unique_id = begun.first_unique_id - 1
        self.n_changes += 1

    def is_latest(self, given: int) -> bool:
        """True for the epoch that began last, or was announced last."""
        return self._epochs[-1].given == given

    def is_announced(self, given: int, unique_id: int) -> bool:
        """True for a frame within the length of a series that was announced, or that the next one has passed."""
        epoch = bisect_right(self._epochs, given, key=_given) - 1
        if epoch < 0 or self._epochs[epoch].given != given:
            return False
        end = self.n_announced if epoch == self.current else self._epochs[epoch + 1].first_ordinal
        return self._epochs[epoch].first_ordinal <= self._epochs[epoch].ordinal_of(unique_id) < end

    def place_in(self, given: int, unique_id: int, *, is_confirmed: bool) -> Place:
        """The place of a frame whose source says its epoch: stamps tell nothing then. A new epoch begins with it."""
        epoch = self.current
        if given != self._epochs[epoch].given:
            epoch = bisect_right(self._epochs, given, key=_given) - 1
        if epoch < 0:
            return Place(0, -1, is_within=False)
        while epoch and self._epochs[epoch - 1].given == given and unique_id < self._epochs[epoch].first_unique_id:
            epoch -= 1  # someone had set the counter ahead
        known = self._epochs[epoch]
        if known.given != given and epoch < self.current:
            return Place(epoch, self._epochs[epoch + 1].first_ordinal, is_within=False)  # nothing of it had come
        if known.given != given:
            known = self._after_last(min(self.restart_unique_id, unique_id), given)
            return self._beginning(known, unique_id, is_confirmed=is_confirmed)
        ordinal = known.ordinal_of(unique_id)
        if epoch == self.current and is_confirmed and ordinal - self.n_seen > MAX_JUMP:
            return self._beginning(known, unique_id, is_confirmed=True)
        return Place(epoch, ordinal, self._is_within(epoch, ordinal))

    def place_of(self, unique_id: int, timestamp_ns: int, *, is_confirmed: bool) -> Place:
        """The place of a frame by its id and stamp; it may begin an epoch."""
        if unique_id == self._last_unique_id + 1 and timestamp_ns > self._last_timestamp_ns:  # as nearly all do
            ordinal = self._epochs[-1].ordinal_of(unique_id)
            if ordinal >= self.n_seen:
                return Place(self.current, ordinal, is_within=True)
        epoch = self._epoch_for(unique_id, timestamp_ns, is_confirmed)
        ordinal = self._epochs[epoch].ordinal_of(unique_id)
        is_within = self._is_within(epoch, ordinal)
        counts_back = unique_id <= self._last_unique_id and (is_confirmed or timestamp_ns > self._last_timestamp_ns)
        is_taken = is_within and self._is_taken_by_another(ordinal, timestamp_ns)
        if is_taken or (counts_back and not self.has(ordinal)):
            first = min(self.restart_unique_id, unique_id)
        elif is_confirmed and ordinal - self.n_seen > MAX_JUMP:
            first = unique_id  # someone set the counter: what is between was never made
        else:
            return Place(epoch, ordinal, is_within)
        begun = self._after_last(first, self._epochs[-1].given + 1)
        return self._beginning(begun, unique_id, is_confirmed=False)

    def may_begin_at(self, unique_id: int) -> bool:
        """An epoch never begins below zero, but for a 32-bit counter that has run over."""
        return unique_id >= 0 or self._last_unique_id > INT32_MAX - MAX_JUMP

    def enter(self, place: Place, unique_id: int, timestamp_ns: int, *, is_certain: bool) -> None:
        """A frame has come to its place; `is_certain`: its id is no mistake."""
        if place.begins is not None:
            self._epochs[place.epoch :] = [place.begins]
            self.n_changes += 1
        self._take(place.ordinal, timestamp_ns)
        goes_on = place.ordinal >= self.n_seen and (is_certain or unique_id == self._last_unique_id + 1)
        self.n_seen = max(self.n_seen, place.ordinal + 1)
        if goes_on or timestamp_ns > self._last_timestamp_ns:
            self._last_timestamp_ns = timestamp_ns
            self._last_unique_id = unique_id

    def fill(self, ordinal: int, timestamp_ns: int) -> None:
        """A frame that was lost has been found: it tells nothing of those that are to come."""
        self._take(ordinal, timestamp_ns)
        self.n_seen = max(self.n_seen, ordinal + 1)

    def displace(self, ordinal: int, epoch: int, unique_id: int, timestamp_ns: int) -> None:
        """A frame has been found for which its epoch has no place, since the next one began after the last that had
        come: it stands behind all others. No frame may come after it.
        """
        self.fill(ordinal, timestamp_ns)
        self._displaced[ordinal] = epoch, unique_id

    @property
    def displaced(self) -> Collection[int]:
        """Ordinals of those."""
        return self._displaced.keys()

    def order_of(self, epochs: npt.NDArray[np.integer], unique_ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Places of these frames, (n,), in the order in which the detector has made them: those that were found just
        before a reset of its counter have one there, and what was made after them comes as much later."""
        more = np.zeros(len(self._epochs), np.int64)
        for epoch, unique_id in self._displaced.values():
            known, after = self._epochs[epoch : epoch + 2]
            more[epoch] = max(more[epoch], known.ordinal_of(unique_id) + 1 - after.first_ordinal)
        firsts = np.array([[known.first_ordinal, known.first_unique_id] for known in self._epochs], np.int64)
        firsts[1:, 0] += np.cumsum(more)[:-1]
        ordinal, unique_id = firsts[epochs].T
        return ordinal + unique_ids - unique_id

    def is_displaced_in_order(self, ordinal: int) -> bool | None:
        """True if a frame that stands behind all others is stamped later than the one that was found before it; None
        if it is none of those."""
        if ordinal not in self._displaced:
            return None
        is_first = ordinal - 1 not in self._displaced or self._displaced[ordinal - 1][0] != self._displaced[ordinal][0]
        return is_first or bool(self._stamps_ns[ordinal - 1] < self._stamps_ns[ordinal])

    def is_displaced(self, epoch: int, unique_id: int) -> bool:
        """True for one of those."""
        return (epoch, unique_id) in self._displaced.values()

    def end_before(self, ordinal: int) -> EpochEnd | None:
        """The reset just before which a displaced frame was made; None for one that has its own place."""
        if ordinal not in self._displaced:
            return None
        epoch = self._displaced[ordinal][0]
        return next((end for end in self.ends() if end.epoch == epoch), None)

    def ends(self) -> list[EpochEnd]:
        """Where the counter was reset, as far as ids and stamps tell; not where the source says its epochs.

        None where that is the rule, as of a detector that counts anew at each position.
        """
        ends: list[EpochEnd] = []
        if len(self._epochs) > MOST_RESETS:
            return ends
        for epoch, (before, after) in enumerate(pairwise(self._epochs)):
            came = after.first_ordinal + np.flatnonzero(self._is_taken[after.first_ordinal : self.n_seen])
            own = came[~np.isin(came, list(self._displaced))]
            is_known = bool(len(came)) or after is self._unseen
            if after.given == before.given + 1 and after.first_ordinal > before.first_ordinal and is_known:
                last_id = before.first_unique_id + after.first_ordinal - 1 - before.first_ordinal
                first_ns = int(self._stamps_ns[own[0]]) if len(own) else AFTER_ALL_TIME
                ends.append(EpochEnd(epoch, last_id, after.after_ns, first_ns))
        return ends

    @property
    def taken(self) -> npt.NDArray[np.int64]:
        """Ordinals of the frames that have come, in order."""
        return np.flatnonzero(self._is_taken[: self.n_seen])

    def stamps_ns(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Stamps of the frames that have come to these places."""
        return self._stamps_ns[ordinals]

    def identities(self, n: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Epoch and unique_id of the first `n` ordinals."""
        firsts = np.array([epoch.first_ordinal for epoch in self._epochs])
        ordinals = np.arange(n)
        epochs = (np.searchsorted(firsts, ordinals, side="right") - 1).astype(np.int32)
        first_ids = np.array([epoch.first_unique_id for epoch in self._epochs], np.int64)
        unique_ids = first_ids[epochs] + ordinals - firsts[epochs]
        for ordinal, identity in self._displaced.items():
            if ordinal < n:
                epochs[ordinal], unique_ids[ordinal] = identity
        return epochs, unique_ids

    def _take(self, ordinal: int, timestamp_ns: int) -> None:
        self._is_taken, self._stamps_ns = grown(self._is_taken, ordinal + 1), grown(self._stamps_ns, ordinal + 1)
        self._is_taken[ordinal], self._stamps_ns[ordinal] = True, timestamp_ns

    @property
    def _n_placed(self) -> int:
        """Ordinals that the epochs so far have."""
        return max(self.n_seen, self.n_announced)

    def _after_last(self, first_unique_id: int, given: int) -> Epoch:
        return Epoch(first_unique_id, self._n_placed, self._last_timestamp_ns, given)

    def _beginning(self, begun: Epoch, unique_id: int, *, is_confirmed: bool) -> Place:
        """The place of a frame that begins an epoch; one that is confirmed lies not too far ahead."""
        if is_confirmed and begun.ordinal_of(unique_id) - self.n_seen > MAX_JUMP:
            begun = self._after_last(unique_id, begun.given)
        index = len(self._epochs) if self._n_placed else 0  # a reset before the first frame is the beginning
        return Place(index, begun.ordinal_of(unique_id), is_within=True, begins=begun)

    def _epoch_for(self, unique_id: int, timestamp_ns: int, is_confirmed: bool) -> int:
        """The epoch of a frame: that of its stamp, unless only the order of ids leaves room for it."""
        epoch = self._epoch_at(timestamp_ns)
        ordinal = self._epochs[epoch].ordinal_of(unique_id)
        has_room = self._is_within(epoch, ordinal) and not self._is_taken_by_another(ordinal, timestamp_ns)
        goes_on = unique_id == self._last_unique_id + 1 or (is_confirmed and unique_id > self._last_unique_id)
        return self.current if goes_on and not has_room else epoch

    def _epoch_at(self, timestamp_ns: int) -> int:
        epoch = self.current
        while epoch and timestamp_ns <= self._epochs[epoch].after_ns:
            epoch -= 1
        return epoch

    def _is_taken_by_another(self, ordinal: int, timestamp_ns: int) -> bool:
        return self.has(ordinal) and int(self._stamps_ns[ordinal]) != timestamp_ns

    def _is_within(self, epoch: int, ordinal: int) -> bool:
        """True if an epoch can hold this place in the run: it ends where the next one begins."""
        is_last = epoch == self.current
        return self._epochs[epoch].first_ordinal <= ordinal and (
            is_last or ordinal < self._epochs[epoch + 1].first_ordinal
        )
