"""Counts of the frames of a run by what became of them, kept as they come and are marked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from stream_service.core.account import Account
from stream_service.core.frame_status import FrameStatus
from stream_service.core.receipt import Arrival

Statuses = npt.NDArray[np.uint8]
"""`FrameStatus` of frames, (n,)."""


class FrameCounts:
    """Those of one run; one thread counts, any may ask for the account."""

    def __init__(self) -> None:
        self.n_ignored = dict.fromkeys(Arrival, 0)
        self.n_implausible = 0
        """Of the unexpected ones, those with an id that cannot be."""
        self.n_beyond = 0
        """Frames that were made beyond those that may come."""
        self.before = dict.fromkeys(("duplicates", "unexpected"), 0)
        """Frames of these kinds in the account of before a run was interrupted."""
        self._n_with = dict.fromkeys(FrameStatus, 0)
        """Frames by their status; but for those that are `PENDING`."""

    @property
    def n_strange(self) -> int:
        """Frames that came, and have no place in the run."""
        return self.n_ignored[Arrival.UNEXPECTED]

    def move(self, before: Statuses, status: FrameStatus) -> None:
        """Frames that had these statuses have another one."""
        for number, n in enumerate(np.bincount(before).tolist()):
            self._n_with[FrameStatus(number)] -= n
        self._n_with[status] += len(before)

    def count(self, statuses: Statuses) -> None:
        """Count all frames anew: at the end, where many change at once."""
        count = np.bincount(statuses, minlength=len(FrameStatus))
        self._n_with = {status: int(count[status]) for status in FrameStatus}

    def account(self, n_total: Callable[[], int], *, is_planned: bool) -> Account:
        """The numbers as they stand, of `n_total` frames that are to be accounted for; costs the same however long the
        run is."""
        n_with, n_ignored = self._n_with, self.n_ignored
        settled = {status: n_with[status] for status in FrameStatus if status is not FrameStatus.PENDING}
        total = n_total()  # after those that are settled: it only grows
        n_beyond = n_ignored[Arrival.UNEXPECTED] - self.n_implausible + self.before["unexpected"]
        return Account(
            expected=total,
            stored=settled[FrameStatus.STORED],
            backfilled=settled[FrameStatus.BACKFILLED],
            lost=settled[FrameStatus.LOST],
            incomplete=settled[FrameStatus.INCOMPLETE],
            not_exposed=settled[FrameStatus.NOT_EXPOSED],
            duplicates=self.before["duplicates"] + n_ignored[Arrival.DUPLICATE] + n_ignored[Arrival.UNDECIDED],
            undecided=n_ignored[Arrival.UNDECIDED],
            is_planned=is_planned,
            unexpected=self.n_implausible + max(n_beyond, self.n_beyond),
            pending=total - sum(settled.values()),
            before_run=n_ignored[Arrival.BEFORE_RUN],
            implausible=self.n_implausible,
            after_run=n_ignored[Arrival.AFTER_RUN],
            of_others=n_ignored[Arrival.OTHER_SHARE],
        )
