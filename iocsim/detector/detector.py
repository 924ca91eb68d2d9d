"""The camera's own PVs, `cam1:`, and the starting and stopping of acquisitions.

When Acquire goes back to 0, every counter of the detector and its plugins already shows its final value.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import numpy as np
from caproto import SkipWrite

from iocsim.clocks import FaultyClock
from iocsim.detector.acquisition import COLOR_MODE, Acquisition, ExposureSettings, FrameCounter, Series
from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.interruptions import Interruptions
from iocsim.detector.nd_attributes import NDAttributesFile
from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.detector.plugin import ADCORE_VERSION, DRIVER_PORT, ENABLED, ArrayCount
from iocsim.detector.readout_pvs import ReadoutPvs
from iocsim.motors.faulty_positions import FaultyPositions
from iocsim.physics.endstation import Endstation
from iocsim.pv import NO_YES, Choice, PvTable, Text, monitors_sent
from iocsim.truth import Copies, Truth

DONE_ACQUIRE = Choice(("Done", "Acquire"))
DONE_ACQUIRING = Choice(("Done", "Acquiring"))
DETECTOR_STATES = Choice(
    (
        "Idle", "Acquire", "Readout", "Correct", "Saving", "Aborting", "Error", "Waiting", "Initializing",
        "Disconnected", "Aborted",
    )
)  # fmt: skip


class Outputs(Protocol):
    """All that the frames of the detector go to; in the driver's thread."""

    def begin(self, series: Series) -> None:
        """An acquisition begins."""
        ...

    def send(self, array: NDArray, *, to_plugins: bool) -> Copies:
        """Hand on a frame; gives the times it was given to each transport."""
        ...

    def end(self) -> None:
        """The acquisition is over."""
        ...


