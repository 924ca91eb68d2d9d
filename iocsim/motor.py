"""A motor record look-alike: one axis that takes real time to move.

The order of what clients see is the motor record's: DMOV 0, readbacks at 20 Hz, the final readback, DMOV 1, then the
put-callback. Every readback carries the time at which it was true.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from caproto import SkipWrite

from iocsim.pv import Choice, DoublePv, Initial, Pv, PvTable, monitors_sent
from iocsim.trajectory import Move, Track

UPDATE_PERIOD_S = 0.05
"""Readbacks while moving come at 20 Hz, as a motor record polls a fast controller."""
SETTLE_S = 0.002
"""From the end of the motion to DMOV = 1: what a good piezo stage asks for after a step."""
DEFAULT_VELOCITY_UM_S = 2000.0
DEFAULT_RAMP_S = 0.005
"""A step of 0.1 um then takes 1 ms of motion, so 5 ms in all with the put-callback."""
DEFAULT_TRAVEL_UM = 5000.0

QUIET_FIELDS: dict[str, Initial] = {
    "DESC": "simulated stage",
    "RTYP": "motor",
    "VMAX": 10_000.0,
    "VBAS": 0.0,
    "MRES": 0.001,
    "RDBD": 0.001,
    "PREC": 4,
    "FOFF": Choice(("Variable", "Frozen")),
    "SPMG": Choice(("Stop", "Pause", "Move", "Go"), 3),
    "HLS": 0,
    "LLS": 0,
    "MISS": 0,
    "STAT": Choice(("NO_ALARM",)),
    "SEVR": Choice(("NO_ALARM", "MINOR", "MAJOR", "INVALID")),
}
"""Fields that clients connect to and that nothing here depends on."""


class Motor:
    """The record `name` and its fields. The user coordinate is what CA shows, the dial is where the axis really is."""

    def __init__(self, table: PvTable, name: str, units: str = "um") -> None:
        self.name = table.prefix + name
        self._track = Track(0.0)
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._motion: asyncio.Task[None] | None = None

        fields = table.below(f"{name}.")
        for field, initial in QUIET_FIELDS.items():
            fields.setpoint(field, initial)
        self._setpoint = DoublePv(value=0.0, units=units, precision=4)
        table.add(name, self._setpoint)
        fields.add("VAL", self._setpoint)
        self._setpoint.on_put = self._put_setpoint
        self.readback = fields.readback("RBV", 0.0, units=units, precision=4)
        self._dial_setpoint = fields.readback("DVAL", 0.0, units=units, precision=4)
        self._dial_readback = fields.readback("DRBV", 0.0, units=units, precision=4)
        self._done = fields.readback("DMOV", 1)
        self._moving = fields.readback("MOVN", 0)
        self._direction_of_travel = fields.readback("TDIR", 1)
        self._limit_violation = fields.readback("LVIO", 0)
        self._units = fields.setpoint("EGU", units)
        self._velocity = fields.setpoint("VELO", DEFAULT_VELOCITY_UM_S, units=f"{units}/s")
        self._ramp = fields.setpoint("ACCL", DEFAULT_RAMP_S, units="s", precision=4)
        self._high_limit = fields.setpoint("HLM", DEFAULT_TRAVEL_UM, units=units)
        self._low_limit = fields.setpoint("LLM", -DEFAULT_TRAVEL_UM, units=units)
        self._dial_high_limit = fields.readback("DHLM", DEFAULT_TRAVEL_UM, units=units)
        self._dial_low_limit = fields.readback("DLLM", -DEFAULT_TRAVEL_UM, units=units)
        self._offset = fields.setpoint("OFF", 0.0, units=units, precision=4)
        self._direction = fields.setpoint("DIR", Choice(("Pos", "Neg")))
        self._set_mode = fields.setpoint("SET", Choice(("Use", "Set")))
        self._tweak = fields.setpoint("TWV", 1.0, units=units)
        for field, put in {
            "STOP": self._put_stop,
            "HOMF": self._put_home,
            "HOMR": self._put_home,
            "TWF": self._put_tweak_forward,
            "TWR": self._put_tweak_back,
        }.items():
            fields.setpoint(field, 0).on_put = put
        self._velocity.on_put = self._put_velocity
        self._ramp.on_put = self._put_ramp
        self._high_limit.on_put = self._put_high_limit
        self._low_limit.on_put = self._put_low_limit
        self._offset.on_put = self._put_offset
        self._direction.on_put = self._put_direction
        self._mark_limits()

    def position_at(self, time_ns: int) -> float:
        """The true position of the axis, in its unit, at a time in the past (Unix ns). Any thread."""
        return self._track.position_at(time_ns)

    async def place(self, position: float) -> None:
        """Put the axis somewhere at once; for the start of a simulation."""
        self._track.add(Move(time.time_ns(), position, position, velocity=1.0))
        await self._setpoint.post(self._user(position))
        await self._dial_setpoint.post(position)
        await self._post_readback(position, time.time_ns())

    def _sign(self) -> float:
        return -1.0 if self._direction.value == "Neg" else 1.0

    def _user(self, dial: float) -> float:
        return self._sign() * dial + self._offset.value

    def _dial(self, user: float) -> float:
        return self._sign() * (user - self._offset.value)

    def _is_within_limits(self, user: float) -> bool:
        low, high = self._low_limit.value, self._high_limit.value
        return low == high or low <= user <= high

    def _mark_limits(self) -> None:
        """Clients take the limits of VAL from its control limits."""
        for pv in (self._setpoint, self.readback):
            pv._data["upper_ctrl_limit"] = pv._data["upper_disp_limit"] = self._high_limit.value
            pv._data["lower_ctrl_limit"] = pv._data["lower_disp_limit"] = self._low_limit.value

    async def _post_readback(self, dial: float, time_ns: int) -> None:
        await self._dial_readback.post(dial, time_ns)
        await self.readback.post(self._user(dial), time_ns)

    async def _put_setpoint(self, user: Any) -> Any:
        if self._set_mode.value == "Set":
            offset = user - self._sign() * self._track.last.target
            await self._redefine(offset)
            raise SkipWrite
        if not self._is_within_limits(user):
            await self._limit_violation.follow(1)
            await self._setpoint.post(self._setpoint.value)
            raise SkipWrite
        await self._limit_violation.follow(0)
        await self._setpoint.post(user)
        await self._start(self._dial(user), time.time_ns())
        await self._at_rest.wait()
        await monitors_sent()
        raise SkipWrite

    async def _start(self, dial: float, now_ns: int) -> None:
        position = self._track.position_at(now_ns)
        move = Move(now_ns, position, dial, self._velocity.value, self._ramp.value)
        self._track.add(move)
        self._at_rest.clear()
        await self._dial_setpoint.post(dial)
        await self._direction_of_travel.follow(int(self._user(dial) >= self._user(position)))
        await self._done.post(0, now_ns)
        await self._moving.post(1, now_ns)
        if self._motion is not None:
            self._motion.cancel()
        self._motion = asyncio.create_task(self._follow(move))

    async def _follow(self, move: Move) -> None:
        """Post what a motor record posts until the move is over; a newer move cancels this."""
        next_ns = move.start_ns
        while True:
            next_ns += round(UPDATE_PERIOD_S * 1e9)
            if next_ns >= move.end_ns:
                break
            await _sleep_until(next_ns)
            now_ns = time.time_ns()
            await self._post_readback(move.position_at(now_ns), now_ns)
        await _sleep_until(move.end_ns + round(SETTLE_S * 1e9))
        await self._post_readback(move.target, move.end_ns)
        await self._moving.post(0)
        await self._done.post(1)
        self._at_rest.set()

    async def _put_stop(self, value: Any) -> int:
        if value and not self._at_rest.is_set():
            now_ns = time.time_ns()
            position = self._track.position_at(now_ns)
            await self._setpoint.post(self._user(position))
            await self._start(position, now_ns)
        return 0

    async def _put_home(self, value: Any) -> int:
        if value:
            await self._setpoint.post(self._user(0.0))
            await self._start(0.0, time.time_ns())
            await self._at_rest.wait()
            await monitors_sent()
        return 0

    async def _put_tweak_forward(self, value: Any) -> int:
        if value:
            await self._setpoint.write(self._setpoint.value + self._tweak.value)
        return 0

    async def _put_tweak_back(self, value: Any) -> int:
        if value:
            await self._setpoint.write(self._setpoint.value - self._tweak.value)
        return 0

    async def _put_velocity(self, value: Any) -> float:
        return self._velocity.value if value <= 0.0 else value

    async def _put_ramp(self, value: Any) -> float:
        return max(0.0, value)

    async def _put_high_limit(self, value: Any) -> Any:
        await self._move_limit(self._high_limit, value)
        raise SkipWrite

    async def _put_low_limit(self, value: Any) -> Any:
        await self._move_limit(self._low_limit, value)
        raise SkipWrite

    async def _move_limit(self, limit: Pv, value: float) -> None:
        await limit.post(value)
        self._mark_limits()
        dials = sorted((self._dial(self._low_limit.value), self._dial(self._high_limit.value)))
        await self._dial_low_limit.follow(dials[0])
        await self._dial_high_limit.follow(dials[1])

    async def _put_offset(self, value: Any) -> Any:
        await self._redefine(value)
        raise SkipWrite

    async def _put_direction(self, value: Any) -> Any:
        await self._direction.post(value)
        await self._redefine(self._offset.value)
        raise SkipWrite

    async def _redefine(self, offset: float) -> None:
        """A new offset: the axis stays, its name for the place changes, and the limits with it."""
        await self._offset.post(offset)
        dial = self._track.last.target
        limits = sorted((self._user(self._dial_low_limit.value), self._user(self._dial_high_limit.value)))
        await self._low_limit.post(limits[0])
        await self._high_limit.post(limits[1])
        self._mark_limits()
        await self._setpoint.post(self._user(dial))
        now_ns = time.time_ns()
        await self._post_readback(self._track.position_at(now_ns), now_ns)


async def _sleep_until(time_ns: int) -> None:
    await asyncio.sleep(max(0.0, (time_ns - time.time_ns()) / 1e9))
