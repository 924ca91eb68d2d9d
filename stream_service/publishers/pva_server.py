"""The PVA server of what screens are shown: it goes for a while when its clients cost a run too much."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.publishers.descriptors import RESERVE, n_left
from stream_service.publishers.pva_backlog import PvaBacklog

log = logging.getLogger(__name__)

AWAY_S = 30.0
"""Without PVA, when its clients have taken the descriptors of a run."""
LOOK_S = 2.0
"""Between two looks for clients that do not take what is kept for them."""


class PvaServer:
    """A server of channels by their names below the service's prefix.

    pvxs takes every client that comes. When their connections leave too few descriptors for a run, the server goes for
    a while: PVA is for screens, and the file comes first. When one has more kept for it than should be, all connections
    are closed, and those who are alive come back.
    """

    def __init__(self, prefix: str, channels: Mapping[str, SharedPV], backlog: PvaBacklog) -> None:
        self._served = {prefix + name: channel for name, channel in channels.items()}
        self._backlog = backlog
        self._away_since_s = self._looked_s = 0.0
        self._server: Server | None = self._serve()

    def _serve(self) -> Server:
        return Server(providers=[self._served])

    def make_room(self) -> None:
        """Give up the connections of all clients if a run would have no descriptors; serve again later."""
        left, now_s = n_left(), time.monotonic()
        if self._server is not None and left < RESERVE // 2:
            self.close()
            self._away_since_s = now_s
            log.warning(
                "nothing over PVA for %g s, clients are disconnected: only %d file descriptors were left, which "
                "a run needs. Raise the limit ('ulimit -n', LimitNOFILE of systemd), or find out who connects",
                AWAY_S,
                left,
            )
        elif self._server is None and left >= RESERVE and now_s - self._away_since_s > AWAY_S:
            self._server = self._serve()
        if self._server is not None and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._let_hoarders_go(self._server, now_s)

    def _let_hoarders_go(self, server: Server, now_s: float) -> None:
        if self._backlog.is_too_much(int(server.conf()["EPICS_PVA_SERVER_PORT"]), now_s):
            self.close()
            self._server = self._serve()
            log.warning(
                "a client over PVA asked for a long queue of updates and does not take them: all connections over PVA "
                "were closed, and what was kept is let go; clients that are alive connect again"
            )

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None
