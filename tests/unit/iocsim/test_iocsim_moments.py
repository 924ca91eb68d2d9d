"""What happens once, before a frame: for each of the moments, in the event loop, before the driver goes on."""

from __future__ import annotations

import asyncio

import pytest
from limits import HANG_S

from iocsim.detector.interruptions import Interruptions
from iocsim.moments import Moment, Moments, parse_moments
from iocsim.pv import PvTable
from iocsim.unique_ids import FaultError


def test_moments_are_read_as_they_are_written():
    moments = parse_moments("2@100, 0.5@7,3")
    assert moments == (Moment(2.0, 100), Moment(0.5, 7), Moment(3.0, 0))
    assert parse_moments(",".join(map(str, moments[:2]))) == moments[:2]
    assert parse_moments("") == ()


@pytest.mark.parametrize("text", ["x", "2@", "2@x", "2@0", "-1@5", "nan@5", "inf@5", "@5"])
def test_what_is_no_moment_is_named(text: str):
    with pytest.raises(FaultError, match="as 2@100"):
        parse_moments(text)


def test_each_moment_comes_once_before_its_frame_and_is_gone_from_the_pv():
    async def run() -> None:
        happened: list[float] = []
        table = PvTable("T:")

        async def happen(amount: float) -> None:
            happened.append(amount)

        interruptions = Interruptions(table, [Moments(table, "CutPva", happen)])
        await table.pvs["T:CutPva"].write("2@3,5@3,4@5")
        for unique_id, after in ((1, []), (3, [2.0, 5.0]), (3, [2.0, 5.0]), (5, [2.0, 5.0, 4.0])):
            await asyncio.to_thread(interruptions.before, unique_id)
            assert happened == after
        assert table.pvs["T:CutPva_RBV"].value == ""

    asyncio.run(run())


def test_moment_without_a_frame_is_now():
    async def run() -> None:
        table, happened = PvTable("T:"), asyncio.Event()

        async def happen(amount: float) -> None:
            assert amount == 2.0
            happened.set()

        Moments(table, "Restart", happen)
        await table.pvs["T:Restart"].write("2")
        await asyncio.wait_for(happened.wait(), HANG_S)
        assert table.pvs["T:Restart_RBV"].value == ""

    asyncio.run(run())


def test_series_ends_after_the_frames_that_are_named():
    async def run() -> list[int]:
        table = PvTable("T:")
        interruptions = Interruptions(table)
        await table.pvs["T:StopIds"].write("3,7-8")
        return [unique_id for unique_id in range(10) if interruptions.stops_after(unique_id)]

    assert asyncio.run(run()) == [3, 7, 8]
