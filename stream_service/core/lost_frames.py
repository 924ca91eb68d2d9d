"""Frames of a run that did not come, and the place of each that is found in a record of all frames.

Policy. A record (the raw file) has frames of other runs, too, and an id may be in it several times: the detector has
reset its counter. What tells them apart is the stamp: a frame has the place of its id if it was taken between the
frames that came before and after that place. Only where the clock itself was set back between those two, either will
do. Nothing in the record from before the run began is of the run.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.ledger import Arrival, Ledger, Receipt

Column = npt.NDArray[np.int64]


class LostFrames:
    """Some frames of a ledger that did not come, as they are when this is made."""

    def __init__(self, ledger: Ledger, ordinals: Column, begins_ns: int = BEFORE_ALL_TIME) -> None:
        """Those in these places; no frame of the run is stamped before `begins_ns`."""
        self._ledger = ledger
        self._begins_ns = begins_ns
        unique_ids = ledger.identities(ordinals)[1]
        order = np.argsort(unique_ids, kind="stable")
        self._ordinals, self._unique_ids = ordinals[order], unique_ids[order]
        self._is_found = np.zeros(len(ordinals), np.bool_)
        self._held = ledger.held()
        self._held_ns = ledger.stamps_ns(self._held)

    @property
    def unique_ids(self) -> Column:
        """Of the lost frames, each once."""
        return np.unique(self._unique_ids)

    def held(self) -> tuple[Column, Column]:
        """uniqueId and stamp of the frames that came, (n,) each."""
        return self._ledger.identities(self._held)[1], self._held_ns

    def find(self, unique_id: int, timestamp_ns: int) -> Receipt | None:
        """Enter a frame of the record in its place; None if it is none of those that are lost still."""
        first, end = (int(np.searchsorted(self._unique_ids, unique_id, side)) for side in ("left", "right"))
        for n in range(first, end):
            if not self._is_found[n] and self._fits(int(self._ordinals[n]), timestamp_ns):
                self._is_found[n] = True
                receipt = self._ledger.fill(int(self._ordinals[n]), timestamp_ns)
                return receipt if receipt.arrival is Arrival.NEW else None
        return None

    def _fits(self, ordinal: int, timestamp_ns: int) -> bool:
        after = int(np.searchsorted(self._held, ordinal))
        before_ns = int(self._held_ns[after - 1]) if after else self._begins_ns
        is_later = timestamp_ns >= before_ns
        if after == len(self._held):
            return is_later
        after_ns = int(self._held_ns[after])
        is_earlier = timestamp_ns <= after_ns
        return (is_later or is_earlier) if after_ns < before_ns else (is_later and is_earlier)
