"""The whole simulated beamline behind its PVs: built from a `Beamline`, served until told to stop.

One event loop does all of CA. Frames are made and posted by the thread of the acquisition; what threads count, the loop
shows 20 times a second and always at the end of an acquisition.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from p4p.server import Server

from iocsim.ca_server import CaServer
from iocsim.clocks import ClockFaults, FaultyClock
from iocsim.detector.acquisition import FrameCounter
from iocsim.detector.codecs import NO_COMPRESSOR
from iocsim.detector.detector import Detector
from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.faults import FaultPvs, Faults
from iocsim.frame_fault_pvs import DriftPvs, FrameFaultPvs
from iocsim.outputs import Outputs
from iocsim.physics.beamline import Beamline
from iocsim.physics.drifts import Drifts
from iocsim.physics.endstation import Endstation
from iocsim.physics.frame_faults import FrameFaults
from iocsim.pv import PvTable
from iocsim.session import Session
from iocsim.silence import Silence
from iocsim.zmq.settings import NO_ZMQ, ZmqSettings

REFRESH_PERIOD_S = 0.05
SOUND = ClockFaults()
ALL_SOUND = FrameFaults()
AT_REST = Drifts()


class Ioc:
    """Endstation, detector and plugins under one prefix."""

    def __init__(
        self,
        beamline: Beamline,
        prefix: str,
        *,
        faults: Faults,
        frame_faults: FrameFaults = ALL_SOUND,
        drifts: Drifts = AT_REST,
        frame_clock: ClockFaults = SOUND,
        motor_clock: ClockFaults = SOUND,
        truth_file: Path | None = None,
        compressor: str = NO_COMPRESSOR,
        motor_poll_s: float = 0.0,
        zmq: ZmqSettings = NO_ZMQ,
    ) -> None:
        """Make it inside a running event loop. With a compressor, Codec1, Pva1 and ZMQ1 begin set up to send with it.

        `motor_poll_s` is the time between two polls of the motors; 0 is a fast controller, see `Polling`. Raises
        AddressError if an address of `zmq` cannot be had.
        """
        config = beamline.config
        table = PvTable(prefix)
        self.pvs = table.pvs
        self._truth = beamline.new_truth()
        counter = FrameCounter()
        sim = table.below("Sim:")
        self._silence = Silence(sim, prefix)
        clocks = [
            FaultyClock(sim, name, clock, lambda: counter.value + 1)
            for name, clock in (("FrameClock", frame_clock), ("MotorClock", motor_clock))
        ]
        self._endstation = Endstation(
            table, beamline.energy_eV, beamline.energy_limits_eV, config.seed, motor_poll_s, clocks[1]
        )
        fault_pvs = FaultPvs(sim, faults)
        self._outputs = Outputs(table, fault_pvs, compressor, zmq)
        self._session = Session(sim, self._truth, truth_file, self._outputs)
        frame_fault_pvs = FrameFaultPvs(sim, frame_faults, frames_are_given=beamline.frames_are_given)
        drift_pvs = DriftPvs(sim, drifts, frames_are_given=beamline.frames_are_given)
        self._detector = Detector(
            table.below("cam1:"),
            sim,
            FaultyFrames(beamline.frames, beamline.sensor, lambda: frame_fault_pvs.now, lambda: drift_pvs.now),
            self._endstation,
            self._truth,
            self._outputs,
            self._show_others,
            counter,
            clocks[0],
            # A checksum costs 50 us for 256 x 256: too much beside a precomputed stack.
            keeps_checksums=config.frames == "simulated",
        )

    async def serve(self, interface: str, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Serve CA and PVA on one network interface until `stop` is set; saves the truth at the end."""
        os.environ.setdefault("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "NO")
        os.environ.setdefault("EPICS_CAS_BEACON_ADDR_LIST", interface)
        context = CaServer(self.pvs, [interface], self._silence)

        async def ready(_async_lib: object) -> None:
            on_ready()

        with Server(providers=[{self._outputs.pva.pv_name: self._outputs.pva.channel}], conf=_pva_conf(interface)):
            tasks = [
                asyncio.create_task(context.run(startup_hook=ready)),
                asyncio.create_task(self._refresh()),
                asyncio.create_task(self._endstation.ring_current.run()),
                asyncio.create_task(self._outputs.hdf5.run()),
            ]
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            await self.close()
            await self._show_others()
            stopped.cancel()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._session.save_truth)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def close(self) -> None:
        """End the acquisition, and close files and sockets; `serve` does it in the end."""
        await self._detector.stop()
        await self._outputs.close()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_PERIOD_S)
            await self._detector.refresh()
            await self._show_others()

    async def _show_others(self) -> None:
        await self._outputs.refresh()
        await self._session.refresh()


def _pva_conf(interface: str) -> dict[str, str]:
    """The server listens, and speaks, on this interface only; ports come from the environment."""
    return {
        "EPICS_PVAS_INTF_ADDR_LIST": interface,
        "EPICS_PVAS_BEACON_ADDR_LIST": interface,
        "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
    }
