"""Readbacks that reach clients late, or all at once after a stall, with the stamps of when they were true.

What is late is the monitor updates alone: the records, and the NDAttributes of frames, are up to date.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from caproto.server.common import DisconnectedCircuit

from iocsim.fault_values import checked, duration_s, pv_names
from iocsim.pv import PvTable, Text

Send = Callable[..., Awaitable[None]]
STAGE = "X.RBV,Y.RBV"


class ReadbackDelivery:
    """`Sim:ReadbackDelay`: s by which every update comes late; `Sim:LatePvs`: of which PVs, as `X.RBV,Energy_RBV`."""

    def __init__(self, table: PvTable, prefix: str) -> None:
        """`prefix` is that of the whole beamline."""
        self._prefix = prefix
        self._pvs = table.pvs
        self._names = frozenset(prefix + name for name in STAGE.split(","))
        self._stalled_until_s = 0.0
        self._on_the_way: deque[tuple[float, Send, Any]] = deque()
        """When each leaves, how, and what; they leave in this order."""
        self._delivering: asyncio.Task[None] | None = None
        self._delay = table.pair("ReadbackDelay", 0.0, units="s", on_put=checked(duration_s))
        table.pair("LatePvs", Text(STAGE, length=1024), on_put=self._put_names)

    async def stall(self, seconds: float) -> None:
        """No update reaches a client for so long; then all come that were due, in their order."""
        self._stalled_until_s = max(self._stalled_until_s, time.monotonic() + seconds)

    def keeps(self, name: str, send: Send, commands: Sequence[Any]) -> bool:
        """Keep the updates of the PV of this full name if they are late; False if they are to be sent now."""
        delay_s = self._delay.value
        if name not in self._names:
            return False
        if not (delay_s or self._on_the_way or time.monotonic() < self._stalled_until_s):
            return False
        due_s = time.monotonic() + delay_s
        self._on_the_way.extend((due_s, send, command) for command in commands)
        if self._delivering is None or self._delivering.done():
            self._delivering = asyncio.create_task(self._deliver())
        return True

    async def _put_names(self, names: str) -> str:
        self._names = pv_names(names, self._prefix, self._pvs)
        return names

    async def _deliver(self) -> None:
        while self._on_the_way:
            due_s, send, command = self._on_the_way[0]
            wait_s = max(due_s, self._stalled_until_s) - time.monotonic()
            if wait_s > 0.0:
                await asyncio.sleep(wait_s)
                continue  # it may have stalled meanwhile
            with suppress(DisconnectedCircuit):  # whoever it was for is gone
                await send(command)
            self._on_the_way.popleft()
