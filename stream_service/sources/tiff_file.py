"""One TIFF file of frames: its images one by one, and what areaDetector's NDFileTIFF wrote beside them.

NDFileTIFF keeps the NDArray's uniqueId, its EPICS time stamp and its NDAttributes in private tags (ADCore,
NDFileTIFF.cpp). They are believed only in a file whose `Software` is `EPICS areaDetector`: other programs use the same
numbers for other things. An NDAttribute that is a float is written with six decimals.
"""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NS_PER_S, AttributeValue
from stream_service.errors import SourceError
from stream_service.sources.hdf5_columns import EPICS_EPOCH_S
from stream_service.sources.hdf5_contents import TimestampField
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.tiff_bytes import TiffBytes
from stream_service.sources.tiff_directory import (
    ASCII,
    DESCRIPTION,
    DOUBLE,
    LONG,
    SOFTWARE,
    TagReader,
    TiffDirectory,
    read_directory,
    text_of,
)
from stream_service.sources.tiff_pixels import read_pixels

AREADETECTOR = "EPICS areaDetector"
TIMESTAMP, UNIQUE_ID, EPICS_S, EPICS_NS, FIRST_ATTRIBUTE = 65000, 65001, 65002, 65003, 65010
LAST_S = 2**32
"""EPICS counts seconds in 32 bits."""
MOST_ATTRIBUTE_BYTES = 2048
"""NDFileTIFF's buffer for one of them."""
LONGEST_WHOLE, LONGEST_NUMBER = 19, 400
"""Characters; a double in full, as `%f` prints it, has up to 317."""


@dataclass(frozen=True, slots=True)
class TiffIdentity:
    """Which frame an image is, as far as the file says."""

    unique_id: int | None = None
    timestamp_ns: int | None = None


class TiffFile:
    """An open file. Raises `SourceError` naming it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = TiffBytes(path)
        try:
            self._offsets = array("Q", self._bytes.directory_offsets(MOST_FRAMES))
            self._first = read_directory(self._bytes, self._offsets[0])
            self._check_all_images_there()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._offsets)

    def directory(self, page: int) -> TiffDirectory:
        """What image `page`, counted from 0, is; its pixels are not read."""
        return read_directory(self._bytes, self._offsets[page]) if page else self._first

    def identity(self, directory: TiffDirectory, timestamp_field: TimestampField = "timeStamp") -> TiffIdentity:
        """uniqueId and time stamp of the NDArray that an image was; a stamp of 0 is none."""
        tags = self._tags(directory)
        if UNIQUE_ID not in directory.entries or tags.text(SOFTWARE) != AREADETECTOR:
            return TiffIdentity()
        unique_id, driver_s = tags.number(UNIQUE_ID, LONG), tags.number(TIMESTAMP, DOUBLE)
        seconds, nanoseconds = tags.number(EPICS_S, LONG), tags.number(EPICS_NS, LONG)
        if unique_id is None or driver_s is None or seconds is None or nanoseconds is None or nanoseconds >= NS_PER_S:
            raise SourceError(f"{self.path}: areaDetector's tags {TIMESTAMP} to {EPICS_NS} are damaged")
        if timestamp_field == "dataTimeStamp":
            if not 0 <= driver_s < LAST_S:
                raise SourceError(f"{self.path} is stamped {driver_s:g} s after 1990, which cannot be")
            seconds = math.floor(driver_s)
            nanoseconds = int((driver_s - seconds) * 1e9)  # as ADCore converts it for PVA
        stamp_ns = (int(seconds) + EPICS_EPOCH_S) * NS_PER_S + int(nanoseconds) if seconds or nanoseconds else None
        return TiffIdentity(int(np.uint32(unique_id).astype(np.int32)), stamp_ns)  # a 32-bit signed number in EPICS

    def attributes(self, directory: TiffDirectory) -> dict[str, AttributeValue]:
        """The NDAttributes of the NDArray that an image was; those that read as numbers are numbers."""
        tags = self._tags(directory)
        if UNIQUE_ID not in directory.entries or tags.text(SOFTWARE) != AREADETECTOR:
            return {}
        entries = [entry for code, entry in directory.entries.items() if code >= FIRST_ATTRIBUTE]
        found: dict[str, AttributeValue] = {}
        for entry in entries:
            if entry.type == ASCII:
                text = text_of(tags.data(entry, min(entry.n, MOST_ATTRIBUTE_BYTES), entry.n))
                name, colon, value = text.partition(":")
                if colon and name:
                    found.setdefault(name, _value(value))
        return found

    def pixels(self, directory: TiffDirectory) -> npt.NDArray[Any]:
        """A new array (y, x)."""
        return read_pixels(self._bytes, directory)

    def close(self) -> None:
        self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tags(self, directory: TiffDirectory) -> TagReader:
        return TagReader(self._bytes, directory.entries)

    def _check_all_images_there(self) -> None:
        """A stack may be cut off between two images, or be written as one image that claims to be many."""
        claimed = _images_claimed(self._tags(self._first).text(DESCRIPTION, 4096), self._first.shape)
        if claimed > len(self):
            raise SourceError(
                f"{self.path} says that it holds {claimed} images, but has a directory for only {len(self)}: it is cut "
                "off, or a stack written as one image (ImageJ does so beyond 4 GB) that must be saved with one for each"
            )


def _images_claimed(description: str, shape: tuple[int, int]) -> int:
    """Images that a description by ImageJ or tifffile counts; 0 if it does not."""
    if description.startswith("ImageJ="):
        found = re.search(r"^images=(\d{1,9})\s*$", description, re.MULTILINE)
        return int(found[1]) if found else 0
    found = re.match(r'\{"shape": \[([\d, ]{1,99})\]', description)
    sizes = [int(size) for size in re.findall(r"\d+", found[1])] if found else []
    return math.prod(sizes) // math.prod(shape)


def _value(text: str) -> AttributeValue:
    """A number where it reads as one; whole ones beyond 64 bits as floats."""
    if "_" in text or len(text) > LONGEST_NUMBER:
        return text
    for kind in (int, float) if len(text) <= LONGEST_WHOLE else (float,):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
