"""HDF1: the NDFileHDF5 plugin. PVs in front of a `Recorder`, and the queue between the detector and the disk.

With BlockingCallbacks=Yes the detector's thread writes, so the detector waits and nothing is lost; otherwise a worker
writes, and arrays that find the queue full are counted in DroppedArrays. HDF1 gets every frame, whatever PVA loses.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from typing import Any

from caproto import SkipWrite

from iocsim.crash import crash
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.hdf5.faults import Hdf5Faults
from iocsim.hdf5.file import FileOptions
from iocsim.hdf5.filters import filters_for
from iocsim.hdf5.layout import DefaultLayout, Layout
from iocsim.hdf5.names import make_folder
from iocsim.hdf5.quiet_pvs import YES, add_quiet_pvs
from iocsim.hdf5.recorder import Recorder
from iocsim.hdf5.settings import CaptureSettings, FileSettings, WriteMode
from iocsim.hdf5.xml import LayoutFileError, load_layout
from iocsim.hdf5.xml_layout import XmlLayout
from iocsim.pv import NO_YES, OFF_ON, Choice, Initial, Pair, PvTable, Text, monitors_sent

PLUGIN_TYPE = "NDFileHDF5 ver1.10.1"
XML_FILE_NAME_BYTES = 2048
"""XMLSIZE, the default length of the record in NDFileHDF5.template."""


class Hdf5Plugin(Plugin):
    """NDFileHDF5 in the modes Stream, Single and Capture, with SWMR and LazyOpen, in the default or an XML layout."""

    def __init__(
        self,
        table: PvTable,
        faults: Callable[[], Hdf5Faults] = Hdf5Faults,
        example: Callable[[], NDArray | None] = lambda: None,
    ) -> None:
        """`faults` gives those in force, `example` a frame like the next ones."""
        super().__init__(table, PLUGIN_TYPE, "FileHDF1")
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()
        self._input: queue.Queue[NDArray | None] = queue.Queue()
        self._worker: asyncio.Future[None] | None = None
        self._recorder = Recorder(self._capture_settings, self._file_settings, self._tell_loop, faults, example)
        self._has_changed = asyncio.Event()
        self._n_counted = 0

        add_quiet_pvs(table)
        table.setpoint("FileFormat", Choice(("HDF5", "Invalid")))
        table.readback("FileFormat_RBV", Choice(("HDF5", "Undefined")))
        self._folder = table.pair("FilePath", Text(), on_put=self._put_folder)
        self._folder_exists = table.readback("FilePathExists_RBV", NO_YES)
        self._create_directory = table.pair("CreateDirectory", 0)
        self._name = table.pair("FileName", Text())
        self._number = table.pair("FileNumber", 0, on_put=self._put_number)
        self._template = table.pair("FileTemplate", Text())
        self._full_name = table.readback("FullFileName_RBV", Text(length=512))
        self._auto_increment = table.pair("AutoIncrement", NO_YES)
        self._auto_save = table.pair("AutoSave", NO_YES)
        self._mode = table.pair("FileWriteMode", Choice(tuple(WriteMode)))
        self._capture = table.setpoint("Capture", Choice(("Done", "Capture")))
        self._capture.on_put = self._put_capture
        self._capturing = table.readback("Capture_RBV", Choice(("Done", "Capturing")))
        self._num_capture = table.pair("NumCapture", 1)
        self._num_captured = table.readback("NumCaptured_RBV", 0)
        self._write_file = table.setpoint("WriteFile", Choice(("Done", "Write")))
        self._write_file.on_put = self._put_write_file
        self._writing = table.readback("WriteFile_RBV", Choice(("Done", "Writing")))
        self._write_status = table.readback("WriteStatus", Choice(("Write OK", "Write error")))
        self._write_message = table.readback("WriteMessage", Text())
        self._lazy_open = table.pair("LazyOpen", NO_YES)
        self._swmr = table.pair("SWMRMode", OFF_ON)
        self._swmr_active = table.readback("SWMRActive_RBV", Choice(("Off", "Active")))
        table.readback("SWMRSupported_RBV", Choice(("Not Supported", "Supported"), 1))
        self._flush_now = table.setpoint("FlushNow", Choice(("Done", "Flush")))
        self._flush_now.on_put = self._put_flush_now
        self._flush_every = table.pair("NumFramesFlush", 0, on_put=self._put_flush_every)
        self._chunk_frames = self._settled_while_open(table, "NumFramesChunks", 0)
        self._chunk_rows = self._settled_while_open(table, "NumRowChunks", 0)
        self._chunk_columns = self._settled_while_open(table, "NumColChunks", 0)
        self._column_chunk = table.pair("NDAttributeChunk", 0)
        self._store_attributes = self._settled_while_open(table, "StoreAttr", YES)
        self._store_performance = self._settled_while_open(table, "StorePerform", YES)
        self._compression = self._settled_while_open(
            table, "Compression", Choice(("None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG"))
        )
        self._zlib_level = self._settled_while_open(table, "ZLevel", 6)
        self._blosc_compressor = table.pair(
            "BloscCompressor", Choice(("BloscLZ", "LZ4", "LZ4HC", "SNAPPY", "ZLIB", "ZSTD"))
        )
        self._blosc_shuffle = table.pair("BloscShuffle", Choice(("None", "Byte", "Bit"), 1))
        self._blosc_level = table.pair("BloscLevel", 5)
        self._position_mode = table.pair("PositionMode", OFF_ON)
        self._columns_by_index = table.pair("DimAttDatasets", NO_YES)
        self._extra_dimensions = table.pair("NumExtraDims", 0)
        for axis in ("N", "X", "Y"):
            table.pair(f"ExtraDimSize{axis}", 1)
        self._position_name = table.pair("PosNameDimN", "")
        for axis in ("X", "Y"):
            table.pair(f"PosNameDim{axis}", "")
        self._layout_name = table.pair("XMLFileName", Text(length=XML_FILE_NAME_BYTES))
        self._layout_name.after_put = self._check_layout
        self._layout_valid = table.readback("XMLValid_RBV", YES)
        self._layout_message = table.readback("XMLErrorMsg_RBV", Text("Default layout selected"))

    def process(self, arrays: Arrays) -> None:
        """Take an array, in the driver's thread."""
        array = self.wanted(arrays)
        if array is None:
            return
        if array.unique_id in self._faults().drop_ids:
            self.n_dropped += 1
            return
        if self._blocking.is_on:
            # What was queued before BlockingCallbacks went to Yes comes first.
            self._input.join()
            self._write(array)
        elif self._input.qsize() < self._queue_size.value:
            self._input.put(array)
        else:
            self.n_dropped += 1

    async def run(self) -> None:
        """Write what is queued, and show at once what the recorder does; until cancelled, or the writing fails."""
        self._worker = asyncio.ensure_future(asyncio.to_thread(self._work))
        await asyncio.gather(self._worker, self._show_changes())

    async def close(self) -> None:
        """Write what is queued, close an open file and end the worker."""
        self._input.put(None)
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await asyncio.to_thread(self._recorder.stop)
        await self.refresh()

    async def abandon(self) -> None:
        """The IOC dies: what is queued is lost, and an open file stays as it is on the disk."""
        await asyncio.to_thread(self._recorder.abandon)
        self._input.put(None)
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def refresh(self) -> None:
        """See `Plugin`; what names the file is shown before Capture, so that who waits for Capture may read it."""
        await self._queue_free.follow(max(0, self._queue_size.value - self._input.qsize()))
        status = self._recorder.status
        # As in NDPluginFile, ArrayCounter counts what comes while capturing, not what comes by.
        self.counter.value += status.n_saved - self._n_counted
        self._n_counted = status.n_saved
        await super().refresh()
        await self._number.follow(status.file_number)
        await self._full_name.follow(status.full_file_name)
        await self._num_captured.follow(status.n_captured)
        await self._write_status.follow(int(status.has_failed))
        await self._write_message.follow(status.message)
        await self._swmr_active.follow(int(status.is_swmr_active))
        is_streaming = status.is_capturing and self._mode.value == WriteMode.STREAM
        await self._writing.follow(int(is_streaming))
        # As configureDims(): a file that is opened settles what was left to choose.
        if (chunk_frames := status.chunk_frames) and self._chunk_frames.value < chunk_frames:
            await self._chunk_frames.readback.follow(chunk_frames)
        if self._flush_every.value < status.chunk_frames:
            await self._flush_every.readback.follow(status.chunk_frames)
        await self._capturing.follow(int(status.is_capturing))
        await self._capture.follow(int(status.is_capturing))
        if status.is_capturing:
            self._idle.clear()
        else:
            self._idle.set()

    async def _show_changes(self) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            await self.refresh()

    def _work(self) -> None:
        while (array := self._input.get()) is not None:
            self._write(array)
            self._input.task_done()

    def _write(self, array: NDArray) -> None:
        started_s = time.perf_counter()
        self.saw(array)
        self._recorder.take(array)
        self.execution_s = time.perf_counter() - started_s

    def _tell_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._has_changed.set)

    def _capture_settings(self) -> CaptureSettings:
        return CaptureSettings(
            mode=WriteMode(self._mode.value),
            num_capture=self._num_capture.value,
            auto_save=self._auto_save.is_on,
            lazy_open=self._lazy_open.is_on,
        )

    def _file_settings(self) -> FileSettings:
        filters, refusal = filters_for(
            self._compression.value,
            zlib_level=self._zlib_level.value,
            blosc_compressor=self._blosc_compressor.value,
            blosc_shuffle=self._blosc_shuffle.value,
            blosc_level=self._blosc_level.value,
        )
        if self._extra_dimensions.value:
            refusal = "extra dimensions are not simulated"
        if self._position_mode.is_on and (not self._position_name.value or self._columns_by_index.is_on):
            refusal = "PositionMode without PosNameDimN, or with DimAttDatasets, is not simulated"
        layout: Layout = DefaultLayout()
        if self._layout_name.value:
            try:
                parsed = load_layout(self._layout_name.value)
                if parsed.fatal:
                    crash(f"at this layout: {parsed.fatal}")
                layout = XmlLayout(parsed)
            except LayoutFileError:
                refusal = "status=3"
        return FileSettings(
            folder=self._folder.value,
            name=self._name.value,
            template=self._template.value,
            auto_increment=self._auto_increment.is_on,
            layout=layout,
            refusal=refusal,
            options=FileOptions(
                num_capture=self._num_capture.value,
                column_chunk=self._column_chunk.value,
                chunk_frames=self._chunk_frames.value,
                chunk_rows=self._chunk_rows.value,
                chunk_columns=self._chunk_columns.value,
                flush_every=self._flush_every.value,
                position_name=self._position_name.value if self._position_mode.is_on else "",
                swmr=self._swmr.is_on,
                stores_columns=self._store_attributes.is_on,
                stores_performance=self._store_performance.is_on,
                filters=filters,
            ),
        )

    async def _put_capture(self, value: str) -> Any:
        if value == "Capture":
            if self._recorder.has_misplaced:
                crash("at the capture after one whose images had no place in the file")
            await asyncio.to_thread(self._recorder.start)
            await self.refresh()
            await self._idle.wait()
        else:
            await asyncio.to_thread(self._recorder.stop)
            await self.refresh()
        await monitors_sent()
        raise SkipWrite

    async def _put_write_file(self, value: str) -> str:
        if value == "Write":
            await self._write_file.post("Write")
            await asyncio.to_thread(self._recorder.save)
            await self.refresh()
        return "Done"

    async def _put_flush_now(self, value: str) -> str:
        if value == "Flush":
            await self._flush_now.post("Flush")
            await asyncio.to_thread(self._recorder.flush)
        return "Done"

    async def _put_folder(self, value: str) -> str:
        if not value:
            return value
        folder = value.rstrip("/") + "/"
        exists = await asyncio.to_thread(make_folder, folder, self._create_directory.value)
        await self._folder_exists.follow(int(exists))
        return folder

    def _settled_while_open(self, table: PvTable, name: str, initial: Initial) -> Pair:
        """A setting that is not taken while a file is open, nor below 0."""

        async def taken(value: Any) -> Any:
            is_refused = self._recorder.is_open or (isinstance(value, int) and value < 0)
            return pair.value if is_refused else value

        pair = table.pair(name, initial, on_put=taken)
        return pair

    async def _put_flush_every(self, value: int) -> int:
        """Not below NumFramesChunks, which is 0 until the first file."""
        return self._flush_every.value if value < self._chunk_frames.value else value

    async def _put_number(self, value: int) -> int:
        self._recorder.renumber(value)
        return value

    async def _check_layout(self) -> None:
        """Well-formed or not, as the real plugin: whether it is a layout shows only when a file is opened."""
        message = "Default layout selected"
        is_valid = True
        if self._layout_name.value:
            try:
                await asyncio.to_thread(load_layout, self._layout_name.value)
                message = ""
            except LayoutFileError as error:
                message, is_valid = str(error), False
        await self._layout_valid.follow(int(is_valid))
        await self._layout_message.follow(message)
