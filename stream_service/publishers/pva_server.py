"""The PVA server of what screens are shown: it goes for a while when its clients leave a run too few descriptors."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from p4p.server import Server
from p4p.server.thread import SharedPV

from stream_service.publishers.descriptors import RESERVE, n_left

log = logging.getLogger(__name__)

AWAY_S = 30.0
"""Without PVA, when its clients have taken the descriptors of a run."""


class PvaServer:
    """A server of channels by their names below the service's prefix.

    pvxs takes every client that comes. When their connections leave too few descriptors for a run, the server goes for
    a while: PVA is for screens, and the file comes first.
    """

    def __init__(self, prefix: str, channels: Mapping[str, SharedPV]) -> None:
        self._served = {prefix + name: channel for name, channel in channels.items()}
        self._away_since_s = 0.0
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

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None
