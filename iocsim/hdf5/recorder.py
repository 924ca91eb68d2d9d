"""The capturing of frames into files: what NDPluginFile does in its modes Single, Capture and Stream.

It knows no PVs: settings come in as a value when they matter, and everything to be shown is in `status`, a value that
is replaced as a whole. Methods that touch the disk may be called from any thread, never from an event loop.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from iocsim.detector.ndarray import NDArray
from iocsim.hdf5.file import FileOptions, FrameMismatchError, NDFile
from iocsim.hdf5.layout import Layout

DISK_ERRORS = (OSError, RuntimeError)
"""What h5py raises when the disk does not do as asked; a close that fails for want of space is a RuntimeError."""


class WriteMode(StrEnum):
    """NDFileMode_t: a file per frame, a file of frames gathered in memory, a file that grows."""

    SINGLE = "Single"
    CAPTURE = "Capture"
    STREAM = "Stream"


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Settings of the capture by the PVs; asked for every frame."""

    mode: WriteMode
    num_capture: int
    """0: endless (Stream only)."""
    auto_save: bool
    lazy_open: bool


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Settings of the next file by the PVs; asked when it is opened."""

    folder: str
    name: str
    template: str
    """C format for (folder, name, number), for example `%s%s_%6.6d.h5`."""
    auto_increment: bool
    layout: Layout
    options: FileOptions
    refusal: str = ""
    """Why these settings cannot be simulated; empty if they can."""


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """Status of the recorder."""

    is_capturing: bool = False
    n_captured: int = 0
    n_saved: int = 0
    """Frames that came while capturing since the start, written or not: the file plugin's ArrayCounter."""
    file_number: int = 0
    full_file_name: str = ""
    has_failed: bool = False
    message: str = ""
    is_swmr_active: bool = False
    chunk_frames: int = 0
    """Frames in a chunk of the last file; 0 before the first one."""


