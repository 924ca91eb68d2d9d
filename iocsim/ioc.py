"""The whole simulated beamline behind its PVs: built from a `Beamline`, served until told to stop.

One event loop does all of CA. Frames are made and posted by the thread of the acquisition; what threads count, the loop
shows 20 times a second and always at the end of an acquisition.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from iocsim.ca_server import CaServer
from iocsim.clocks import ClockFaults, FaultyClock
from iocsim.detector.acquisition import FrameCounter
from iocsim.detector.codecs import NO_COMPRESSOR
from iocsim.detector.detector import Detector
from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.interruptions import Interruptions
from iocsim.fault_table import FaultTable
from iocsim.fault_values import counter_value
from iocsim.faults import FaultPvs, Faults
from iocsim.frame_fault_pvs import DriftPvs, FrameFaultPvs
from iocsim.hdf5.faults import Hdf5FaultPvs
from iocsim.links import Links
from iocsim.moments import Moments
from iocsim.motors.faulty_positions import FaultyPositions
from iocsim.motors.polling import Polling
from iocsim.motors.readback_delivery import ReadbackDelivery
from iocsim.outputs import Outputs
from iocsim.panda import Panda
from iocsim.physics.beamline import Beamline
from iocsim.physics.drifts import Drifts
from iocsim.physics.endstation import Endstation
from iocsim.physics.frame_faults import FrameFaults
from iocsim.pv import PvTable
from iocsim.reboot import DetectorIoc, RestartingIoc
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
        table = PvTable(prefix)
        self.pvs = table.pvs
        self._truth = beamline.new_truth()
        counter = FrameCounter()
        sim = table.below("Sim:")
        self.faults = FaultTable(sim)
        """Everything that goes wrong on command, by name."""
        readbacks = [f"{prefix}{axis}.RBV" for axis in "XY"]
        self._silence = Silence(self.faults, prefix)
        self._readbacks = ReadbackDelivery(self.faults, prefix)
        clocks = [
            FaultyClock(self.faults, name, clock, lambda: counter.following)
            for name, clock in (("FrameClock", frame_clock), ("MotorClock", motor_clock))
        ]
        positions = FaultyPositions(self.faults, readbacks)
        self._endstation = Endstation(
            table,
            beamline.energy_eV,
            beamline.energy_limits_eV,
            beamline.config.seed,
            Polling(self.faults, motor_poll_s, beamline.config.seed),
            clocks[1],
            lambda position: positions.shown(counter.following, position),
        )
        fault_pvs, hdf5_fault_pvs = FaultPvs(self.faults, faults), Hdf5FaultPvs(self.faults)
        frame_fault_pvs = FrameFaultPvs(self.faults, frame_faults, frames_are_given=beamline.frames_are_given)
        drift_pvs = DriftPvs(self.faults, drifts, frames_are_given=beamline.frames_are_given)
        frames = FaultyFrames(beamline.frames, beamline.sensor, lambda: frame_fault_pvs.now, lambda: drift_pvs.now)
        self._panda = Panda(table.below("PANDA:DATA:"), self.faults)
        self._truth.on_frame = self._panda.trigger
        self._links: Links | None = None
        interruptions = Interruptions(self.faults, self._moments(counter))
        self._session = Session(sim, self._truth, truth_file, lambda: self._outputs.deliveries)

        def start() -> DetectorIoc:
            outputs = Outputs(
                table, fault_pvs, hdf5_fault_pvs, compressor, zmq, lambda: detector.example(), self._pva_is_cut
            )
            detector = Detector(
                table.below("cam1:"),
                sim,
                frames,
                self._endstation,
                self._truth,
                outputs,
                self._show_others,
                counter,
                clocks[0],
                positions,
                interruptions,
                # A checksum costs 50 us for 256 x 256: too much beside a precomputed stack.
                keeps_checksums=beamline.config.frames == "simulated",
            )
            return DetectorIoc(outputs, detector)

        self._detector_ioc = RestartingIoc(table, counter, start)
        self._restart_wanted = asyncio.Event()
        self._away_s = 0.0
        self._turn = asyncio.Lock()
        """Of restarting and ending."""

    async def serve(
        self,
        interface: str,
        stop: asyncio.Event,
        on_ready: Callable[[], None],
        faults: Mapping[str, Any] | None = None,
    ) -> None:
        """Serve CA and PVA on one network interface until `stop` is set; saves the truth at the end.

        `faults` are those of a file. Raises FaultError if one cannot be set, before anything is served.
        """
        os.environ.setdefault("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "NO")
        os.environ.setdefault("EPICS_CAS_BEACON_ADDR_LIST", interface)
        await self.faults.set(faults or {})
        server = CaServer(self.pvs, [interface], self._silence, self._readbacks)
        self._links = links = Links(server, lambda: self._outputs.pva.channels, _pva_conf(interface))

        async def ready(_async_lib: object) -> None:
            on_ready()

        await links.pva.mend()
        tasks = [
            asyncio.create_task(server.run(startup_hook=ready)),
            asyncio.create_task(self._refresh()),
            asyncio.create_task(self._endstation.ring_current.run()),
            asyncio.create_task(self._run_detector_ioc(links)),
        ]
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        async with self._turn:
            await self.close()
            await self._show_others()
        await links.pva.close()
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
        await self._detector_ioc.now.detector.stop()
        await self._outputs.close()
        await asyncio.to_thread(self._panda.close)

    @property
    def _outputs(self) -> Outputs:
        return self._detector_ioc.now.outputs

    def _moments(self, counter: FrameCounter) -> list[Moments]:
        """What can happen before a frame, in this order."""

        async def set_counter(value: float) -> None:
            counter.set(int(value))

        async def cut(name: str, seconds: float) -> None:
            if self._links is not None:
                await getattr(self._links, name).for_seconds(seconds)

        return [
            Moments(self.faults, "CounterReset", set_counter, counter_value),
            Moments(self.faults, "ReadbackStall", self._readbacks.stall),
            Moments(self.faults, "CutPva", partial(cut, "pva")),
            Moments(self.faults, "CutCa", partial(cut, "ca")),
            Moments(self.faults, "Restart", self._restart),
        ]

    def _pva_is_cut(self) -> bool:
        return self._links is not None and self._links.pva.is_cut

    async def _restart(self, seconds: float) -> None:
        """Nobody gets through when this ends; the driver, which may wait for it, takes no frame any more."""
        if self._links is None or self._restart_wanted.is_set():
            return
        await self._links.pva.cut()
        await self._links.ca.cut()
        self._detector_ioc.now.detector.give_up()
        self._away_s = seconds
        self._restart_wanted.set()

    async def _run_detector_ioc(self, links: Links) -> None:
        """HDF1 writes what is queued, until it fails or a restart is wanted; that of one start after the other."""
        while True:
            writing = asyncio.create_task(self._outputs.hdf5.run())
            wanted = asyncio.create_task(self._restart_wanted.wait())
            try:
                await asyncio.wait([writing, wanted], return_when=asyncio.FIRST_COMPLETED)
                if writing.done():
                    await writing
                async with self._turn:
                    await self._detector_ioc.die()
            finally:
                for task in (writing, wanted):
                    task.cancel()
                await asyncio.gather(writing, wanted, return_exceptions=True)
            await asyncio.sleep(self._away_s)
            async with self._turn:
                self._detector_ioc.start()
                self._restart_wanted.clear()
                await links.pva.mend()
                await links.ca.mend()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_PERIOD_S)
            await self._detector_ioc.now.detector.refresh()
            await self._show_others()

    async def _show_others(self) -> None:
        await self._outputs.refresh()
        await self._session.refresh()
        await self._panda.refresh()


def _pva_conf(interface: str) -> dict[str, str]:
    """The server listens, and speaks, on this interface only; ports come from the environment."""
    return {
        "EPICS_PVAS_INTF_ADDR_LIST": interface,
        "EPICS_PVAS_BEACON_ADDR_LIST": interface,
        "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
    }
