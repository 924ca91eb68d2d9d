"""Channel Access channels whose server went away."""

from __future__ import annotations

from stream_service.channel_access.library import ca, epics, may_lack_circuits


def let_go(pv: epics.PV) -> None:
    """Disconnect; a channel without a server is given up, so that whoever opens it next searches for it at once.

    CA searches for a lost channel ever more seldom, up to minutes apart where no CA repeater tells that a server has
    started, and pyepics would hand out the same channel again. One that another `PV` holds is left to it. Once a
    connection could not be opened for want of a file descriptor, channels are abandoned instead (`may_lack_circuits`).
    """
    channel, is_dead = pv.chid, not pv.connected
    pv.disconnect()
    known = ca.get_cache(pv.pvname)
    if not is_dead or channel is None or known is None or known.callbacks:
        return
    if may_lack_circuits():
        ca._cache[ca.current_context()].pop(pv.pvname, None)
    else:
        ca.clear_channel(channel)
