"""The account of every unique_id of a run: what was expected, what came, what became of it.

Policy. The ids expected follow from the start of the run (the detector's counter, the number planned), never from
the first frame that happened to arrive: lost head and tail frames count. Identity is (epoch, unique_id): a detector
that restarts its counter begins a new epoch, and its frames are not duplicates. Every frame has an ordinal, its place
in the run across epochs (`Epochs`), so that losing the first frame shifts nothing. The counts add up to the ids
expected, always.

Whether a frame came before is told by its identity, id and stamp: a clock that is set back makes no frame old. Where
the clock stands, frames of one id may be copies, or new ones after the counter was reset: that is said, not guessed.
Ids that do not follow the last one are looked at first by `Intake`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from stream_service.core.account import Account
from stream_service.core.epoch import Epoch, EpochEnd, Reached
from stream_service.core.epochs import MAX_JUMP, Epochs
from stream_service.core.frame import FrameId
from stream_service.core.frame_counts import FrameCounts
from stream_service.core.frame_status import FrameStatus
from stream_service.core.growing import grown
from stream_service.core.receipt import Arrival, Receipt
from stream_service.core.share import Share
from stream_service.core.stream import Series


class Ledger:
    """The account of one run, by ordinal.

    `first_unique_id` is the id that the first frame of the run must have; `n_expected` the number planned (None: not
    known), `n_extra` how many more may come (repeats); `restart_unique_id` the first id after the detector restarts
    its counter; `epoch` what the source of frames calls the epoch in which the run begins; `last_before` the id and
    stamp of the last frame before the run, which a new subscriber is sent first; `is_begin_certain` False where the
    first id is that of the first frame which was found. With `n_shares` only every so many-th frame comes: which, the
    first one tells. Numbers of frames, but for those of the account, are of the whole run all the same.
    """

    def __init__(
        self,
        first_unique_id: int,
        n_expected: int | None,
        *,
        n_extra: int = 0,
        restart_unique_id: int = 1,
        epoch: int = 0,
        last_before: tuple[int, int] | None = None,
        is_begin_certain: bool = True,
        n_shares: int = 1,
    ) -> None:
        self.n_expected = n_expected
        self.first_unique_id = first_unique_id
        self.restart_unique_id = restart_unique_id
        self.first_epoch = epoch
        self._is_begin_certain = is_begin_certain
        self._share = Share(n_shares)
        self._n_most = None if n_expected is None else n_expected + n_extra
        self.counts = FrameCounts()
        """Of what became of them."""
        self.n_received = 0
        """Frames that came in, each counted once."""
        self.implausible_ns: int | None = None
        """The earliest stamp of a frame with an implausible id; None if none came."""
        self._last_before = last_before
        self._ends_at: int | None = None
        capacity = n_expected if n_expected is not None else 1024
        self.epochs = Epochs(first_unique_id, restart_unique_id, epoch, capacity)
        """Places of its frames; who enters a frame asks the ledger."""
        self._status = np.zeros(capacity, np.uint8)
        self._n_received = np.zeros(capacity, np.uint16)

    def restore(
        self,
        epochs: Sequence[Epoch],
        n_announced: int,
        frames: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        reached: Reached | None = None,
        n_made: int | None = None,
    ) -> npt.NDArray[np.int64]:
        """Go on with the account of a run that was interrupted, see `Epochs.restore`: these frames have come.

        To be called before the first frame. What had come beside them, up to what was `reached`, is missing again.
        `n_made` is what the detector had made when the run began to end; None: nobody knows, or it had not.
        """
        n_come = max(len(frames[0]), reached.n_seen if reached is not None else 0)
        n_most = self._n_most or n_come + MAX_JUMP
        n_made = n_made if n_made is not None else self.n_expected or 0
        ordinals = self.epochs.restore(epochs, n_announced, frames, n_most, reached, n_made)
        self._reserve(self.n_seen)
        self._n_received[ordinals[ordinals >= 0]] = 1
        self.n_received = int(np.count_nonzero(self._n_received))
        if len(placed := ordinals[ordinals >= 0]):
            self._share = Share.with_frame(int(placed[0]), self._share.of)
        return ordinals

    @property
    def n_seen(self) -> int:
        """Ordinals up to the last frame seen: frames the detector has made for certain."""
        return self.epochs.n_seen

    @property
    def n_passed(self) -> int:
        """As `n_seen`; once a frame came that was exposed after the end, all up to the end: no earlier one comes."""
        is_past = self.counts.n_ignored[Arrival.AFTER_RUN] > 0
        return self._ends_at if is_past and self._ends_at is not None else self._share.next_after(self.n_seen)

    @property
    def step(self) -> int:
        """By so much the id of a frame is that of the one before it and more, where none was lost."""
        return self._share.of

    @property
    def n_overtaken(self) -> int:
        """Frames that are missing before the last one seen, so far."""
        return self._share.n_among(self.n_seen) - self.n_received

    def n_ahead(self, n_made: int) -> int:
        """Frames behind the last one seen that are to come, where `n_made` were made."""
        return max(0, self._share.n_among(n_made) - self._share.n_among(self.n_seen))

    def is_from_before(self, unique_id: int, timestamp_ns: int, epoch: int | None = None) -> bool:
        """True for the very frame that stood there before the run, and for those between it and the run's first."""
        if self.n_received or self._last_before is None or (epoch is not None and epoch > self.first_epoch):
            return False
        return (unique_id, timestamp_ns) == self._last_before or self._last_before[0] < unique_id < self.first_unique_id

    def begins_epoch(self, unique_id: int, timestamp_ns: int) -> bool:
        """True if by its id and stamp a frame would begin an epoch."""
        return self.epochs.place_of(unique_id, timestamp_ns, is_confirmed=False).begins is not None

    def belies_begin(self, unique_id: int) -> bool:
        """True for an id before the first one where that was a guess: such a frame is late only if others say so."""
        return not self._is_begin_certain and self.epochs.current == 0 and unique_id < self.first_unique_id

    def receive(
        self, unique_id: int, timestamp_ns: int, *, epoch: int | None = None, is_confirmed: bool = False
    ) -> Receipt:
        """Enter a frame that came in, and say what it is. Only a `NEW` one may go on into the file.

        `epoch` is what its source calls its epoch; None: it is found. `is_confirmed`: another frame, or the detector's
        counter, confirms that its id is right (see `Intake`).
        """
        epochs = self.epochs
        if epoch is None:
            place = epochs.place_of(unique_id, timestamp_ns, is_confirmed=is_confirmed)
        else:
            place = epochs.place_in(epoch, unique_id, is_confirmed=is_confirmed)
        frame_id, ordinal = FrameId(place.epoch, unique_id), place.ordinal
        if self.is_from_before(unique_id, timestamp_ns, epoch):
            return self._ignore(Arrival.BEFORE_RUN, frame_id)
        if place.begins is not None and not epochs.may_begin_at(unique_id):
            return self._refuse(frame_id, timestamp_ns, ordinal)
        if not place.is_within:
            return self._ignore(Arrival.BEFORE_RUN, frame_id) if ordinal < 0 else self._refuse(frame_id, timestamp_ns)
        if self._share.of > 1 and place.begins is not None:
            # how many of others' frames were made before it nobody tells
            return self._refuse(frame_id, timestamp_ns, ordinal)
        if self.n_received and not self._share.has(ordinal):
            return self._ignore(Arrival.OTHER_SHARE, frame_id, ordinal)
        if place.begins is None and epochs.has(ordinal) and self._n_received[ordinal]:
            self._n_received[ordinal] += self._n_received[ordinal] < np.iinfo(np.uint16).max
            is_told_apart = epoch is not None or not epochs.shares_stamp(ordinal)
            return self._ignore(Arrival.DUPLICATE if is_told_apart else Arrival.UNDECIDED, frame_id, ordinal)
        if ordinal - self.n_seen > MAX_JUMP:
            return self._refuse(frame_id, timestamp_ns, ordinal)
        if self._n_most is not None and ordinal >= self._n_most:
            return self._ignore(Arrival.UNEXPECTED, frame_id, ordinal)
        if self._ends_at is not None and ordinal >= self._ends_at:
            return self._ignore(Arrival.AFTER_RUN, frame_id, ordinal)
        # only now: a frame that is ignored must not change how the next ones are counted
        if not self.n_received:
            self._share = Share.with_frame(ordinal, self._share.of)
        epochs.enter(place, unique_id, timestamp_ns, is_certain=is_confirmed or epoch is not None)
        self._reserve(ordinal + 1)
        self._n_received[ordinal] = 1
        self.n_received += 1
        return Receipt(Arrival.NEW, frame_id, ordinal)

    def announce(self, series: Series, *, is_in_vain: bool = False) -> None:
        """The source announces a series of the run, an epoch of its frames; see `Epochs.announce`."""
        self.epochs.announce(
            series.epoch, series.first_unique_id, series.n_frames or 0, self._n_most, is_in_vain=is_in_vain
        )

    @property
    def is_announced_whole(self) -> bool:
        """True once the series that were announced have all the frames that were planned."""
        return self._n_most is not None and self.epochs.n_announced == self._n_most

    def fills_plan(self, epoch: int) -> bool:
        """True for the last of those series: what ends with it, or with an earlier one that is told twice, differs."""
        return self.is_announced_whole and self.epochs.is_latest(epoch)

    def refuse(self, unique_id: int, timestamp_ns: int) -> Receipt:
        """Count a frame whose uniqueId was found to be implausible."""
        return self._refuse(FrameId(self.epochs.current, unique_id), timestamp_ns)

    def give_back(self, receipt: Receipt) -> None:
        """A `NEW` frame cannot be stored: it counts as not received, and is lost, unless another copy of it comes."""
        self._n_received[receipt.ordinal] = 0
        self.n_received -= 1

    def missing(self, n_exposed: int | None = None) -> npt.NDArray[np.int64]:
        """Ordinals of the frames that were made and did not come, or whose group never filled, in order.

        `n_exposed` is what the detector says it made; without it, the frames up to the last one seen.
        """
        made = max(self.n_seen, n_exposed or 0)
        if self._n_most is not None:
            made = min(made, self._n_most)
        if self._ends_at is not None:
            made = min(made, self._ends_at)
        self._reserve(made)
        status = self._status[:made]
        is_open = (status == FrameStatus.PENDING) | (status == FrameStatus.LOST)
        missing = (is_open & (self._n_received[:made] == 0)) | (status == FrameStatus.INCOMPLETE)
        return self._share.only(np.flatnonzero(missing))

    def reopen(self, ordinals: Iterable[int]) -> None:
        """Let frames come once more that are lost, or whose group never filled: they count as not received."""
        places = np.fromiter(set(ordinals), np.int64)
        self.mark(places, FrameStatus.PENDING)
        self.n_received -= int(np.count_nonzero(self._n_received[places]))
        self._n_received[places] = 0

    def statuses(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """(n,) what became of the frames in these places."""
        self._reserve(int(ordinals.max(initial=-1)) + 1)
        return self._status[ordinals]

    def put_back(self, ordinals: npt.NDArray[np.int64], statuses: npt.NDArray[np.uint8]) -> None:
        """Reopened frames are what they were before, (n,) each, whether they have come once more or not."""
        self.n_received += int(np.count_nonzero(self._n_received[ordinals] == 0))
        self._n_received[ordinals] = np.maximum(self._n_received[ordinals], 1)
        for status in np.unique(statuses).tolist():
            self.mark(ordinals[statuses == status].tolist(), FrameStatus(status))

    def fill(self, ordinal: int, timestamp_ns: int) -> Receipt:
        """Enter a frame that was lost, or reopened, and has been found elsewhere.

        `NEW`, unless it has come by itself meanwhile.
        """
        self._reserve(ordinal + 1)
        (epoch,), (unique_id,) = self.identities(np.array([ordinal]))
        frame_id = FrameId(int(epoch), int(unique_id))
        if self._n_received[ordinal]:
            return Receipt(Arrival.DUPLICATE, frame_id, ordinal)
        self.epochs.fill(ordinal, timestamp_ns)
        self._n_received[ordinal] = 1
        self.n_received += 1
        return Receipt(Arrival.NEW, frame_id, ordinal)

    def n_unknown(self, n_made: int) -> int:
        """Frames that may have been made and lost just before the counter was reset, where `n_made` are known of."""
        if not self.epochs.ends():
            return 0
        return MAX_JUMP if self._n_most is None else max(0, self._n_most - max(self.n_seen, n_made))

    def displace(self, end: EpochEnd, unique_id: int, timestamp_ns: int, n_made: int) -> Receipt | None:
        """Enter a frame that was made just before a reset of the counter and has been found elsewhere.

        It stands behind the `n_made` frames that are known of, and no frame may come after it; None if it stands there
        already, or more were made than may be.
        """
        ordinal = max(self.n_seen, n_made)
        is_known = self.epochs.is_displaced(end.epoch, unique_id)
        if is_known or (self._n_most is not None and ordinal >= self._n_most):
            return None
        self._reserve(ordinal + 1)
        self.epochs.displace(ordinal, end.epoch, unique_id, timestamp_ns)
        self._n_received[ordinal] = 1
        self.n_received += 1
        return Receipt(Arrival.NEW, FrameId(end.epoch, unique_id), ordinal)

    def held(self) -> npt.NDArray[np.int64]:
        """Ordinals of the frames that came and were not given back or reopened, in order."""
        return np.flatnonzero(self._n_received[: self.n_total])

    def let_go(self) -> npt.NDArray[np.int64]:
        """Ordinals of frames that came and are not held any more: their stamps are known."""
        return np.setdiff1d(self.epochs.taken, self.held())

    def is_in_order(self, ordinal: int) -> bool:
        """True if a frame that came is stamped later than the one before it, and earlier than the one after it.

        So is a displaced one, by which its place was found, unless it has the stamp of the one that was found before.
        """
        if (is_displaced_in_order := self.epochs.is_displaced_in_order(ordinal)) is not None:
            return is_displaced_in_order
        came = self._n_received[: self.n_seen] > 0
        came[list(self.epochs.displaced)] = False
        before, after = np.flatnonzero(came[:ordinal])[-1:], np.flatnonzero(came[ordinal + 1 :])[:1] + ordinal + 1
        stamps_ns = self.epochs.stamps_ns(np.concatenate([before, [ordinal], after]))
        return bool((np.diff(stamps_ns) > 0).all())

    def identities(self, ordinals: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Epoch and unique_id of the frames in these places, (n,) each."""
        epochs, unique_ids = self.epochs.identities(int(ordinals.max(initial=-1)) + 1)
        return epochs[ordinals], unique_ids[ordinals]

    def end_at(self, n_exposed: int) -> None:
        """The run was told to end when the detector had made this many of its frames: later ones are not the run's."""
        self._ends_at = max(n_exposed, self.n_seen)

    def expect(self, n_frames: int) -> None:
        """Say, where it is known only at the end, how many frames were planned; what came beyond stays accounted."""
        self.n_expected = n_frames
        self._count()

    def mark(self, ordinals: Iterable[int], status: FrameStatus) -> None:
        """Say what became of frames that were received; many at once cost a tenth of one by one."""
        places = np.fromiter(set(ordinals), np.int64)
        self.counts.move(self._status[places], status)
        self._status[places] = status

    def _count(self) -> None:
        """Count anew: at the end, where many change at once."""
        self.counts.count(self._status[self._share.places(self.n_total)])

    @property
    def all_in(self) -> bool:
        """True once every frame expected has come in."""
        return self._n_most is not None and self.n_received == self._share.n_among(self._n_most)

    @property
    def n_most(self) -> int | None:
        """Frames that may come, those planned and those beyond; None if no plan is known."""
        return self._n_most

    @property
    def n_total(self) -> int:
        """Frames the account is about: those planned, or those made where more were made or no plan is known."""
        return max(self.n_seen, self.n_expected or 0)

    def exposed_by_counter(self, counter: int) -> int | None:
        """Frames of the run the detector has made when its counter shows `counter`, the id of its latest frame.

        None where the counter is behind those seen: it was reset, and frames may be on their way that tell of it. Those
        seen, where it is implausibly far ahead.
        """
        made = self.epochs.ordinal_now(counter) + 1
        return None if made < self.n_seen else self.exposed_by_number(made)

    def exposed_since_reset(self, counter: int) -> int | None:
        """The same of a counter that was behind when it was asked, once nothing comes any more: it was reset.

        If no frame came since, the epoch begins now. None where nothing tells of frames that were made since, or others
        get frames, too.
        """
        if self._share.of > 1 or counter < self.restart_unique_id:
            return None
        if self.exposed_by_counter(counter) is None:
            self.epochs.begin_unseen()
        return self.exposed_by_counter(counter)

    def exposed_by_number(self, made: int) -> int:
        """The same, where the detector says how many it has made."""
        return max(made, self.n_seen) if made - self.n_seen <= MAX_JUMP else self.n_seen

    def close(self, n_exposed: int | None = None) -> Account:
        """Settle what is open: exposed but not stored is lost, never exposed is said so. Idempotent.

        `n_exposed` is what the detector says it made; without it, the frames up to the last one seen.
        """
        made = self.n_seen if n_exposed is None else max(n_exposed, self.n_seen)
        if self._n_most is not None:
            n_beyond = self._share.n_among(made) - self._share.n_among(self._n_most)
            self.counts.n_beyond = max(self.counts.n_beyond, n_beyond)
            made = min(made, self._n_most)
        self.epochs.n_seen = made
        total = self.n_total
        self._reserve(total)
        open_ones = self._status[:total] == FrameStatus.PENDING
        self._status[:made][open_ones[:made]] = FrameStatus.LOST
        self._status[made:total][open_ones[made:]] = FrameStatus.NOT_EXPOSED
        self._count()
        return self.account()

    def account(self) -> Account:
        """The numbers as they stand; costs the same however long the run is, and may be asked from any thread."""
        return self.counts.account(lambda: self._share.n_among(self.n_total), is_planned=self.n_expected is not None)

    def columns(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
        """Epoch, unique_id, status and times received of every frame of the run, in order; (M,) each."""
        total, own = self.n_total, self._share.places(self.n_total)
        epochs, unique_ids = self.epochs.identities(total)
        return epochs[own], unique_ids[own], self._status[own].copy(), self._n_received[own].copy()

    def ranges_with(self, *statuses: FrameStatus) -> list[tuple[FrameId, FrameId]]:
        """Frames with one of these statuses as ranges, first and last: never many more of them than frames received."""
        epochs, unique_ids, found, _ = self.columns()
        places = np.flatnonzero(np.isin(found, statuses))
        if not len(places):
            return []
        follows = (np.diff(places) == 1) & (np.diff(epochs[places]) == 0) & (self._share.of == 1)
        firsts = places[np.concatenate([[True], ~follows])]
        lasts = places[np.concatenate([~follows, [True]])]
        first_ids, last_ids = (
            map(FrameId._make, zip(epochs[ends].tolist(), unique_ids[ends].tolist(), strict=True))
            for ends in (firsts, lasts)
        )
        return list(zip(first_ids, last_ids, strict=True))

    def _ignore(self, arrival: Arrival, frame_id: FrameId, ordinal: int = -1) -> Receipt:
        self.counts.n_ignored[arrival] += 1
        return Receipt(arrival, frame_id, ordinal)

    def _refuse(self, frame_id: FrameId, timestamp_ns: int, ordinal: int = -1) -> Receipt:
        self.counts.n_implausible += 1
        self.implausible_ns = min(timestamp_ns, timestamp_ns if self.implausible_ns is None else self.implausible_ns)
        return self._ignore(Arrival.UNEXPECTED, frame_id, ordinal)

    def _reserve(self, n: int) -> None:
        self._status, self._n_received = grown(self._status, n), grown(self._n_received, n)
