"""The past of the simulated endstation: what was true at a time stays true, wherever the process is held up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from caproto import SkipWrite

from iocsim.motors import motor
from iocsim.motors.motor import Motor
from iocsim.motors.polling import Polling
from iocsim.physics import beam
from iocsim.physics.beam import Energy, Shutter
from iocsim.pv import PvTable

HELD_UP_S = 0.1
"""What another thread can see of a device is seen in far less; one that must wait costs this once."""


def motor_x(table: PvTable) -> Callable[[int], float]:
    return Motor(table, "X", Polling(table.below("Sim:")), lambda true_ns: true_ns).position_at


def energy(table: PvTable) -> Callable[[int], float]:
    return Energy(table, 710.0, (400.0, 1400.0)).energy_eV_at


def shutter(table: PvTable) -> Callable[[int], float]:
    return Shutter(table).is_open_at


@pytest.mark.parametrize(
    ("make", "name", "target"), [(motor_x, "X", 20.0), (energy, "Energy", 711.0), (shutter, "Shutter", "Closed")]
)
def test_what_was_true_at_a_time_is_so_for_ever(
    make: Callable[[PvTable], Callable[[int], Any]], name: str, target: Any, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, Any]] = []

    async def put() -> None:
        table = PvTable("SIM:")
        value_at = make(table)

        def look() -> None:
            time_ns = time.time_ns()
            seen.append((time_ns, value_at(time_ns)))

        looking = threading.Thread(target=look)

        def held_up_time_ns() -> int:
            """The clock of a process that is held up just after it has read it."""
            now_ns = time.time_ns()
            if not looking.ident:
                time.sleep(1e-3)
                looking.start()
                looking.join(HELD_UP_S)
            return now_ns

        clock = SimpleNamespace(time_ns=held_up_time_ns, monotonic=time.monotonic)
        monkeypatch.setattr(motor, "time", clock)
        monkeypatch.setattr(beam, "time", clock)
        on_put = table.pvs[f"SIM:{name}"].on_put
        assert on_put is not None
        with contextlib.suppress(SkipWrite):
            await on_put(target)
        await asyncio.to_thread(looking.join)
        assert [(time_ns, value_at(time_ns)) for time_ns, _ in seen] == seen

    asyncio.run(put())
    assert len(seen) == 1
