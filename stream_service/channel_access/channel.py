"""Channel Access channels: ones that have only just been opened, and ones whose server went away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import epics

FLUSH_EVERY_S = 0.1


def wait_flushing(wait: Callable[[float], bool], timeout_s: float) -> bool:
    """Call `wait`, which takes seconds, until it returns True; False if it does not within `timeout_s`.

    pyepics subscribes in a callback of CA, and the last subscription of several may then stay in the sending buffer
    until something else is sent (5 of 100 times on a busy machine): it is sent from here.
    """
    from epics import ca  # which libraries it uses is for the module that made the PVs to say

    deadline = time.monotonic() + timeout_s
    while True:
        left_s = deadline - time.monotonic()
        if wait(max(0.0, min(FLUSH_EVERY_S, left_s))):
            return True
        if left_s <= 0:
            return False
        ca.flush_io()


def let_go(pv: epics.PV) -> None:
    """Disconnect; a channel without a server is given up, so that whoever opens it next searches for it at once.

    CA searches for a lost channel ever more seldom, up to minutes apart where no CA repeater tells that a server has
    started, and pyepics would hand out the same channel again. One that another `PV` holds is left to it.
    """
    from epics import ca  # as above

    channel, is_dead = pv.chid, not pv.connected
    pv.disconnect()
    known = ca.get_cache(pv.pvname)
    if is_dead and channel is not None and known is not None and not known.callbacks:
        ca.clear_channel(channel)