class Detector:
    """An ADSimDetector look-alike in front of a source of frames."""

    def __init__(
        self,
        table: PvTable,
        sim: PvTable,
        source: FaultyFrames,
        endstation: Endstation,
        truth: Truth,
        outputs: Outputs,
        show_others: Callable[[], Awaitable[None]],
        frame_counter: FrameCounter,
        clock: FaultyClock,
        positions: FaultyPositions,
        interruptions: Interruptions,
        *,
        keeps_checksums: bool,
    ) -> None:
        """`sim` is the table of the simulator's own PVs.

        `show_others` brings the PVs of plugins and simulator up to date, before Acquire goes to 0.
        """
        self._source = source
        self._endstation = endstation
        self._truth = truth
        self._outputs = outputs
        self._show_others = show_others
        self._keeps_checksums = keeps_checksums
        self._frame_counter = frame_counter
        self._clock = clock
        self._positions = positions
        self._interruptions = interruptions
        self._acquisition: Acquisition | None = None
        self._finished: asyncio.Future[None] | None = None

        for name, label in {
            "PortName_RBV": DRIVER_PORT,
            "Manufacturer_RBV": "ptychostream",
            "Model_RBV": "Simulated camera",
            "SerialNumber_RBV": "1",
            "FirmwareVersion_RBV": "1.0",
            "SDKVersion_RBV": "1.0",
            "DriverVersion_RBV": "1.0",
            "ADCoreVersion_RBV": ADCORE_VERSION,
        }.items():
            table.readback(name, label)
        self._acquire = table.setpoint("Acquire", DONE_ACQUIRE)
        self._acquire.on_put = self._put_acquire
        self._acquiring = table.readback("Acquire_RBV", DONE_ACQUIRING)
        self._busy = table.readback("AcquireBusy", DONE_ACQUIRING)
        self._exposure = table.pair("AcquireTime", 0.02, precision=4, on_put=_not_negative)
        self._period = table.pair("AcquirePeriod", 0.02, precision=4, on_put=_not_negative)
        self._n_images = table.pair("NumImages", 100, on_put=_at_least_one)
        self._image_mode = table.pair("ImageMode", Choice(("Single", "Multiple", "Continuous"), 2))
        table.pair("TriggerMode", Choice(("Internal", "External")))
        table.pair("NumExposures", 1)
        table.readback("NumExposuresCounter_RBV", 0)
        table.pair("FrameType", Choice(("Normal", "Background", "FlatField", "DblCorrelation")))
        table.pair("Gain", 1.0)
        table.pair("Temperature", 25.0, units="C")
        table.readback("TemperatureActual", 0.0, units="C")
        table.setpoint("ShutterMode", Choice(("None", "EPICS PV", "Detector output")))
        table.readback("ShutterMode_RBV", Choice(("None", "EPICS PV", "Camera output")))
        table.pair("ColorMode", Choice(("Mono", "RGB1", "RGB2", "RGB3")))
        self._attributes_file = NDAttributesFile(table, sim, self._built_in_attributes)
        table.setpoint("PoolMaxBuffers", 0)
        table.setpoint("WaitForPlugins", NO_YES)
        self._callbacks = table.pair("ArrayCallbacks", ENABLED)
        self._count = ArrayCount(table, on_set=self._frame_counter.set)
        self._images_done = table.readback("NumImagesCounter_RBV", 0)
        self._state = table.readback("DetectorState_RBV", DETECTOR_STATES)
        self._message = table.readback("StatusMessage_RBV", Text())
        self._remaining = table.readback("TimeRemaining_RBV", 0.0)

        self._readout = ReadoutPvs(table, source.raw_shape, source.dtype)
        self._unique_id = table.readback("UniqueId_RBV", 0)
        # Of the last frame, so 0 before the first.
        self._dimensions = [table.readback(f"ArraySize{axis}_RBV", 0) for axis in range(3)]
        self._array_bytes = table.readback("ArraySize_RBV", 0)
        self._last: NDArray | None = None

    @property
    def is_acquiring(self) -> bool:
        """An acquisition runs."""
        return self._finished is not None and not self._finished.done()

    def begin(self, series: Series) -> None:
        """See `Output`."""
        self._outputs.begin(series)

    def send(self, array: NDArray) -> Copies:
        """See `Output`."""
        self._last = array
        return self._outputs.send(array, to_plugins=self._callbacks.is_on)

    def end(self) -> None:
        """See `Output`."""
        self._outputs.end()

    async def refresh(self) -> None:
        """Show how far the acquisition is, and the last frame."""
        self._count.value = self._frame_counter.value
        await self._count.refresh()
        await self._unique_id.follow(self._frame_counter.value)
        if (array := self._last) is not None:
            for pv, size in zip(self._dimensions, array.dimensions, strict=False):
                await pv.follow(size)
            await self._array_bytes.follow(array.pixels.nbytes)
        if (acquisition := self._acquisition) is not None:
            await self._images_done.follow(acquisition.n_done)
            remaining_s = (acquisition.exposure_end_ns - time.time_ns()) / 1e9
            await self._remaining.follow(max(0.0, remaining_s) if self.is_acquiring else 0.0)

    def example(self) -> NDArray:
        """A frame like the next ones, of nothing."""
        readout = self._readout.now
        attributes = (COLOR_MODE, *self._attributes_file.read(0))
        return NDArray(np.zeros(readout.shape, readout.dtype), 0, 0, attributes)

    def give_up(self) -> None:
        """End the acquisition, if one runs; do not wait."""
        if self._acquisition is not None:
            self._acquisition.stop()

    async def stop(self) -> None:
        """End the acquisition, if one runs, and wait for its end."""
        if self._acquisition is not None and self._finished is not None:
            self._acquisition.stop()
            await asyncio.wait([self._finished])

    async def _put_acquire(self, value: str) -> Any:
        if value == "Done":
            await self.stop()
        else:
            finished = self._finished
            if finished is None or finished.done():
                finished = self._finished = asyncio.ensure_future(self._acquire_images())
            # A client that goes away cancels its put, never the acquisition.
            await asyncio.shield(finished)
            await monitors_sent()
        raise SkipWrite

    async def _acquire_images(self) -> None:
        n_images = {"Single": 1, "Multiple": self._n_images.value}.get(self._image_mode.value)
        loop = asyncio.get_running_loop()

        def energy_goes_wrong(factor: float, time_ns: int) -> None:
            asyncio.run_coroutine_threadsafe(self._endstation.energy.go_wrong(factor, time_ns), loop).result()

        acquisition = Acquisition(
            self._source,
            self._endstation,
            self._settings,
            self._attributes,
            self,
            self._frame_counter,
            self._truth,
            self._clock,
            energy_goes_wrong,
            n_images=n_images,
            interruptions=self._interruptions,
            keeps_checksums=self._keeps_checksums,
        )
        self._acquisition = acquisition
        await self._images_done.post(0)
        await self._state.post("Acquire")
        await self._message.post("Acquiring data")
        await self._busy.post("Acquiring")
        await self._acquiring.post("Acquiring")
        await self._acquire.post("Acquire")
        state, message = "Error", "The acquisition failed, see the console of iocsim"
        try:
            await asyncio.to_thread(acquisition.run)
            if acquisition.is_stopped and n_images is not None:
                state, message = "Aborted", f"Stopped after {acquisition.n_done} of {n_images} images"
            else:
                state, message = "Idle", f"Acquired {acquisition.n_done} images"
        finally:
            self._count.value = self._frame_counter.value
            await self._images_done.follow(acquisition.n_done)
            await self.refresh()
            await self._remaining.follow(0.0)
            await self._show_others()
            await self._state.post(state)
            await self._message.post(message)
            await self._busy.post("Done")
            await self._acquiring.post("Done")
            await self._acquire.post("Done")

    def _attributes(self, unique_id: int) -> tuple[NDAttribute, ...]:
        return self._positions.carried(unique_id, self._attributes_file.read(unique_id))

    def _settings(self) -> ExposureSettings:
        return ExposureSettings(self._exposure.value, self._period.value, self._readout.now)

    def _built_in_attributes(self, unique_id: int) -> tuple[NDAttribute, ...]:
        return (
            *self._endstation.attributes(),
            NDAttribute("ArrayCounter", unique_id, "driver array counter", SourceType.PARAM, "ARRAY_COUNTER"),
            NDAttribute("AcquireTime", self._exposure.value, "exposure time, s", SourceType.PARAM, "ACQ_TIME"),
        )


async def _not_negative(value: float) -> float:
    return max(0.0, value)


async def _at_least_one(value: int) -> int:
    return max(1, value)
