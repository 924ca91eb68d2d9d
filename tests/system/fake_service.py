"""The streaming service's PV contract without a service: what plans and devices are tested against.

It arms, stops and aborts as the real one does, receives no frames, and does on command what the real one does only
in trouble: `Fake:ArmError` (a short sentence) refuses the next arming, `Fake:EndState` says how a stopped run ends,
`Fake:Fail` (put 1) fails the run at once. `Fake:Commands` lists the commands it was given, oldest first;
`Fake:Reset` (put 1) forgets all that.

`served` runs it in a child, which is this file as a script: `python fake_service.py PREFIX`. It prints `ready`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from caproto import ChannelType
from caproto.asyncio.server import Context
from caproto.server import pvproperty
from pydantic import ValidationError

from stream_service.publishers.service_pvs import group_of
from stream_service.settings.request import ScanRequest
from stream_service.settings.status_table import STATUS
from stream_service.testing.loopback import LoopbackEpics, process_environment

_PREFIXES = (f"F{os.getpid()}N{number}:" for number in itertools.count())

ACTIVE = {"ARMED", "RECEIVING", "DRAINING"}


class FakeService(group_of(STATUS)):
    """One run after another, none with frames."""

    Request = pvproperty(value="", dtype=ChannelType.CHAR, max_length=1 << 20)
    Arm = pvproperty(value=0, dtype=ChannelType.LONG)
    Repeat = pvproperty(value=0, dtype=ChannelType.LONG)
    Stop = pvproperty(value=0, dtype=ChannelType.LONG)
    Abort = pvproperty(value=0, dtype=ChannelType.LONG)
    FakeArmError = pvproperty(name="Fake:ArmError", value="", dtype=ChannelType.STRING)
    FakeEndState = pvproperty(name="Fake:EndState", value="COMPLETE", dtype=ChannelType.STRING)
    FakeFail = pvproperty(name="Fake:Fail", value=0, dtype=ChannelType.LONG)
    FakeReset = pvproperty(name="Fake:Reset", value=0, dtype=ChannelType.LONG)
    FakeCommands = pvproperty(name="Fake:Commands", value="", dtype=ChannelType.CHAR, max_length=4096)

    @Arm.putter
    async def Arm(self, instance: Any, value: int) -> None:
        if value == 1:
            await self._note("Arm")
            asyncio.get_running_loop().create_task(self._arm())

    @Stop.putter
    async def Stop(self, instance: Any, value: int) -> int:
        await self._note("Stop")
        if self.State.value in ACTIVE:
            await self.Rows.write(self.RowsExpected.value)
            await self.FramesStored.write(self.FramesExpected.value)
            await self._end(self.FakeEndState.value, "stopped by the plan or the operator")
        return 0

    @Abort.putter
    async def Abort(self, instance: Any, value: int) -> int:
        await self._note("Abort")
        if self.State.value in ACTIVE:
            await self._end("ABORTED", "aborted by the plan or the operator")
        return 0

    @FakeFail.putter
    async def FakeFail(self, instance: Any, value: int) -> int:
        if value == 1:
            await self._end("FAILED", "the disk is full")
        return 0

    @FakeReset.putter
    async def FakeReset(self, instance: Any, value: int) -> int:
        for pv, forgotten in ((self.FakeArmError, ""), (self.FakeEndState, "COMPLETE"), (self.FakeCommands, "")):
            await pv.write(forgotten)
        return 0

    async def _arm(self) -> None:
        error = self.FakeArmError.value
        try:
            request = ScanRequest.model_validate_json(self.Request.value)
        except ValidationError as wrong:
            error = error or str(wrong)
        await self.ArmError.write(error)
        if not error:
            for pv, value in (
                (self.ScanId, request.scan_id),
                (self.RunNumber, self.RunNumber.value + 1),
                (self.File, f"/nowhere/{request.path}/{request.scan_id}_std.h5"),
                (self.EndReason, ""),
                (self.FramesExpected, request.n_planned_frames or 0),
                (self.RowsExpected, request.n_positions or 0),
                (self.Rows, 0),
                (self.State, "ARMED"),
            ):
                await pv.write(value)
        await self.Arm.write(0, verify_value=False)

    async def _end(self, state: str, reason: str) -> None:
        await self.EndReason.write(reason)
        await self.State.write(state)

    async def _note(self, command: str) -> None:
        await self.FakeCommands.write(f"{self.FakeCommands.value} {command}".strip())


class QuietContext(Context):
    """caproto's server without beacons, which nobody on a private network listens to."""

    async def broadcast_beacon_loop(self) -> None:
        """Send none."""


async def serve(prefix: str) -> None:
    """Serve until the process is ended."""

    async def ready(_: Any) -> None:
        print("ready", flush=True)

    await QuietContext(FakeService(prefix=prefix).pvdb).run(log_pv_names=False, startup_hook=ready)


@contextmanager
def served(network: LoopbackEpics) -> Iterator[str]:
    """Serve a fake as the `service` of the network, and give its prefix, which no other has."""
    prefix = next(_PREFIXES)
    with subprocess.Popen(
        [sys.executable, __file__, prefix],
        env=process_environment(network.server_environment("service")),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield prefix
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
