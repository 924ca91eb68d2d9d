"""The capturing of frames into files: what NDPluginFile does in its modes Single, Capture and Stream.

It knows no PVs: settings come in as a value when they matter, and everything to be shown is in `status`, a value that
is replaced as a whole. Methods that touch the disk may be called from any thread, never from an event loop.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from iocsim.detector.ndarray import NDArray
from iocsim.hdf5.faults import Hdf5Faults, old_frame
from iocsim.hdf5.file import FrameMismatchError, NDFile, NoPlaceError
from iocsim.hdf5.names import file_name
from iocsim.hdf5.settings import CaptureSettings, FileSettings, RecorderStatus, WriteMode

DISK_ERRORS = (OSError, RuntimeError)
"""What h5py raises when the disk does not do as asked; a close that fails for want of space is a RuntimeError."""


class Recorder:
    """NDPluginFile's state: at most one open file, the frames gathered, the last frame seen."""

    def __init__(
        self,
        capture_settings: Callable[[], CaptureSettings],
        file_settings: Callable[[], FileSettings],
        on_change: Callable[[], None],
        faults: Callable[[], Hdf5Faults] = Hdf5Faults,
        example: Callable[[], NDArray | None] = lambda: None,
    ) -> None:
        """All are called in whatever thread works; `on_change` when something other than counts has changed, `example`
        for a frame like the next ones, for an old file in the way."""
        self._capture_settings = capture_settings
        self._file_settings = file_settings
        self._on_change = on_change
        self._faults = faults
        self._example = example
        self._work = threading.Lock()
        self._status_lock = threading.Lock()
        self._status = RecorderStatus()
        self._file: NDFile | None = None
        self._last: NDArray | None = None
        self._gathered: list[NDArray] = []
        self._is_lazy = False
        """LazyOpen as it was when the capture began."""
        self._has_bad_layout = False
        self.has_misplaced = False
        """A capture ended at an image without a place in the file: the real plugin does not survive the next one."""

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
            self._leave_old_file()
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

    def abandon(self) -> None:
        """The IOC dies: an open file stays as it is on the disk."""
        with self._work:
            file, self._file = self._file, None
            if file is not None:
                file.abandon()
            self._show(is_capturing=False, is_swmr_active=False)
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
        faults = self._faults()
        opened = self._is_lazy and self._file is None and not self._has_bad_layout
        if opened:
            self._open(array)
        if self._file is None:
            return opened or had_failed
        try:
            if array.unique_id in faults.refuse_ids:
                raise FrameMismatchError(f"frame {array.unique_id} is refused on purpose")
            self._refuse_to_write(array)
            self._file.append(array)
        except FrameMismatchError:
            self._show(has_failed=True, message="Invalid frame. Ignoring.")
            return True
        except DISK_ERRORS as error:
            self.has_misplaced = isinstance(error, NoPlaceError)
            self._fail(error)
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
                self._fail(error)
        self._gathered.clear()
        self._close()
        self._show(n_captured=0)

    def _save_one(self, array: NDArray) -> bool:
        if self._open(array, num_capture=1, is_single=True, swmr=False) and self._file is not None:
            try:
                self._file.append(array)
                self._show(n_captured=1, n_saved=self._status.n_saved + 1)
            except DISK_ERRORS as error:
                self._fail(error)
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
            self._refuse_to_write(first)
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
        self._show(has_failed=False, message="")
        self._close()
        self._show(is_capturing=False)  # only now: who waits for it reads the file

    def _refuse_to_write(self, array: NDArray) -> None:
        if array.unique_id in self._faults().fail_ids:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, on purpose, at frame {array.unique_id}")

    def _fail(self, error: Exception) -> None:
        """All that the real plugin says is "status=3"; the console says more."""
        print(f"iocsim: {self._status.full_file_name}: {error}", file=sys.stderr)
        file, self._file = self._file, None
        if file is not None:
            with suppress(*DISK_ERRORS):
                file.abort()
        self._show(has_failed=True, message="Error writing file, status=3", is_capturing=False, is_swmr_active=False)

    def _leave_old_file(self) -> None:
        n_frames = self._faults().old_frames
        like = (self._last or self._example()) if n_frames else None
        if like is None:
            return
        settings = self._file_settings()
        path = Path(file_name(settings.template, settings.folder, settings.name, self._status.file_number))
        with suppress(*DISK_ERRORS):
            file = NDFile(path, like, settings.layout, settings.options)
            for unique_id in range(1, n_frames + 1):
                file.append(old_frame(like, unique_id))
            file.close()

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
