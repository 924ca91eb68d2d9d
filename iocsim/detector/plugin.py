"""Common part of areaDetector plugins: PVs, counting of arrays, and the switch that lets arrays in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from iocsim.detector.ndarray import DATA_TYPES, NDArray, data_type_name
from iocsim.pv import NO_YES, Choice, Pair, PvTable, Text

ADCORE_VERSION = "3.14.0"
"""The release whose PVs these are (R3-14; the recordings come from its development branch)."""
DRIVER_PORT = "SIM1"
Arrays = Mapping[str, NDArray]
"""One exposure as each port gives it, by the name of the port."""
COLOR_MODES = Choice(("Mono", "Bayer", "RGB1", "RGB2", "RGB3", "YUV444", "YUV422", "YUV421"))
DISABLE_ENABLE = Choice(("Disable", "Enable"))
ENABLED = Choice(DISABLE_ENABLE.strings, 1)


class ArrayCount:
    """`ArrayCounter` with its readback, counted by a worker thread and shown by the event loop."""

    def __init__(self, table: PvTable, on_set: Callable[[int], None] | None = None) -> None:
        """`on_set` is told the number that a client puts."""
        self.value = 0
        self._on_set = on_set
        self._pv: Pair = table.pair("ArrayCounter", 0, on_put=self._put)
        self._rate = table.readback("ArrayRate_RBV", 0.0, units="Hz", precision=2)
        self._shown_value = 0
        self._shown_s = time.monotonic()

    async def refresh(self) -> None:
        """Show the present count, and the rate over the last second or so."""
        value = self.value
        await self._pv.follow(value)
        age_s = time.monotonic() - self._shown_s
        if age_s >= 1.0:
            await self._rate.follow(max(0.0, (value - self._shown_value) / age_s))
            self._shown_value = value
            self._shown_s += age_s

    async def _put(self, value: Any) -> int:
        self.value = self._shown_value = value
        if self._on_set is not None:
            self._on_set(value)
        return value


class Plugin:
    """The PVs common to all plugins. `process` is called in the driver's thread, everything else in the event loop."""

    takes_compressed = False
    """What it does with a compressed array: process it, or count it as dropped."""

    def __init__(
        self,
        table: PvTable,
        plugin_type: str,
        port: str,
        *,
        source_port: str = DRIVER_PORT,
        is_enabled: bool = False,
        gives_arrays: bool = False,
        n_threads: int = 1,
    ) -> None:
        """`source_port` is the first value of NDArrayPort; `gives_arrays` that of ArrayCallbacks.

        `n_threads` is the most that it may use. On a fresh IOC every plugin is disabled.
        """
        self._last: NDArray | None = None
        self._shown: NDArray | None = None
        self.n_dropped = 0
        """Arrays that found the input queue full, or compressed ones that the plugin does not take."""
        self.n_dropped_outputs = 0
        """Arrays that could not be given on."""

        table.readback("PluginType_RBV", plugin_type)
        table.readback("PortName_RBV", port)
        table.readback("ADCoreVersion_RBV", ADCORE_VERSION)
        self._source_port = table.pair("NDArrayPort", source_port)
        table.pair("NDArrayAddress", 0)
        self._enable = table.pair("EnableCallbacks", ENABLED if is_enabled else DISABLE_ENABLE)
        self._blocking = table.pair("BlockingCallbacks", NO_YES)
        table.pair("MinCallbackTime", 0.0, units="s")
        self._array_callbacks = table.pair("ArrayCallbacks", ENABLED if gives_arrays else DISABLE_ENABLE)
        table.pair("NumThreads", 1)
        table.readback("MaxThreads_RBV", n_threads)
        table.setpoint("NDAttributesFile", Text())
        table.setpoint("EmptyFreeList", Choice(("", "")))
        self.counter = ArrayCount(table)
        self._dropped = table.pair("DroppedArrays", 0, on_put=self._put_dropped)
        self._dropped_outputs = table.pair("DroppedOutputArrays", 0, on_put=self._put_dropped_outputs)
        self._queue_size = table.pair("QueueSize", 20)
        self._queue_free = table.readback("QueueFree", 20)
        self._dimensions = [table.readback(f"ArraySize{axis}_RBV", 0) for axis in range(3)]
        self._sizes = [table.readback(f"ArraySize{axis}_RBV", 0) for axis in "XYZ"]
        for axis in range(3):
            table.setpoint(f"ArraySize{axis}", 0)
        table.readback("DriverVersion_RBV", ADCORE_VERSION)
        self._n_dimensions = table.readback("NDimensions_RBV", 0)
        self._data_type = table.readback("DataType_RBV", Choice(DATA_TYPES))
        table.readback("ColorMode_RBV", COLOR_MODES)
        self._codec = table.readback("Codec_RBV", "")
        self._compressed_bytes = table.readback("CompressedSize_RBV", 0)
        self._unique_id = table.readback("UniqueId_RBV", 0)
        self._timestamp = table.readback("TimeStamp_RBV", 0.0)
        self._execution_ms = table.readback("ExecutionTime_RBV", 0.0, units="ms")
        self.execution_s = 0.0
        """What the last array took."""

    def wanted(self, arrays: Arrays) -> NDArray | None:
        """The array of the port that NDArrayPort names, if there is one for this plugin; in the driver's thread."""
        array = arrays.get(self._source_port.value) if self._enable.is_on else None
        if array is not None and array.compressed is not None and not self.takes_compressed:
            self.n_dropped += 1
            return None
        return array

    def saw(self, array: NDArray) -> None:
        """Keep the array as the last one seen."""
        self._last = array

    async def refresh(self) -> None:
        """Show what the threads have done since the last time."""
        await self.counter.refresh()
        await self._dropped.follow(self.n_dropped)
        await self._dropped_outputs.follow(self.n_dropped_outputs)
        array = self._last
        if array is None or array is self._shown:
            return
        self._shown = array
        for axis, pvs in enumerate(zip(self._dimensions, self._sizes, strict=True)):
            for pv in pvs:
                await pv.follow(array.dimensions[axis] if axis < len(array.dimensions) else 0)
        await self._n_dimensions.follow(len(array.dimensions))
        await self._data_type.follow(data_type_name(array.pixels.dtype))
        await self._codec.follow(array.codec)
        await self._compressed_bytes.follow(array.compressed_bytes)
        await self._unique_id.post(array.unique_id, array.timestamp_ns)
        await self._timestamp.post(array.epics_seconds, array.timestamp_ns)
        await self._execution_ms.follow(1e3 * self.execution_s)

    async def _put_dropped(self, value: Any) -> int:
        self.n_dropped = value
        return value

    async def _put_dropped_outputs(self, value: Any) -> int:
        self.n_dropped_outputs = value
        return value
