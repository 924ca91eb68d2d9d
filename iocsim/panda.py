"""A PandA beside the detector: at each exposure it captures the encoders, into an HDF5 file as PandABlocks-ioc does.

`PANDA:DATA:HDF_DIRECTORY`, `HDF_FILE_NAME` and `HDF_FULL_FILE_PATH` name the file, `CAPTURE` 1 makes it (an older one
of that name is emptied) and 0 closes it; `NUM_CAPTURED` counts. Datasets stand at the root and grow (SWMR, unless
`SWMR` is Off): `/INENC1.VAL.Mean` and `/INENC2.VAL.Mean`, the encoders of X and Y in micrometres; `/INENC3.VAL.Mean`,
the energy in eV; `/PCAP.TS_TRIG.Value`, seconds since the capture began. `Sim:PandaMissIds` are exposures whose trigger
is missed, `Sim:PandaSpuriousIds` those before which there is one too many.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from iocsim.fault_table import FaultTable
from iocsim.pv import OFF_ON, Choice, PutHook, PvTable, Text
from iocsim.truth import FrameRecord
from iocsim.unique_ids import parse_ids

DATASETS = ("/INENC1.VAL.Mean", "/INENC2.VAL.Mean", "/INENC3.VAL.Mean", "/PCAP.TS_TRIG.Value")


class Panda:
    """Its PVs, and the file that it writes."""

    def __init__(self, table: PvTable, faults: FaultTable) -> None:
        """`table` begins with its own prefix."""
        self._missed: frozenset[int] = frozenset()
        self._doubled: frozenset[int] = frozenset()
        faults.pair("PandaMissIds", Text(length=65536), on_put=self._miss)
        faults.pair("PandaSpuriousIds", Text(length=65536), on_put=self._double)
        self._folder = table.setpoint("HDF_DIRECTORY", Text(length=1024))
        self._name = table.setpoint("HDF_FILE_NAME", Text())
        self._path = table.readback("HDF_FULL_FILE_PATH", Text(length=1280))
        self._swmr = table.setpoint("SWMR", Choice(OFF_ON.strings, 1))
        self._n_captured = table.readback("NUM_CAPTURED", 0)
        self._capture = table.setpoint("CAPTURE", Choice(("0", "1")))
        for pv in (self._folder, self._name):
            pv.on_put = self._rename_with(is_folder=pv is self._folder)
        self._capture.on_put = self._put_capture
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        self._datasets: list[h5py.Dataset] = []
        self._begun_ns = 0
        self._last_s = 0.0
        """Of the last trigger, since then."""
        self._n = 0

    def trigger(self, frame: FrameRecord) -> None:
        """Capture an exposure; the stage moves the sample, so its encoders go the other way than the beam. Any
        thread."""
        with self._lock:
            if self._file is None:
                return
            captured_s = (frame.end_ns - self._begun_ns) / 1e9
            encoders = -1e6 * frame.x_m, -1e6 * frame.y_m, frame.energy_eV
            if frame.unique_id in self._doubled:
                self._append(*encoders, (self._last_s + captured_s) / 2)
            if frame.unique_id not in self._missed:
                self._append(*encoders, captured_s)
            self._last_s = captured_s

    def _append(self, *entry: float) -> None:
        for dataset, value in zip(self._datasets, entry, strict=True):
            dataset.resize((self._n + 1,))
            dataset[self._n] = value
            dataset.flush()
        self._n += 1

    async def refresh(self) -> None:
        """Show what was captured."""
        await self._n_captured.follow(self._n)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _begin(self, path: Path, *, swmr: bool) -> None:
        self.close()
        file = h5py.File(path, "w", libver="latest")
        datasets = [file.create_dataset(name, (0,), np.float64, maxshape=(None,)) for name in DATASETS]
        if swmr:
            file.swmr_mode = True
        begun_ns = time.time_ns()
        stamp = datetime.fromtimestamp(begun_ns / 1e9, UTC).isoformat()
        file.attrs["arm_time"] = file.attrs["start_time"] = stamp  # now, as PandABlocks' clients do it
        with self._lock:
            self._file, self._datasets, self._begun_ns, self._n = file, datasets, begun_ns, 0
            self._last_s = 0.0

    async def _put_capture(self, value: str) -> str:
        if value == "1":
            path, swmr = Path(self._path.value), self._swmr.value == "On"
            await asyncio.to_thread(self._begin, path, swmr=swmr)
        else:
            await asyncio.to_thread(self.close)
        return value

    def _rename_with(self, *, is_folder: bool) -> PutHook:
        async def put(value: str) -> str:
            folder, name = (value, self._name.value) if is_folder else (self._folder.value, value)
            await self._path.post(f"{folder.rstrip('/')}/{name}")
            return value

        return put

    async def _miss(self, value: str) -> str:
        self._missed = parse_ids(value)
        return value

    async def _double(self, value: str) -> str:
        self._doubled = parse_ids(value)
        return value
