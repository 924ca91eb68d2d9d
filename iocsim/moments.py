"""Events that happen once, when the detector is about to take a certain frame, or at once.

Moments are told by uniqueIds and not by the wall clock, so a run can be repeated. The driver waits until it has
happened, so the frame is the first one after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from iocsim.fault_values import duration_s
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import FaultError

ANSWERED_S = 0.05
"""For the answer to a put that itself cuts the connection."""


class Moment(NamedTuple):
    """So much, before this frame; uniqueId 0: now."""

    amount: float
    unique_id: int

    def __str__(self) -> str:
        """As `parse_moments` reads it."""
        return f"{self.amount:g}@{self.unique_id}"


def parse_moments(text: str) -> tuple[Moment, ...]:
    """From text such as `2@100,0.5@200`, or `2`: now. Raises FaultError."""
    moments = []
    for part in filter(None, text.replace(" ", "").split(",")):
        amount, at, unique_id = part.partition("@")
        try:
            moment = Moment(float(amount), int(unique_id) if at else 0)
        except ValueError:
            moment = Moment(-1.0, 0)
        if not 0.0 <= moment.amount < float("inf") or (at and moment.unique_id < 1):
            raise FaultError(f"{part!r} cannot be read: write a number and the uniqueId before which, as 2@100")
        moments.append(moment)
    return tuple(moments)


class Moments:
    """One PV of moments. One that has come is gone from the text: frames with its uniqueId may come again."""

    def __init__(
        self,
        table: PvTable,
        name: str,
        happen: Callable[[float], Awaitable[None]],
        amount: Callable[[float], float] = duration_s,
    ) -> None:
        """`happen` is called with the amount, in the event loop in which this is made; `amount` refuses what cannot
        be."""
        self._loop = asyncio.get_running_loop()
        self._happen = happen
        self._amount = amount
        self._waiting: tuple[Moment, ...] = ()
        self._tasks: set[asyncio.Future[None]] = set()
        self._pair = table.pair(name, Text(length=4096), on_put=self._put)

    def before(self, unique_id: int) -> None:
        """Let happen what is to happen before this frame; in the driver's thread."""
        for moment in self._waiting:
            if moment.unique_id == unique_id:
                asyncio.run_coroutine_threadsafe(self._come(moment), self._loop).result()

    async def _put(self, text: str) -> str:
        moments = parse_moments(text)
        for moment in moments:
            self._amount(moment.amount)
        self._waiting = tuple(moment for moment in moments if moment.unique_id)
        for moment in moments:
            if not moment.unique_id:
                self._loop.call_later(ANSWERED_S, self._come_now, moment)
        return ",".join(map(str, self._waiting))

    def _come_now(self, moment: Moment) -> None:
        task = asyncio.ensure_future(self._happen(moment.amount))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come(self, moment: Moment) -> None:
        self._waiting = tuple(other for other in self._waiting if other is not moment)
        await self._pair.follow(",".join(map(str, self._waiting)))
        await self._happen(moment.amount)
