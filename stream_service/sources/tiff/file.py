"""One TIFF file of frames: its images one by one, and what areaDetector's NDFileTIFF wrote beside them.

The file is read by tifffile, which goes on past much that is damaged and only logs it; here every such complaint is an
error, since a tag that was skipped would give wrong pixels without a word. Sizes are checked before pixels are decoded.

NDFileTIFF keeps the NDArray's uniqueId, its EPICS time stamp and its NDAttributes in private tags (ADCore,
NDFileTIFF.cpp). They are used only in a file whose `Software` is `EPICS areaDetector`: other programs use the same
numbers for other things. An NDAttribute that is a float is written with six decimals.
"""

from __future__ import annotations

import logging
import math
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import tifffile

from stream_service.core.frame import EPICS_EPOCH_S, MOST_FRAME_BYTES, NS_PER_S, AttributeValue
from stream_service.errors import SourceError
from stream_service.processes.reading import reading
from stream_service.sources.hdf5.contents import TimestampField
from stream_service.sources.recording import MOST_FRAMES

AREADETECTOR = "EPICS areaDetector"
TIMESTAMP, UNIQUE_ID, EPICS_S, EPICS_NS, FIRST_ATTRIBUTE = 65000, 65001, 65002, 65003, 65010
LAST_S = 2**32
"""EPICS counts seconds in 32 bits."""
LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "zstd"}
"""By the number of the compression."""
GREY = (0, 1)
"""Photometric interpretations of one value a pixel; that a larger one is darker is no concern of a count."""
FLOAT_PREDICTOR = 3
LONGEST_WHOLE, LONGEST_NUMBER = 19, 400
"""Characters; a double in full, as `%f` prints it, has up to 317."""
DAMAGED = (
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    OSError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
"""What tifffile and its codecs raise for a file that is not what it claims."""


class DamagedTiffError(SourceError):
    """A file that was cut off, or changed; what else is wrong with files is wrong with all of a scan."""


@dataclass(frozen=True, slots=True)
class TiffIdentity:
    """Identity of an image, as far as the file says."""

    unique_id: int | None = None
    timestamp_ns: int | None = None


class Version(NamedTuple):
    """What differs in a file that was written anew, or that another one was put in the place of."""

    mtime_ns: int
    n_bytes: int
    inode: int


class TiffImage:
    """One image of a file, checked, its pixels not read yet."""

    def __init__(self, path: Path, page: tifffile.TiffPage, file_bytes: int) -> None:
        self.page = page
        _check_is_a_frame(path, page)
        _check_size(path, page, file_bytes)
        self.shape: tuple[int, int] = (page.shape[-2], page.shape[-1])
        self.dtype: np.dtype[Any] = np.dtype(page.dtype).newbyteorder("=")


class TiffFile:
    """An open file. Raises `SourceError` naming it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _damage(path):
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would keep us waiting
                raise SourceError(f"{path} is not a file: narrow the pattern")
            self._file_bytes = status.st_size
            self.version = Version(status.st_mtime_ns, status.st_size, status.st_ino)
            if not self._file_bytes:
                raise DamagedTiffError(f"{path} is empty: was it copied completely?")
            self._handle = path.open("rb")
        try:
            with _damage(path):
                self._pages = tifffile.TiffFile(self._handle, _multifile=False, is_ome=False).pages
                self._n_images = len(self._pages)
            if not 0 < self._n_images <= MOST_FRAMES:
                raise SourceError(f"{path} holds {self._n_images} images; at least one, and at most {MOST_FRAMES}")
            self._first = self._image(0)
            self._check_all_images_there()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._n_images

    def image(self, index: int) -> TiffImage:
        """Image `index`, counted from 0; its pixels are not read."""
        return self._image(index) if index else self._first

    def identity(self, image: TiffImage, timestamp_field: TimestampField = "timeStamp") -> TiffIdentity:
        """uniqueId and time stamp of the NDArray that an image was; a stamp of 0 is none."""
        tags = image.page.tags
        if not _is_areadetectors(image):
            return TiffIdentity()
        values = [tags.valueof(code) for code in (UNIQUE_ID, TIMESTAMP, EPICS_S, EPICS_NS)]
        if not all(isinstance(value, int | float) for value in values) or not 0 <= values[3] < NS_PER_S:
            raise SourceError(f"{self.path}: areaDetector's tags {TIMESTAMP} to {EPICS_NS} are damaged")
        unique_id, driver_s, seconds, nanoseconds = values
        if timestamp_field == "dataTimeStamp":
            if not 0 <= driver_s < LAST_S:
                raise SourceError(f"{self.path} is stamped {driver_s:g} s after 1990, which cannot be")
            seconds = math.floor(driver_s)
            nanoseconds = int((driver_s - seconds) * 1e9)  # as ADCore converts it for PVA
        stamp_ns = (int(seconds) + EPICS_EPOCH_S) * NS_PER_S + int(nanoseconds) if seconds or nanoseconds else None
        return TiffIdentity(int(np.uint32(unique_id).astype(np.int32)), stamp_ns)  # a 32-bit signed number in EPICS

    def attributes(self, image: TiffImage) -> dict[str, AttributeValue]:
        """The NDAttributes of the NDArray that an image was; those that read as numbers are numbers."""
        found: dict[str, AttributeValue] = {}
        if _is_areadetectors(image):
            for tag in image.page.tags:
                if tag.code >= FIRST_ATTRIBUTE and isinstance(tag.value, str):
                    name, colon, value = tag.value.partition(":")
                    if colon and name:
                        found.setdefault(name, _value(value))
        return found

    def pixels(self, image: TiffImage) -> npt.NDArray[Any]:
        """A new array (y, x) in native byte order."""
        with _damage(self.path):
            pixels = image.page.asarray(maxworkers=1)
        pixels = pixels.reshape(image.shape)
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _image(self, index: int) -> TiffImage:
        with _damage(self.path):
            page = self._pages[index]
            if not isinstance(page, tifffile.TiffPage):
                raise SourceError(f"{self.path}, image {index}, has no directory of its own")
            return TiffImage(self.path, page, self._file_bytes)

    def _check_all_images_there(self) -> None:
        """A stack may be cut off between two images, or be written as one image that claims to be many."""
        claimed = _images_claimed(self._first.page.description[:4096], self._first.shape)
        if claimed > len(self):
            raise SourceError(
                f"{self.path} says that it holds {claimed} images, but has a directory for only {len(self)}: it is cut "
                "off, or a stack written as one image (ImageJ does so beyond 4 GB) that must be saved with one for each"
            )


class _Complaints(logging.Handler):
    """Log messages of tifffile; nobody else hears of them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()


_complaints = _Complaints()
tifffile.logger().addHandler(_complaints)
tifffile.logger().propagate = False


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Whatever tifffile raises or logs is a damaged file."""
    _complaints.first = ""
    try:
        with reading(str(path)):
            yield
    except (FileNotFoundError, PermissionError) as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
    except DAMAGED as error:
        raise DamagedTiffError(f"{path} cannot be read as a TIFF: {str(error)[:200]}") from error
    if _complaints.first:
        raise DamagedTiffError(f"{path} is damaged, or not a plain TIFF: {_complaints.first[:200]}")


def _check_is_a_frame(path: Path, page: tifffile.TiffPage) -> None:
    if page.samplesperpixel != 1 or page.photometric not in GREY:
        kind = getattr(page.photometric, "name", page.photometric)
        what = f"{page.samplesperpixel} samples a pixel" if page.samplesperpixel != 1 else kind
        raise SourceError(f"{path} is a colour image ({what}); frames are grey")
    if page.compression not in LOSSLESS:
        method = getattr(page.compression, "name", f"method {page.compression}")
        names = ", ".join(sorted(set(LOSSLESS.values())))
        raise SourceError(f"{path} is compressed by {method}; what is lossless is read: {names}")
    dtype = page.dtype
    if dtype is None or dtype.kind not in "iuf" or dtype == np.float16 or page.bitspersample != 8 * dtype.itemsize:
        raise SourceError(
            f"{path} has pixels of {page.bitspersample} bits, sample format {page.sampleformat}; whole numbers of 8, "
            "16, 32 or 64 bits and floats of 32 or 64 are read"
        )


def _check_size(path: Path, page: tifffile.TiffPage, file_bytes: int) -> None:
    dtype = np.dtype(page.dtype)
    parts = {"an image": page.shape, "a tile or strip": (page.tilelength, page.tilewidth) if page.is_tiled else (1,)}
    for what, shape in parts.items():
        if not all(isinstance(size, int) for size in shape):  # a text times a large number would be a large text
            raise SourceError(f"{path} claims {what} of {str(shape)[:40]}: it is damaged")
        if not 0 < math.prod(shape) * dtype.itemsize <= MOST_FRAME_BYTES or (len(shape) > 2 and max(shape[:-2]) > 1):
            raise SourceError(
                f"{path} claims {what} of {' x '.join(map(str, shape))} {dtype.name}; it must have pixels, and at most "
                f"{MOST_FRAME_BYTES >> 20} MiB"
            )
    _check_segments(path, page)
    stored = sum(page.databytecounts)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > file_bytes or len(page.dataoffsets) != len(page.databytecounts):
        raise DamagedTiffError(
            f"{path} is truncated: its pixels end at byte {max(ends, default=0)}, the file at {file_bytes}"
        )
    if page.compression == 1 and stored < math.prod(page.shape) * dtype.itemsize:
        raise DamagedTiffError(f"{path} holds fewer pixels than its {page.shape[-2]} x {page.shape[-1]}")


def _check_segments(path: Path, page: tifffile.TiffPage) -> None:
    """That every strip or tile is there; tifffile takes one without a place or without bytes for zeros."""
    for numbers in (page.dataoffsets, page.databytecounts):
        is_whole = isinstance(numbers, tuple) and len(numbers) >= math.prod(page.chunked)
        if not is_whole or not all(isinstance(number, int) and number > 0 for number in numbers):
            raise DamagedTiffError(f"{path} was not written completely: a strip or tile is nowhere in the file")
    if page.predictor == FLOAT_PREDICTOR and page.dtype is not None and page.dtype.kind != "f":
        raise SourceError(f"{path} has whole numbers with the predictor of floats: it is damaged")


def _is_areadetectors(image: TiffImage) -> bool:
    return UNIQUE_ID in image.page.tags and image.page.software == AREADETECTOR


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
