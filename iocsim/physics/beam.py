"""Photon energy, stored current and shutter, each behind its PVs."""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import Any

from caproto import SkipWrite

from iocsim.motors.trajectory import Move, Track
from iocsim.pv import Choice, Pv, PvTable, monitors_sent

SLEW_S_PER_EV = 0.02
LONGEST_SLEW_S = 1.0
"""A monochromator takes 0.2 s for 10 eV; the simulated one never more than a second, so that tests end."""
SLEW_UPDATE_S = 0.05

START_CURRENT_MA = 500.0
LIFETIME_S = 10 * 3600.0
FLUCTUATION = 2e-4
"""Relative standard deviation of a current reading: a quiet machine."""
CURRENT_PERIOD_S = 0.5


class Energy:
    """`Energy` (setpoint), `Energy_RBV`, `EnergyDone`, in eV; a put-callback ends when the energy is there."""

    def __init__(self, table: PvTable, energy_eV: float, limits_eV: tuple[float, float]) -> None:
        """A demand outside the limits goes to the limit, as with DRVL and DRVH of an ao record."""
        self._limits_eV = limits_eV
        self._track = Track(energy_eV)
        self._there = asyncio.Event()
        self._there.set()
        self._slew: asyncio.Task[None] | None = None
        self._setpoint = table.setpoint("Energy", float(energy_eV), units="eV")
        self._setpoint.on_put = self._put
        self.readback = table.readback("Energy_RBV", float(energy_eV), units="eV")
        self._done = table.readback("EnergyDone", 1)
        self._factor = 1.0

    def energy_eV_at(self, time_ns: int) -> float:
        """The true energy at a time in the past (Unix ns), but for what went wrong. Any thread."""
        return self._track.position_at(time_ns)

    async def go_wrong(self, factor: float, time_ns: int) -> None:
        """The monochromator slips to so much of the energy at this time, and its readback says so; 1 is back."""
        at_rest_eV = self.readback.value / self._factor
        await self.readback.post(self.readback.value, time_ns - 1)  # what it was until then
        self._factor = factor
        await self.readback.post(factor * at_rest_eV, time_ns)

    async def _put(self, energy_eV: float) -> Any:
        lowest_eV, highest_eV = self._limits_eV
        energy_eV = min(max(lowest_eV, energy_eV), highest_eV)
        with self._track.present:
            now_ns = time.time_ns()
            here_eV = self._track.position_at(now_ns)
            way_eV = abs(energy_eV - here_eV)
            duration_s = min(LONGEST_SLEW_S, SLEW_S_PER_EV * way_eV)
            move = Move(now_ns, here_eV, energy_eV, velocity=way_eV / duration_s if way_eV else 1.0)
            self._track.add(move)
        self._there.clear()
        await self._setpoint.post(energy_eV, now_ns)
        await self._done.post(0, now_ns)
        if self._slew is not None:
            self._slew.cancel()
        self._slew = asyncio.create_task(self._follow(move))
        await self._there.wait()
        await monitors_sent()
        raise SkipWrite

    async def _follow(self, move: Move) -> None:
        while (remaining_s := (move.end_ns - time.time_ns()) / 1e9) > 0.0:
            await asyncio.sleep(min(SLEW_UPDATE_S, remaining_s))
            now_ns = min(time.time_ns(), move.end_ns)
            await self.readback.post(self._factor * move.position_at(now_ns), now_ns)
        await self.readback.post(self._factor * move.target, move.end_ns)
        await self._done.post(1)
        self._there.set()


class RingCurrent:
    """`RingCurrent` in mA: decays slowly, read with a little noise at 2 Hz."""

    def __init__(self, table: PvTable, seed: int) -> None:
        self._noise = random.Random(seed)
        self._started_ns = time.time_ns()
        self._readings = Track(START_CURRENT_MA)
        self.readback: Pv = table.readback("RingCurrent", START_CURRENT_MA, units="mA")

    def mA_at(self, time_ns: int) -> float:
        """The last reading at a time in the past (Unix ns). Any thread."""
        return self._readings.position_at(time_ns)

    async def run(self) -> None:
        """Post readings until cancelled."""
        while True:
            with self._readings.present:
                now_ns = time.time_ns()
                decayed_mA = START_CURRENT_MA * math.exp((self._started_ns - now_ns) / 1e9 / LIFETIME_S)
                reading_mA = decayed_mA * self._noise.gauss(1.0, FLUCTUATION)
                self._readings.jump(now_ns, reading_mA)
            await self.readback.post(reading_mA, now_ns)
            await asyncio.sleep(CURRENT_PERIOD_S)


class Shutter:
    """`Shutter` and `Shutter_RBV`: 0 Closed, 1 Open; moves at once, open at the start."""

    def __init__(self, table: PvTable) -> None:
        self._track = Track(1.0)
        self._state = table.pair("Shutter", Choice(("Closed", "Open"), 1))
        self._state.setpoint.on_put = self._put

    def is_open_at(self, time_ns: int) -> bool:
        """Light reached the sample at a time in the past (Unix ns). Any thread."""
        return self._track.position_at(time_ns) == 1.0

    async def _put(self, value: str) -> Any:
        with self._track.present:
            now_ns = time.time_ns()
            self._track.jump(now_ns, float(value == "Open"))
        await self._state.readback.post(value, now_ns)
        await self._state.setpoint.post(value, now_ns)
        raise SkipWrite
