"""A link that is cut for seconds: when it is mended, and that it stays cut for the longest time that was asked for."""

import asyncio

from limits import HANG_S

from iocsim import links as module
from iocsim.links import Link


class Wire(Link):
    """Stands in for a protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[str] = []

    async def cut(self) -> None:
        self.is_cut = True
        self.happened.append("cut")

    async def mend(self) -> None:
        self.is_cut = False
        self.happened.append("mend")


def test_link_is_mended_after_the_longest_of_the_times(monkeypatch):
    now_s = [100.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_s[0] += seconds

    async def run() -> list[str]:
        wire = Wire()
        await wire.for_seconds(2.0)
        await wire.for_seconds(5.0)
        await wire.for_seconds(1.0)
        task = wire._mending
        assert task is not None
        async with asyncio.timeout(HANG_S):
            await task
        return wire.happened

    monkeypatch.setattr(module.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    assert asyncio.run(run()) == ["cut", "cut", "cut", "mend"]
    assert sum(slept) == 5.0


def test_link_that_is_closed_is_not_mended():
    async def run() -> Wire:
        wire = Wire()
        await wire.for_seconds(HANG_S)
        await wire.close()
        return wire

    wire = asyncio.run(run())
    assert wire.is_cut
    assert "mend" not in wire.happened
