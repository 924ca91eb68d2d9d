"""PVs that are connected and say nothing, on command: what a hung record, or a stalled network, looks like.

What they would have said is kept, and sent when they speak again, in its order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from iocsim.fault_values import pv_names
from iocsim.pv import PvTable, Text

Send = Callable[..., Awaitable[None]]


class Silence:
    """`Sim:SilentPvs`: names below the prefix, as `X.RBV,Energy_RBV`; empty for none."""

    def __init__(self, table: PvTable, prefix: str) -> None:
        """`prefix` is that of the whole beamline."""
        self._prefix = prefix
        self._pvs = table.pvs
        self._silent: frozenset[str] = frozenset()
        self._kept: list[tuple[str, Send, Sequence[Any]]] = []
        table.pair("SilentPvs", Text(length=1024), on_put=self._put)

    def keeps(self, name: str, send: Send, commands: Sequence[Any]) -> bool:
        """Keep what the PV of this full name would send, if it is silent; False if it is to be sent."""
        if name not in self._silent:
            return False
        self._kept.append((name, send, commands))
        return True

    async def _put(self, value: str) -> str:
        self._silent = pv_names(value, self._prefix, self._pvs)
        kept, self._kept = self._kept, []
        for name, send, commands in kept:
            if not self.keeps(name, send, commands):
                await send(*commands)
        return value
