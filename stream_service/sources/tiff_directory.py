"""One image in a TIFF file: its directory (IFD), read strictly, before any pixel is.

TIFF 6.0 and BigTIFF, as far as a frame goes: one grey sample a pixel of 8 to 64 bits, in strips or tiles, uncompressed
or compressed without loss. A tag that cannot be read is an error: to go on with its default, as general readers do,
would give wrong pixels without a word. Nothing is allocated by what a file claims before that was found credible.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.recording import MOST_FRAME_BYTES
from stream_service.sources.tiff_bytes import TiffBytes

MOST_ENTRIES = 4096
"""Tags of one image; areaDetector writes one per NDAttribute, at most 526 of them."""
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION = 256, 257, 258, 259, 262, 266, 270
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, SOFTWARE, PREDICTOR = 273, 277, 278, 279, 305, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339

NO_COMPRESSION, NO_PREDICTOR, DIFFERENCES, FLOAT_DIFFERENCES = 1, 1, 2, 3
LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "zstd"}
LOSSY = {
    6: "JPEG",
    7: "JPEG",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    50001: "WebP",
}
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
"""By SampleFormat; 4 is `undefined`, which readers take as unsigned."""
BYTE, ASCII, SHORT, LONG, DOUBLE, LONG8 = 1, 2, 3, 4, 12, 16
FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}
"""By type of a tag, for those that are read as numbers."""
WHOLE = (BYTE, SHORT, LONG, LONG8)


class Entry(NamedTuple):
    """One tag of a directory, not read yet."""

    type: int
    n: int
    field: bytes
    """The value itself if it fits in, otherwise where it is."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffDirectory:
    """What the directory of one image says of its pixels; they are all within the file."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    """In the byte order of the file."""
    compression: int
    predictor: int
    segment_shape: tuple[int, int]
    """Rows and columns of a strip or tile; strips at the end may be shorter, tiles never are."""
    is_tiled: bool
    offsets: npt.NDArray[np.int64]
    """Of the segments, in the order of rows, then columns."""
    byte_counts: npt.NDArray[np.int64]
    entries: Mapping[int, Entry]
    """Every tag, by code."""


class TagReader:
    """The tags of one directory as numbers and texts."""

    def __init__(self, source: TiffBytes, entries: Mapping[int, Entry]) -> None:
        self._source = source
        self._entries = entries

    def whole(self, code: int, default: int | None = None) -> int:
        """A tag that is one whole number; several equal ones (BitsPerSample of a colour image) count as one."""
        entry = self._entries.get(code)
        if entry is None:
            if default is None:
                raise SourceError(f"{self._source.path} lacks the tag {code}: it is damaged, or no image")
            return default
        if entry.type == SHORT and entry.n == 1:  # most tags are
            return int.from_bytes(entry.field[:2], "little" if self._source.order == "<" else "big")
        return int(self.wholes(code, 1)[0])

    def wholes(self, code: int, at_least: int) -> npt.NDArray[np.int64]:
        """The first `at_least` whole numbers of a tag."""
        entry = self._entries.get(code)
        if entry is None or entry.type not in WHOLE or entry.n < at_least:
            what = "is missing" if entry is None else f"has {entry.n} values of type {entry.type}"
            raise SourceError(f"{self._source.path}: the tag {code} {what}; {at_least} whole numbers are needed")
        kind = np.dtype(self._source.order + FORMATS[entry.type])
        data = self.data(entry, at_least * kind.itemsize, entry.n * kind.itemsize)
        values = np.frombuffer(data, kind)
        if entry.type == LONG8 and int(values.max()) > self._source.size:
            raise SourceError(f"{self._source.path}: the tag {code} is {int(values.max())}, more than the file holds")
        return values.astype(np.int64)

    def number(self, code: int, type: int) -> float | int | None:
        """A tag that is one number of this type; None if it is not there, or something else."""
        entry = self._entries.get(code)
        if entry is None or entry.type != type or entry.n != 1:
            return None
        form = self._source.order + FORMATS[type]
        size = struct.calcsize(form)
        return struct.unpack(form, self.data(entry, size, size))[0]

    def text(self, code: int, most_bytes: int = 256) -> str:
        """The beginning of a text; empty if there is none."""
        entry = self._entries.get(code)
        if entry is None or entry.type != ASCII:
            return ""
        return text_of(self.data(entry, min(entry.n, most_bytes), entry.n))

    def data(self, entry: Entry, n_bytes: int, all_bytes: int) -> bytes:
        """The first `n_bytes` of a value that takes `all_bytes`."""
        if all_bytes <= len(entry.field):
            return entry.field[:n_bytes]
        return self._source.read(self.offset(entry), n_bytes)

    def offset(self, entry: Entry) -> int:
        """Where a value lies that does not fit into its entry."""
        return int.from_bytes(entry.field, "little" if self._source.order == "<" else "big")


def text_of(data: bytes) -> str:
    """A TIFF text: up to its first zero; what is not UTF-8 is taken as Latin-1."""
    data = data.partition(b"\0")[0]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_entries(source: TiffBytes, offset: int) -> tuple[dict[int, Entry], int]:
    """The tags of the directory at `offset`, and where the next one is (0: there is none)."""
    head, entry, foot = source.directory_formats
    (n_entries,) = head.unpack(source.read(offset, head.size))
    if not 0 < n_entries <= MOST_ENTRIES:
        raise SourceError(f"{source.path}: the directory at byte {offset} has {n_entries} tags: the file is damaged")
    data = source.read(offset + head.size, n_entries * entry.size + foot.size)
    entries: dict[int, Entry] = {}
    for code, type, n, field in entry.iter_unpack(data[: -foot.size]):
        entries.setdefault(code, Entry(type, n, field))
    return entries, foot.unpack(data[-foot.size :])[0]


def read_directory(source: TiffBytes, offset: int) -> TiffDirectory:
    """The directory at `offset`. Raises `SourceError` naming the file and why it is no frame."""
    entries, _ = read_entries(source, offset)
    tags = TagReader(source, entries)
    dtype = _pixel_type(source, tags)
    shape = tags.whole(LENGTH), tags.whole(WIDTH)
    _check_size(source, "an image", shape, dtype)
    compression = tags.whole(COMPRESSION, NO_COMPRESSION)
    if compression not in LOSSLESS:
        raise SourceError(
            f"{source.path} is compressed by {LOSSY.get(compression, f'method {compression}')}; what is lossless "
            f"is read: {', '.join(sorted(set(LOSSLESS.values())))}"
        )
    predictor = tags.whole(PREDICTOR, NO_PREDICTOR) if compression != NO_COMPRESSION else NO_PREDICTOR
    allowed = (NO_PREDICTOR, FLOAT_DIFFERENCES if dtype.kind == "f" else DIFFERENCES)
    if predictor not in allowed:
        raise SourceError(f"{source.path}: the predictor {predictor} is not one for pixels of {dtype.name}")
    if tags.whole(FILL_ORDER, 1) != 1:
        raise SourceError(f"{source.path} holds its bits in reverse order (FillOrder 2), which is not read")
    is_tiled = TILE_OFFSETS in entries
    if is_tiled:
        segment_shape = tags.whole(TILE_LENGTH), tags.whole(TILE_WIDTH)
        _check_size(source, "a tile", segment_shape, dtype)
    else:
        segment_shape = min(tags.whole(ROWS_PER_STRIP, shape[0]), shape[0]), shape[1]
        _check_size(source, "a strip", segment_shape, dtype)
    n_segments = math.prod(-(-whole // part) for whole, part in zip(shape, segment_shape, strict=True))
    offsets = tags.wholes(TILE_OFFSETS if is_tiled else STRIP_OFFSETS, n_segments)
    byte_counts = tags.wholes(TILE_BYTES if is_tiled else STRIP_BYTES, n_segments)
    directory = TiffDirectory(
        shape, dtype, compression, predictor, segment_shape, is_tiled, offsets, byte_counts, entries
    )
    _check_segments(source, directory)
    return directory


def _pixel_type(source: TiffBytes, tags: TagReader) -> np.dtype[Any]:
    samples, photometric = tags.whole(SAMPLES, 1), tags.whole(PHOTOMETRIC, 1)
    if samples != 1 or photometric not in (0, 1):
        what = f"{samples} samples a pixel" if samples != 1 else f"photometric interpretation {photometric}"
        raise SourceError(f"{source.path} is a colour image ({what}); frames are grey")
    bits, kind = tags.whole(BITS, 1), KINDS.get(tags.whole(SAMPLE_FORMAT, 1), "")
    if bits not in ((32, 64) if kind == "f" else (8, 16, 32, 64)) or not kind:
        raise SourceError(
            f"{source.path} has pixels of {bits} bits, sample format {tags.whole(SAMPLE_FORMAT, 1)}; whole numbers of "
            "8, 16, 32 or 64 bits and floats of 32 or 64 are read"
        )
    return np.dtype(f"{source.order}{kind}{bits // 8}")


def _check_size(source: TiffBytes, what: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    n_bytes = math.prod(shape) * dtype.itemsize
    if not 0 < n_bytes <= MOST_FRAME_BYTES:
        raise SourceError(
            f"{source.path} claims {what} of {shape[0]} x {shape[1]} {dtype.name}; it must have pixels, and at most "
            f"{MOST_FRAME_BYTES >> 20} MiB"
        )


def _check_segments(source: TiffBytes, directory: TiffDirectory) -> None:
    """That all pixels are in the file."""
    ends = directory.offsets + directory.byte_counts
    if int(ends.max()) > source.size:
        raise SourceError(
            f"{source.path} is truncated: its pixels end at byte {int(ends.max())}, the file at byte {source.size}"
        )
    needed = segment_bytes(directory) if directory.compression == NO_COMPRESSION else 1
    if bool((directory.byte_counts < needed).any()):
        raise SourceError(f"{source.path} holds fewer pixels than its {directory.shape[0]} x {directory.shape[1]}")
    if int(directory.byte_counts.max()) > MOST_FRAME_BYTES:
        raise SourceError(f"{source.path} claims a strip of {int(directory.byte_counts.max())} bytes: it is damaged")


def segment_bytes(directory: TiffDirectory) -> npt.NDArray[np.int64]:
    """Bytes of each segment when it is not compressed; (n,)."""
    rows, columns = directory.segment_shape
    each = np.full(len(directory.offsets), rows * columns * directory.dtype.itemsize, np.int64)
    if not directory.is_tiled:
        last_rows = directory.shape[0] - rows * (len(each) - 1)
        each[-1] = last_rows * columns * directory.dtype.itemsize
    return each
