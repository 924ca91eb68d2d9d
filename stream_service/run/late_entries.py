"""The end of hardware-captured arrays: their last entries come after the last frame, often all of them."""

from __future__ import annotations

import math

from stream_service.core.run import RunState
from stream_service.run.pairing import Pairing
from stream_service.run.report import RunReport
from stream_service.text.counted import counted

MORE_S = 2.0
"""What hardware captured with the last frames has come by then, and with it whether that is more than there were
frames: PandA's IOC flushes once a second."""


class LateEntries:
    """What is waited for in one run; called in its thread, and never waits."""

    def __init__(self, pairing: Pairing, report: RunReport, timeout_s: float) -> None:
        """Entries are waited for until none has come for `timeout_s`."""
        self._arrays = pairing.arrays
        self._report = report
        self._timeout_s = timeout_s
        self._n_entries = -1
        self._grew_s = math.inf
        self._complete_s = math.inf
        """When every frame had its entries."""

    def are_in(self, now_s: float) -> bool:
        """True if nothing is waited for any more; to be called once every frame has left.

        Hardware may go on capturing: what comes beyond the frames holds up no end.
        """
        if math.isinf(self._timeout_s):
            return True
        n_awaited = self._arrays.n_awaited
        if not n_awaited:
            self._complete_s = min(self._complete_s, now_s)
            return not self._arrays.may_exceed_frames or now_s - self._complete_s > min(MORE_S, self._timeout_s)
        if self._arrays.n_entries != self._n_entries:
            self._n_entries, self._grew_s = self._arrays.n_entries, now_s
        if now_s - self._grew_s > self._timeout_s:
            return True
        frames = counted(n_awaited, "frame")
        self._report.say(RunState.DRAINING, f"waiting for the entries of {frames} in hardware-captured arrays")
        return False