class Recorder:
    """NDPluginFile's state: at most one open file, the frames gathered, the last frame seen."""

    def __init__(
        self,
        capture_settings: Callable[[], CaptureSettings],
        file_settings: Callable[[], FileSettings],
        on_change: Callable[[], None],
    ) -> None:
        """All three are called in whatever thread works; `on_change` when something other than counts has changed."""
        self._capture_settings = capture_settings
        self._file_settings = file_settings
        self._on_change = on_change
        self._work = threading.Lock()
        self._status_lock = threading.Lock()
        self._status = RecorderStatus()
        self._file: NDFile | None = None
        self._last: NDArray | None = None
        self._gathered: list[NDArray] = []
        self._is_lazy = False
        """LazyOpen as it was when the capture began."""
        self._has_bad_layout = False

    @property
    def status(self) -> RecorderStatus:
        """The present status."""
        return self._status

    @property
    def is_open(self) -> bool:
        """A file is open. Any thread."""
        return self._file is not None

    def renumber(self, file_number: int) -> None:
        """Set the number of the next file."""
        self._show(file_number=file_number)

    def start(self) -> None:
        """Capture = 1. Without LazyOpen the file is opened now, which needs a frame to take dimensions from."""
        with self._work:
            settings = self._capture_settings()
            self._is_lazy, self._has_bad_layout = settings.lazy_open, False
            self._close()
            self._show(
                n_captured=0, full_file_name="", has_failed=False, message="", is_capturing=False, is_swmr_active=False
            )
            self._gathered.clear()
            if settings.mode is WriteMode.SINGLE:
                self._show(message="ERROR: capture not supported in Single mode")
            elif settings.mode is WriteMode.CAPTURE or not settings.lazy_open:
                # As the real plugin: without a frame to take dimensions from, capture just falls back to 0.
                if self._last is not None and (settings.mode is WriteMode.CAPTURE or self._open(self._last)):
                    self._show(is_capturing=True)
            else:
                self._show(is_capturing=True, message="Lazy Open...")
        self._on_change()

    def stop(self) -> None:
        """Capture = 0: close the file. Clears an error, as the real plugin does."""
        with self._work:
            self._end_capture()
        self._on_change()

    def take(self, array: NDArray) -> None:
        """One frame from the detector."""
        with self._work:
            self._last = array
            settings = self._capture_settings()
            match settings.mode:
                case WriteMode.SINGLE:
                    changed = settings.auto_save and self._save_one(array)
                case WriteMode.CAPTURE:
                    changed = self._status.is_capturing and self._gather(settings, array)
                case WriteMode.STREAM:
                    changed = self._status.is_capturing and self._stream(settings, array)
        if changed:
            self._on_change()

    def save(self) -> None:
        """WriteFile = 1: the last frame in Single mode, the frames gathered in Capture mode."""
        with self._work:
            settings = self._capture_settings()
            if settings.mode is WriteMode.SINGLE and self._last is not None:
                self._save_one(self._last)
            elif settings.mode is WriteMode.CAPTURE:
                self._save_gathered()
        self._on_change()

    def flush(self) -> None:
        """FlushNow = 1."""
        with self._work:
            if self._file is not None and self._status.is_swmr_active:
                self._file.flush()

    def _stream(self, settings: CaptureSettings, array: NDArray) -> bool:
        """writeFileBase(): every frame begins with WriteStatus OK, and with LazyOpen each tries to open a file."""
        had_failed = self._status.has_failed
        self._show(has_failed=False, message="", n_saved=self._status.n_saved + 1)
        opened = self._is_lazy and self._file is None and not self._has_bad_layout
        if opened:
            self._open(array)
        if self._file is None:
            return opened or had_failed
        try:
            self._file.append(array)
        except FrameMismatchError:
            self._show(has_failed=True, message="Invalid frame. Ignoring.")
            return True
        except DISK_ERRORS as error:
            self._fail(f"Error writing file, {error}")
            return True
        n_captured = self._status.n_captured + 1
        self._show(n_captured=n_captured)
        if settings.num_capture and n_captured >= settings.num_capture:
            self._end_capture()
            return True
        return opened or had_failed

    def _gather(self, settings: CaptureSettings, array: NDArray) -> bool:
        self._gathered.append(array)
        self._show(n_captured=len(self._gathered), n_saved=self._status.n_saved + 1)
        if len(self._gathered) < settings.num_capture:
            return False
        if settings.auto_save:
            self._save_gathered()
        self._show(is_capturing=False)
        return True

    def _save_gathered(self) -> None:
        if not self._gathered:
            self._show(has_failed=True, message="ERROR, no capture buffer present")
            return
        if self._open(self._gathered[0], num_capture=len(self._gathered)) and self._file is not None:
            try:
                for array in self._gathered:
                    self._file.append(array)
            except (FrameMismatchError, *DISK_ERRORS) as error:
                self._fail(f"Error writing file, {error}")
        self._gathered.clear()
        self._close()
        self._show(n_captured=0)

    def _save_one(self, array: NDArray) -> bool:
        if self._open(array, num_capture=1, is_single=True, swmr=False) and self._file is not None:
            try:
                self._file.append(array)
                self._show(n_captured=1, n_saved=self._status.n_saved + 1)
            except DISK_ERRORS as error:
                self._fail(f"Error writing file, {error}")
            self._close()
        return True

    def _open(self, first: NDArray, **changed_options: Any) -> bool:
        """Open the next file for frames like the first; gives whether that went well."""
        settings = self._file_settings()
        options = replace(settings.options, **changed_options)
        number = self._status.file_number
        try:
            path = file_name(settings.template, settings.folder, settings.name, number)
        except ValueError as error:
            self._show(has_failed=True, message=f"Error creating full file name: {error}")
            return False
        self._show(
            has_failed=False,
            message="",
            full_file_name=path,
            file_number=number + 1 if settings.auto_increment else number,
        )
        try:
            if settings.refusal:
                raise ValueError(settings.refusal)
            self._file = NDFile(Path(path), first, settings.layout, options)
        except (ValueError, *DISK_ERRORS) as error:
            # A file that was made and has no place for frames: the real plugin does not try again, nor complains again.
            self._has_bad_layout = isinstance(error, ValueError)
            print(f"iocsim: {path}: {error}", file=sys.stderr)
            reason = settings.refusal or "status=3"  # all that the real plugin says; the console says more
            self._show(has_failed=True, message=f"Error opening file {path}, {reason}"[:255])
            return False
        self._show(is_swmr_active=options.swmr, chunk_frames=max(1, options.chunk_frames))
        return True

    def _end_capture(self) -> None:
        self._has_bad_layout = False
        self._show(has_failed=False, message="", is_capturing=False)
        self._close()

    def _fail(self, message: str) -> None:
        self._close()
        self._show(has_failed=True, message=message[:255], is_capturing=False)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except DISK_ERRORS as error:
                self._show(has_failed=True, message=f"Error closing file, {error}"[:255])
        self._show(is_swmr_active=False)

    def _show(self, **changes: Any) -> None:
        with self._status_lock:
            self._status = replace(self._status, **changes)


def file_name(template: str, folder: str, name: str, number: int) -> str:
    """Result of C's sprintf for the template; like it, values that the template does not use are ignored."""
    for n_values in (3, 2, 1):
        try:
            return template % (folder, name, number)[:n_values]
        except TypeError:
            continue
        except ValueError as error:
            raise ValueError(f"file template {template!r}: {error}") from error
    raise ValueError(f"file template {template!r} does not fit (path, name, number)")


def make_folder(folder: str, create_directory: int) -> bool:
    """Make the folder as far as CreateDirectory allows; gives whether it exists."""
    path = Path(folder)
    if create_directory and not path.is_dir():
        levels = len(path.parts) - 1
        must_exist = create_directory if create_directory > 0 else max(1, levels + create_directory)
        if Path(*path.parts[: 1 + must_exist]).is_dir():
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError:
                return False
    return path.is_dir()
