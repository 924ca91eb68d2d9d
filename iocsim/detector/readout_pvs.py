"""The readout of the camera by its PVs: region, binning, reversal and data type."""

from __future__ import annotations

from typing import Any

import numpy as np

from iocsim.detector.ndarray import DATA_TYPES, data_type, data_type_name
from iocsim.detector.readout import Readout
from iocsim.pv import NO_YES, Choice, PvTable


class ReadoutPvs:
    """`SizeX`, `MinX`, `BinX`, `ReverseX` (and Y), `DataType`: what is put, and what the sensor can do of it."""

    def __init__(self, table: PvTable, sensor: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """`sensor` is (rows, columns), all of which is read out at first, as `dtype`."""
        rows, columns = sensor
        self._sensor = sensor
        table.readback("MaxSizeX_RBV", columns)
        table.readback("MaxSizeY_RBV", rows)
        self._size_x = table.pair("SizeX", columns)
        self._size_y = table.pair("SizeY", rows)
        self._min_x = table.pair("MinX", 0)
        self._min_y = table.pair("MinY", 0)
        self._bin_x = table.pair("BinX", 1)
        self._bin_y = table.pair("BinY", 1)
        self._reverse_x = table.pair("ReverseX", NO_YES)
        self._reverse_y = table.pair("ReverseY", NO_YES)
        self._data_type = table.pair("DataType", Choice(DATA_TYPES, DATA_TYPES.index(data_type_name(dtype))))
        # Any record has this field; ophyd asks for it when it describes a file plugin.
        table.readback("DataType_RBV.DISA", 0)
        self._array_size_x = table.readback("ArraySizeX_RBV", columns)
        self._array_size_y = table.readback("ArraySizeY_RBV", rows)
        table.readback("ArraySizeZ_RBV", 0)
        self.now = Readout.within(sensor, dtype)
        """What is read out; replaced as a whole, so any thread may read it."""
        for pair in (
            self._size_x,
            self._size_y,
            self._min_x,
            self._min_y,
            self._bin_x,
            self._bin_y,
            self._reverse_x,
            self._reverse_y,
            self._data_type,
        ):
            pair.after_put = self._change

    async def _change(self) -> None:
        """Take the region, binning and type from the PVs, and show what the sensor can do of it."""
        readout = Readout.within(
            self._sensor,
            data_type(self._data_type.value),
            minimum=(self._min_x.setpoint.value, self._min_y.setpoint.value),
            size=(self._size_x.setpoint.value, self._size_y.setpoint.value),
            binning=(self._bin_x.setpoint.value, self._bin_y.setpoint.value),
            reverse=(self._reverse_x.is_on, self._reverse_y.is_on),
        )
        self.now = readout
        for pair, value in (
            (self._min_x, readout.min_x),
            (self._min_y, readout.min_y),
            (self._size_x, readout.size_x),
            (self._size_y, readout.size_y),
            (self._bin_x, readout.bin_x),
            (self._bin_y, readout.bin_y),
        ):
            await pair.readback.follow(value)
        rows, columns = readout.shape
        await self._array_size_x.follow(columns)
        await self._array_size_y.follow(rows)
