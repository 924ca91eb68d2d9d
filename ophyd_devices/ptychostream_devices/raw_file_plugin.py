"""NDFileHDF5 set up for ptychography: one file for the whole scan, readable while it grows, under a chosen name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from ophyd import EpicsSignal, EpicsSignalRO
from ophyd.areadetector import ADComponent
from ophyd.areadetector.base import EpicsSignalWithRBV
from ophyd.areadetector.filestore_mixins import FileStoreIterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin, HDF5Plugin_V34
from ophyd.signal import EpicsSignalBase

from ptychostream_devices.raw_file_layout import LayoutError, RawFileLayout
from ptychostream_devices.restoring import restore, take_settings
from stream_service.text.names_of_now import name_of_now
from stream_service.text.utf8 import from_bytes_of_characters, waveform_of

SETTING_TIMEOUT_S = 10.0  # for the plugin to take a layout
MESSAGE_BYTES = 256  # of the char waveforms XMLErrorMsg and WriteMessage
SETTLING_S = 0.1  # for XMLValid to follow: an IOC posts it after the put
CREATE_FOLDERS = -3  # NDFileHDF5 may create up to three levels of folders


class RawFilePlugin(HDF5Plugin_V34, FileStoreIterativeWrite):
    """NDFileHDF5 that writes `<folder>/<name>.h5` and tells bluesky where (spec AD_HDF5, one datum a trigger).

    The file opens at the first frame (LazyOpen), so the plugin needs no warm-up frame, and it is written as SWMR
    with every attribute flushed as it comes. With a `layout` that is set before; what the beamline chose otherwise
    (compression, chunks, its own layout) is left alone. An existing file is never overwritten, as far as this machine
    can see it.
    """

    dropped_arrays = ADComponent(EpicsSignalWithRBV, "DroppedArrays", auto_monitor=True, kind="omitted")
    num_captured = ADComponent(EpicsSignalRO, "NumCaptured_RBV", auto_monitor=True, kind="omitted")
    write_status = ADComponent(EpicsSignal, "WriteStatus", auto_monitor=True, kind="omitted")
    write_message = ADComponent(EpicsSignal, "WriteMessage", string=True, auto_monitor=True, kind="omitted")
    xml_error_msg = ADComponent(EpicsSignalRO, "XMLErrorMsg_RBV", string=True, auto_monitor=True, kind="omitted")

    filestore_spec = "AD_HDF5"
    layout: RawFileLayout | None = None
    """Where things go in the file; None leaves the plugin's XMLFileName as it is."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._next_file: tuple[PurePosixPath, datetime] | None = None
        self._fn: str = ""
        self._told: list[tuple[str, dict[str, Any]]] = []
        self._must_tell_again = False
        self.stage_sigs.update(
            [
                ("auto_increment", "No"),
                ("array_counter", 0),  # the plugin's own; the camera's must not change once a service is armed
                ("auto_save", "Yes"),
                ("num_capture", 0),  # no limit: the detector may be asked for repeats
                ("file_template", "%s%s.h5"),
                ("file_write_mode", "Stream"),
                ("swmr_mode", "On"),
                ("lazy_open", "Yes"),
                ("store_attr", "Yes"),
                ("nd_attribute_chunk", 1),  # else positions stay invisible to readers for 16384 frames
                ("num_frames_flush", 1),
                ("capture", 1),
            ]
        )

    def file_for(self, name: str, folder: str, moment: datetime) -> str:
        """Path of the file `name`.h5, as readers see it, in `folder` below the root that the device was given.

        `moment` is filled into the template of that root.
        """
        return str(PurePosixPath(moment.strftime(self.read_path_template), folder, f"{name}.h5"))

    def name_next_file(self, name: str, folder: str, moment: datetime) -> None:
        """The next stage will write this file. Without it, the file is named by the time."""
        self._next_file = PurePosixPath(folder, name), moment

    def stage(self) -> None:
        """Set up the plugin and start its capture.

        Raises `FileExistsError`, `NotADirectoryError`, and `LayoutError` when the IOC does not take the layout.
        """
        named, self._next_file = self._next_file, None
        next_file, moment = named or (PurePosixPath(name_of_now("scan") + "_raw"), datetime.now())
        path = Path(self.file_for(next_file.name, str(next_file.parent), moment))
        if path.exists():
            raise FileExistsError(f"{path} exists already: choose another scan_id, or move the file away")
        if self.file_write_mode.get(as_string=True) != "Single":
            self.capture.set(0).wait()
        self.create_directory.set(CREATE_FOLDERS).wait()  # before the path: it decides what writing the path does
        folder = f"{PurePosixPath(moment.strftime(self.write_path_template), next_file.parent)}/"
        set_text(self.file_path, folder)
        set_text(self.file_name, next_file.name)
        if not self.file_path_exists.get():
            raise NotADirectoryError(f"the IOC cannot write to {folder}: it neither exists nor can it be created")
        self._set_layout()
        self._told, self._must_tell_again = [], False
        # HDF5Plugin.stage would refuse a plugin that has not seen a frame; with LazyOpen it does not need one.
        super(HDF5Plugin, self).stage()
        self._fn = str(path)
        self._generate_resource({"frame_per_point": self.root.cam.num_images.get()})

    def unstage(self) -> Any:
        """End the capture and put back what staging changed, as far as the IOC takes it; never fails for that.

        A NumFramesFlush below NumFramesChunks is not tried: no IOC takes it.
        """
        settings, chunks = take_settings(self), 0
        if settings:
            with contextlib.suppress(TimeoutError):  # the IOC is gone
                chunks = self.num_frames_chunks.get()
        restore((signal, value) for signal, value in settings if signal is not self.num_frames_flush or value >= chunks)
        super().unstage()
        return [self]

    def _set_layout(self) -> None:
        if self.layout is None:
            return
        self.xml_file_name.put(waveform_of(self.layout.for_record()), wait=True, timeout=SETTING_TIMEOUT_S)
        time.sleep(SETTLING_S)
        if self.xml_valid.get(use_monitor=False) != "Yes":
            message = whole_text(self.xml_error_msg)
            raise LayoutError(
                f"{self.prefix} does not take the layout {self.layout.path}: {message}. The IOC reads the file itself: "
                "is the path the same there?"
            )

    def collect_asset_docs(self) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """The documents that came since the last call; after `tell_again`, those of the last call."""
        if new := list(super().collect_asset_docs()):
            self._told = new
        elif not self._must_tell_again:
            return
        self._must_tell_again = False
        yield from self._told

    def tell_again(self) -> None:
        """A pause came: if the plan was about to record the last trigger, it will read it once more."""
        self._must_tell_again = True

    def failure(self) -> str:
        """Write error in a sentence; empty if there is none."""
        if self.write_status.get():
            return f"{self.prefix} could not write {self._fn}: {whole_text(self.write_message) or 'Write error'}"
        return ""

    def silence(self) -> str:
        """After the first frames: that the file has none of them, in a sentence; empty if it has, or if none came.

        When the file cannot be opened the plugin says so at the first frame, and "Write OK" again at the next.
        """
        if self.array_counter.get() and self.num_captured.get() == 0:
            return (
                f"{self.prefix} has captured no frame for {self._fn}: can the IOC write there, and has its layout a "
                'dataset with source="detector"?'
            )
        return ""


def set_text(signal: EpicsSignal, text: str) -> None:
    """Set a record of characters, and return when its readback says so; raises `TimeoutError`."""
    if text.isascii():
        signal.set(text).wait()
        return
    signal.put(waveform_of(text), wait=True, timeout=SETTING_TIMEOUT_S)
    deadline_s = time.monotonic() + SETTING_TIMEOUT_S
    while whole_text(signal).rstrip("/") != text.rstrip("/"):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{signal.pvname} did not take {text!r} within {SETTING_TIMEOUT_S:g} s")
        time.sleep(SETTLING_S)


def whole_text(text: EpicsSignalBase) -> str:
    """Text of a char waveform, heard twice alike.

    pyepics may ask for as many characters as the record had when it was last heard, and it lets gets share an answer
    that is under way, which may be one to such a question.
    """
    said, again = None, str(text.get(count=MESSAGE_BYTES, use_monitor=False))
    while said != again:
        said, again = again, str(text.get(count=MESSAGE_BYTES, use_monitor=False))
    return from_bytes_of_characters(again)
