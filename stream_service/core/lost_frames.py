"""Frames of a run that did not come, and the place of each that is found in a record of all frames.

Policy. A record (the raw file) has frames of other runs, too, and an id may be in it several times: the detector has
reset its counter. What tells them apart is the stamp: a frame has the place of its id if it was taken between the
frames that came before and after that place. Only where the clock itself was set back between those two, either will
do. Nothing in the record from before the run began is of the run.

Frames that were lost just before the counter was reset leave no gap that ids tell of: those are looked for behind the
last id that came before a reset, by their stamps between the frames beside it. The places of later frames stay as they
are, so one that is found stands behind all others.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from stream_service.core.clock import AFTER_ALL_TIME, BEFORE_ALL_TIME
from stream_service.core.frame import NO_STAMP
from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival, Receipt

Column = npt.NDArray[np.int64]
MOST_UNKNOWN = 10_000
"""Ids behind the last one before a reset that are looked for."""


class LostFrames:
    """Some frames of a ledger that did not come, as they are when this is made."""

    def __init__(
        self, ledger: Ledger, ordinals: Column, begins_ns: int = BEFORE_ALL_TIME, n_made: int | None = None
    ) -> None:
        """Those in these places; no frame of the run is stamped before `begins_ns`. With `n_made`, the frames that are
        known to have been made, also those just before a reset.
        """
        self.displaced: set[int] = set()
        """Ordinals of those of the latter that were found."""
        self._ledger = ledger
        self._n_made = 0 if n_made is None else n_made
        self._ends = () if n_made is None else tuple(ledger.epochs.ends())
        self._n_unknown = 0 if n_made is None else min(MOST_UNKNOWN, ledger.n_unknown(n_made))
        self._begins_ns = begins_ns
        unique_ids = ledger.identities(ordinals)[1]
        order = np.argsort(unique_ids, kind="stable")
        self._ordinals, self._unique_ids = ordinals[order], unique_ids[order]
        self._is_found = np.zeros(len(ordinals), np.bool_)
        held = ledger.held()
        self._held = held[~np.isin(held, list(ledger.epochs.displaced))]
        self._held_ns = ledger.epochs.stamps_ns(self._held)

    @property
    def unique_ids(self) -> Column:
        """Of the lost frames, each once, and of those that may be."""
        behind = [np.arange(1, self._n_unknown + 1) + end.last_id for end in self._ends]
        return np.unique(np.concatenate([self._unique_ids, *behind]))

    def held(self) -> tuple[Column, Column]:
        """uniqueId and stamp of the frames that came, (n,) each."""
        held = self._ledger.held()
        return self._ledger.identities(held)[1], self._ledger.epochs.stamps_ns(held)

    def let_go(self) -> tuple[Column, Column]:
        """The same of those that came and were let go: they are wanted, too, and show whose a record is."""
        let_go = self._ledger.let_go()
        return self._ledger.identities(let_go)[1], self._ledger.epochs.stamps_ns(let_go)

    def find(self, unique_id: int, timestamp_ns: int) -> Receipt | None:
        """Enter a frame of the record in its place; None if it is none of those that are lost still."""
        first, end = (int(np.searchsorted(self._unique_ids, unique_id, side)) for side in ("left", "right"))
        for n in range(first, end):
            if not self._is_found[n] and self._fits(int(self._ordinals[n]), timestamp_ns):
                self._is_found[n] = True
                receipt = self._ledger.fill(int(self._ordinals[n]), timestamp_ns)
                if self._ends and self._ends[-1].next_ns == AFTER_ALL_TIME:
                    self._ends = tuple(self._ledger.epochs.ends())
                return receipt if receipt.arrival is Arrival.NEW else None
        return self._find_displaced(unique_id, timestamp_ns)

    def _find_displaced(self, unique_id: int, timestamp_ns: int) -> Receipt | None:
        for end in self._ends:
            is_behind = 0 < unique_id - end.last_id <= self._n_unknown
            if is_behind and end.last_ns < timestamp_ns < end.next_ns:
                receipt = self._ledger.displace(end, unique_id, timestamp_ns, self._n_made)
                if receipt is not None:
                    self.displaced.add(receipt.ordinal)
                return receipt
        return None

    def _fits(self, ordinal: int, timestamp_ns: int) -> bool:
        if (end := self._ledger.epochs.end_before(ordinal)) is not None:
            return end.last_ns < timestamp_ns < end.next_ns
        after = int(np.searchsorted(self._held, ordinal))
        before_ns = int(self._held_ns[after - 1]) if after else self._begins_ns
        is_later = timestamp_ns >= before_ns
        if after == len(self._held):
            return is_later
        after_ns = int(self._held_ns[after])
        is_earlier = timestamp_ns <= after_ns
        return (is_later or is_earlier) if after_ns < before_ns else (is_later and is_earlier)


def shifted_frames(ledger: Ledger, n_made: int | None = None, n_entries: Collection[int] = ()) -> Column:
    """Ordinals of the frames that came after a reset of the counter, if nobody knows how many were lost at it.

    They may belong to later places, or to earlier ones where the counter did not begin at its start; a reset may show
    by frames alone that come with ids of others, and for which no place is left. None are given where the numbers add
    up: as many frames as planned were seen, and none beyond; without a plan, no more frames came with the ids of others
    than were overtaken or fetched, and the arrays have as many entries (`n_entries`, of each) as frames are known of.
    """
    none, held, ends = np.zeros(0, np.int64), ledger.held(), ledger.epochs.ends()
    n_most, n_known = ledger.n_most, max(ledger.n_seen, n_made or 0)
    if ends:
        is_beyond = ledger.counts.n_strange > 0 or (n_most is not None and n_known > n_most)
        adds_up = not (ledger.n_unknown(n_known) or is_beyond or ledger.epochs.displaced)
        is_after = held >= ledger.epochs.since(ends[0].epoch + 1)[0].first_ordinal
    else:
        counts = ledger.counts
        n_left_out = ledger.n_overtaken + ledger.account().backfilled if n_most is None else 0
        n_strange = counts.n_implausible + counts.before["unexpected"]
        is_explained = n_strange <= n_left_out and all(n == n_known for n in n_entries)
        adds_up = not n_strange or is_explained or n_known == n_most
        is_after = ledger.epochs.stamps_ns(held) >= (ledger.implausible_ns or 0)
    return none if adds_up else held[is_after]


def misordered_frames(ledger: Ledger) -> Column:
    """Ordinals of fetched frames, of whole gaps in which their stamps contradict the order of their ids."""
    held = ledger.held()
    held = held[~np.isin(held, list(ledger.epochs.displaced))]
    fetched = held[ledger.statuses(held) == FrameStatus.BACKFILLED]
    gaps = np.split(fetched, np.flatnonzero(np.diff(fetched) > 1) + 1)
    return np.concatenate([gap for gap in gaps if not _ascend(ledger.epochs.stamps_ns(gap))] or [fetched[:0]])


def _ascend(stamps_ns: Column) -> bool:
    return bool((np.diff(stamps_ns[stamps_ns != NO_STAMP]) >= 0).all())
