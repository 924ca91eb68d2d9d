"""The connections to clients over CA and PVA: served, cut for seconds, and there again.

Cut is a network that is gone, or an IOC: connections die, searches stay without an answer, and what was going on behind
it goes on. A client that comes back gets the values of then; what was posted meanwhile is lost to it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from p4p.server import Server
from p4p.server.thread import SharedPV

from iocsim.ca_server import CaServer


class Link(ABC):
    """One protocol. Any thread may look at `is_cut`, the event loop does the rest."""

    is_cut = False
    """Nobody is there to whom anything can be sent."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._mending: asyncio.Task[None] | None = None

    @abstractmethod
    async def cut(self) -> None:
        """Connections are dead when this ends, and none can be made."""

    @abstractmethod
    async def mend(self) -> None:
        """Clients find the PVs again."""

    async def for_seconds(self, seconds: float) -> None:
        """Cut it now, and mend it so much later; one that is to be mended later than that stays cut."""
        self._until_s = max(self._until_s, time.monotonic() + seconds)
        await self.cut()
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend_in_time())

    async def close(self) -> None:
        """Cut it for good."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
        await self.cut()

    async def _mend_in_time(self) -> None:
        while (left_s := self._until_s - time.monotonic()) > 0.0:
            await asyncio.sleep(left_s)
        await self.mend()


class CaLink(Link):
    """Channel Access: the server stays and is deaf."""

    def __init__(self, server: CaServer) -> None:
        super().__init__()
        self._server = server

    async def cut(self) -> None:
        """See `Link`."""
        self.is_cut = True
        await self._server.cut()

    async def mend(self) -> None:
        """See `Link`."""
        self._server.is_cut = self.is_cut = False


class PvaLink(Link):
    """pvAccess: the server is closed, and opened again on the port of before."""

    def __init__(self, channels: Callable[[], Mapping[str, SharedPV]], conf: Mapping[str, str]) -> None:
        """`channels` are those that are served from the next opening on. It begins cut."""
        super().__init__()
        self._channels = channels
        self._conf = dict(conf)
        self._server: Server | None = None
        self.is_cut = True

    async def cut(self) -> None:
        """See `Link`."""
        self.is_cut = True
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.stop)

    async def mend(self) -> None:
        """See `Link`."""
        if self._server is None:
            self._server = Server(providers=[dict(self._channels())], conf=self._conf)
            self.is_cut = False


class Links:
    """Both."""

    def __init__(
        self, server: CaServer, channels: Callable[[], Mapping[str, SharedPV]], pva_conf: Mapping[str, str]
    ) -> None:
        """`channels` are those of pvAccess."""
        self.ca = CaLink(server)
        self.pva = PvaLink(channels, pva_conf)
