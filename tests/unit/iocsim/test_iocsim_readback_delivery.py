"""Readbacks that come late or after a stall: in their order, with nothing lost."""

from __future__ import annotations

import asyncio
import time

from limits import HANG_S

from iocsim.motors.readback_delivery import ReadbackDelivery
from iocsim.pv import PvTable

LATE_S = 0.05


class Client:
    """Stands in for a connection."""

    def __init__(self) -> None:
        self.got: list[tuple[int, float]] = []
        self._more = asyncio.Event()

    async def send(self, command: int) -> None:
        self.got.append((command, time.monotonic()))
        self._more.set()

    async def until(self, n: int) -> list[int]:
        async with asyncio.timeout(HANG_S):
            while len(self.got) < n:
                self._more.clear()
                await self._more.wait()
        return [command for command, _ in self.got]


def test_late_readbacks_come_in_their_order_and_not_before_their_time():
    async def run() -> None:
        table, client = PvTable("T:Sim:"), Client()
        delivery = ReadbackDelivery(table, "T:")
        assert not delivery.keeps("T:X.RBV", client.send, [0])
        await table.pvs["T:Sim:ReadbackDelay"].write(LATE_S)
        assert not delivery.keeps("T:X.DMOV", client.send, [0])
        started_s = time.monotonic()
        assert delivery.keeps("T:X.RBV", client.send, [1, 2])
        assert delivery.keeps("T:X.RBV", client.send, [3])
        await table.pvs["T:Sim:ReadbackDelay"].write(0.0)
        assert delivery.keeps("T:X.RBV", client.send, [4]), "one overtakes another"
        assert await client.until(4) == [1, 2, 3, 4]
        assert client.got[0][1] - started_s >= LATE_S
        await asyncio.sleep(0)
        assert not delivery.keeps("T:X.RBV", client.send, [5])

    asyncio.run(run())


def test_stalled_readbacks_come_all_at_once_when_it_is_over():
    async def run() -> None:
        table, client = PvTable("T:Sim:"), Client()
        delivery = ReadbackDelivery(table, "T:")
        started_s = time.monotonic()
        await delivery.stall(LATE_S)
        await delivery.stall(LATE_S / 2)
        assert delivery.keeps("T:X.RBV", client.send, [1])
        assert delivery.keeps("T:Y.RBV", client.send, [2])
        assert await client.until(2) == [1, 2]
        assert client.got[0][1] - started_s >= LATE_S

    asyncio.run(run())


def test_which_readbacks_are_late_is_said_by_name():
    async def run() -> None:
        table, client = PvTable("T:Sim:"), Client()
        for name in ("Energy_RBV", "Y.RBV"):
            PvTable("T:", table.pvs).readback(name, 0.0)
        delivery = ReadbackDelivery(table, "T:")
        await table.pvs["T:Sim:LatePvs"].write("Energy_RBV, Y.RBV")
        await delivery.stall(LATE_S)
        assert not delivery.keeps("T:X.RBV", client.send, [0])
        assert delivery.keeps("T:Energy_RBV", client.send, [1])
        assert delivery.keeps("T:Y.RBV", client.send, [2])
        assert await client.until(2) == [1, 2]

    asyncio.run(run())
