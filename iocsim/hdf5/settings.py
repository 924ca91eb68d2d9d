"""Settings of the recorder by the PVs, and the status that they show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from iocsim.hdf5.file import FileOptions
from iocsim.hdf5.layout import Layout


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
