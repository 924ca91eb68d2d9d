"""Positions that frames carry and that are missing, not a number, or stuck."""

import asyncio
import math

from iocsim.detector.ndarray import NDAttribute, SourceType
from iocsim.motors.faulty_positions import FaultyPositions
from iocsim.pv import PvTable


def attributes(x_um: float) -> tuple[NDAttribute, ...]:
    return tuple(
        NDAttribute(name, value, "", SourceType.EPICS_PV, source)
        for name, value, source in (("posx", x_um, "T:X.RBV"), ("posy", -x_um, "T:Y.RBV"), ("energy", 710.0, "T:E"))
    )


def carried(**faults: str) -> tuple[list[tuple[object, ...]], list[float]]:
    """The values on frames 1 to 6, and what a readback shows while each is the next."""

    async def run() -> tuple[list[tuple[object, ...]], list[float]]:
        table = PvTable("T:Sim:")
        positions = FaultyPositions(table, ["T:X.RBV", "T:Y.RBV"])
        for name, ids in faults.items():
            await table.pvs[f"T:Sim:Position{name}"].write(ids)
        frames = [positions.carried(n, attributes(float(n))) for n in range(1, 7)]
        return [tuple(a.value for a in frame) for frame in frames], [positions.shown(n, float(n)) for n in range(1, 7)]

    return asyncio.run(run())


def test_sound_positions_are_left_alone():
    assert carried() == ([(float(n), -float(n), 710.0) for n in range(1, 7)], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_missing_positions_are_undefined_and_frozen_ones_those_of_the_frame_before():
    values, shown = carried(Missing="2", Freeze="4-5")
    assert values == [
        (1.0, -1.0, 710.0), (None, None, 710.0), (3.0, -3.0, 710.0), (3.0, -3.0, 710.0), (3.0, -3.0, 710.0),
        (6.0, -6.0, 710.0),
    ]  # fmt: skip
    assert shown == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_positions_that_are_no_number_are_so_in_frames_and_readbacks():
    values, shown = carried(Nan="3")
    for value in (*values[2][:2], shown[2]):
        assert isinstance(value, float)
        assert math.isnan(value)
    assert values[2][2] == 710.0
    assert sum(value == value for value in shown) == 5
