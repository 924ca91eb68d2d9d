"""A motor over Channel Access: a motor record in front of an axis that takes real time to move.

What is posted, in which order and with which stamps, is decided by `MotorRecord`; here it goes out, and the controller
is polled while the axis moves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from caproto import SkipWrite

from iocsim.motors.axis import Axis
from iocsim.motors.motor_fields import LENGTHS_UM, OTHERS, READ_ONLY, SPEEDS_UM_S
from iocsim.motors.motor_record import PROCESSING_FIELDS, MotorRecord
from iocsim.motors.motor_values import Post
from iocsim.motors.polling import Polling
from iocsim.pv import UNDEFINED_TIME_NS, DoublePv, Pv, PvTable, monitors_sent


class Motor:
    """The record `name` and its fields. The user coordinate is what CA shows, the dial is where the axis really is."""

    def __init__(
        self,
        table: PvTable,
        name: str,
        polling: Polling,
        stamp: Callable[[int], int],
        shown: Callable[[float], float] = lambda position: position,
        units: str = "um",
    ) -> None:
        """`stamp` is what the IOC's clock says at a true time (Unix ns), `shown` what its readback makes of a place."""
        self.name = table.prefix + name
        self._axis = Axis()
        self._record = MotorRecord(self._axis, units, stamp)
        self._polling = polling
        self._shown = shown
        self._turn = asyncio.Lock()
        """Of putting and polling, one processes the record at a time."""
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._sent_off = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._pvs = self._served_fields(table, name, units)
        self.readback = self._pvs["RBV"]
        self._show_limits()
        self._stamp_all()

    def position_at(self, time_ns: int) -> float:
        """The true position of the axis, in its unit, at a time in the past (Unix ns). Any thread."""
        return self._axis.position_at(time_ns)

    def _served_fields(self, table: PvTable, name: str, units: str) -> dict[str, Pv]:
        fields = table.below(f"{name}.")
        pvs: dict[str, Pv] = {"VAL": DoublePv(value=0.0, units=units, precision=4)}
        table.add(name, pvs["VAL"])
        fields.add("VAL", pvs["VAL"])
        for group, unit in ((LENGTHS_UM, units), (SPEEDS_UM_S, f"{units}/sec"), ({**OTHERS, "EGU": units}, "")):
            for field, initial in group.items():
                if field != "VAL":
                    make = fields.readback if field in READ_ONLY else fields.setpoint
                    pvs[field] = make(field, initial, units=unit, precision=4)
        for field, pv in pvs.items():
            if field not in READ_ONLY:
                pv.on_put = partial(self._put, field)
        return pvs

    async def _put(self, field: str, value: Any) -> Any:
        # A client that goes away cancels its put, never the processing.
        await asyncio.shield(asyncio.create_task(self._take(field, value)))
        if field in PROCESSING_FIELDS:
            await self._at_rest.wait()
            await monitors_sent()
        raise SkipWrite

    async def _take(self, field: str, value: Any) -> None:
        async with self._turn:
            end_ns = self._axis.end_ns
            await self._show(self._at_present(lambda now_ns: self._record.put(field, value, now_ns)))
            await self._acknowledge()
            if self._axis.end_ns != end_ns:
                self._sent_off.set()
                if self._follower is None or self._follower.done():
                    self._follower = asyncio.create_task(self._follow())

    async def _acknowledge(self) -> None:
        if self._record.has_command:
            await self._show(self._at_present(self._record.acknowledge))

    async def _follow(self) -> None:
        """Poll until the record knows that the axis is at rest."""
        while self._record.values["MOVN"]:
            self._sent_off.clear()
            now_ns = time.time_ns()
            wait_s = (self._polling.next_ns(now_ns, self._axis.end_ns) - now_ns) / 1e9
            try:
                await asyncio.wait_for(self._sent_off.wait(), wait_s)
            except TimeoutError:
                async with self._turn:
                    await self._show(self._at_present(self._poll))
                    await self._acknowledge()

    def _poll(self, now_ns: int) -> list[Post]:
        return self._record.report(self._axis.status_at(now_ns), now_ns)

    def _at_present(self, process: Callable[[int], list[Post]]) -> list[Post]:
        """One processing of the record: its values, its stamp and the motion that it begins are of one instant."""
        with self._axis.present:
            return process(time.time_ns())

    async def _show(self, posts: list[Post]) -> None:
        for post in posts:
            time_ns = UNDEFINED_TIME_NS if post.time_ns is None else post.time_ns
            value = self._shown(post.value) if post.field == "RBV" else post.value
            await self._pvs[post.field].post(value, time_ns)
        self._show_limits()
        self._stamp_all()
        if self._record.is_done:
            self._at_rest.set()
        else:
            self._at_rest.clear()

    def _stamp_all(self) -> None:
        """All fields have the time of the record, whether they were posted or not."""
        time_ns = UNDEFINED_TIME_NS if self._record.time_ns is None else self._record.time_ns
        for pv in self._pvs.values():
            pv.stamp(time_ns)

    def _show_limits(self) -> None:
        """Clients take the limits of VAL from its control limits."""
        values = self._record.values
        for field in ("VAL", "DVAL", "RBV"):
            self._pvs[field].limit(values["LLM"], values["HLM"])
