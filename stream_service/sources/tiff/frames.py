"""The frames of a scan in TIFF files, in order: numbered files, a stack of many images, or several stacks.

Every directory is read once when the frames are opened, pixels are not: so a file that is missing, cut off or unlike
the others is named before anything long is begun, and it is known whether all frames have a uniqueId. Then files are
opened one after the other, and one frame is in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import AttributeValue, no_pixels
from stream_service.errors import SourceError
from stream_service.sources.hdf5.contents import TimestampField
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.tiff.file import DamagedTiffError, TiffFile, TiffImage, Version
from stream_service.sources.tiff.files import find_tiff_files

Ints = npt.NDArray[np.int64]


class TiffFrame(NamedTuple):
    """A frame as read."""

    pixels: npt.NDArray[Any]
    attributes: dict[str, AttributeValue]
    reason: str = ""
    """Why the pixels cannot be read; then they are `no_pixels`."""


class TiffFrames:
    """Frames that match a glob pattern. Raises `SourceError` naming the file that does not fit."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    """In native byte order."""

    def __init__(self, pattern: str, timestamp_field: TimestampField = "timeStamp") -> None:
        self.files = find_tiff_files(pattern)
        self._n_images = array("q")
        """Of each file."""
        self._n = 0
        self._kind = self._first_name = ""
        """What the first frame that can be read is, in words, and the name of its file."""
        self._versions = [array("q"), array("q"), array("Q")]
        """Of each file."""
        ids, stamps_ns = array("q"), array("q")
        self._damaged: dict[int, DamagedTiffError] = {}
        """By the place of the file: of each of these one frame is lost."""
        for place, path in enumerate(self.files.paths):
            try:
                file = TiffFile(path)
            except DamagedTiffError as error:
                self._damaged[place] = error
                self._add_file(1, Version(0, 0, 0))
                continue
            with file:
                self._add_file(len(file), file.version)
                for page in range(len(file)):
                    identity = file.identity(self._checked(file, page), timestamp_field)
                    if identity.unique_id is not None:
                        ids.append(identity.unique_id)
                    if identity.timestamp_ns is not None:
                        stamps_ns.append(identity.timestamp_ns)
            if len(self) > MOST_FRAMES:
                raise SourceError(f"{pattern!r} holds more than {MOST_FRAMES} frames: it is not one scan")
        self.is_stack = max(self._n_images) > 1
        if self.is_stack or len(self._damaged) == len(self):
            self.check_undamaged()  # how many frames it had, or what they are, nothing tells
        self.unique_id = self._ids_by_number(_if_all(ids, len(self) - len(self._damaged)))
        """(n,) int64: the uniqueId of each frame, None unless all have one."""
        self.timestamp_ns = _if_all(stamps_ns, len(self) - len(self._damaged))
        """(n,) int64 Unix epoch, likewise; 0 of those whose file is damaged."""
        if self.timestamp_ns is not None:
            self.timestamp_ns = self._at_readable(self.timestamp_ns)

    def _add_file(self, n_images: int, version: Version) -> None:
        self._n_images.append(n_images)
        self._n += n_images
        for column, value in zip(self._versions, version, strict=True):
            column.append(value)

    def _ids_by_number(self, ids: Ints | None) -> Ints | None:
        """Those of the files that can be read, and of the others by their numbers."""
        if ids is None or not self._damaged:
            return ids
        all_ids = self._at_readable(ids)
        offsets = np.delete(all_ids - self.files.numbers, list(self._damaged))
        if np.ptp(offsets):
            self.check_undamaged()  # which frame it was, nothing tells
        return self.files.numbers + offsets[0]

    def _at_readable(self, values: Ints) -> Ints:
        """(n,) `values` at the places of files that can be read, else 0."""
        at = np.zeros(len(self), np.int64)
        at[np.delete(np.arange(len(self)), list(self._damaged))] = values
        return at

    def __len__(self) -> int:
        return self._n

    @property
    def numbers(self) -> Ints | None:
        """(n,) of the files; of images in stacks, counted on from 0. None if stacks are missing or cut short."""
        if not self.is_stack:
            return self.files.numbers
        is_whole = len(set(self._n_images[:-1])) <= 1 and self._n_images[-1] <= self._n_images[0]
        return np.arange(len(self), dtype=np.int64) if is_whole and not self.files.n_missing else None

    def check_undamaged(self) -> None:
        """Raise `SourceError` for the first file that is damaged."""
        for error in self._damaged.values():
            raise error

    def places(self) -> Iterator[tuple[str, int]]:
        """The name of the file of each frame, and the image in it, from 0."""
        for path, n_images in zip(self.files.paths, self._n_images, strict=True):
            for page in range(n_images):
                yield path.name, page

    def read(self) -> Iterator[TiffFrame]:
        """Every frame in order; each is a new array."""
        for place, n_images in enumerate(self._n_images):
            found = self._open_again(place)
            if isinstance(found, SourceError):
                yield from [TiffFrame(no_pixels(self.shape, self.dtype), {}, str(found))] * n_images
                continue
            with found as file:
                for page in range(n_images):
                    yield self._read(file, page)

    def _open_again(self, place: int) -> TiffFile | SourceError:
        """A file; the reason where its frames are lost: it is damaged, or is not any more what it was."""
        path = self.files.paths[place]
        if place in self._damaged:
            return self._damaged[place]
        try:
            file = TiffFile(path)
        except SourceError as error:  # it has gone, or was cut off in the meantime
            return error
        if file.version == tuple(column[place] for column in self._versions):
            return file
        file.close()
        return SourceError(f"{path} was written anew while it was read: it may be a frame of another scan")

    def _read(self, file: TiffFile, page: int) -> TiffFrame:
        image = self._checked(file, page)
        attributes = file.attributes(image)
        try:
            return TiffFrame(file.pixels(image), attributes)
        except DamagedTiffError as error:
            return TiffFrame(no_pixels(self.shape, self.dtype), attributes, str(error))

    def _checked(self, file: TiffFile, page: int) -> TiffImage:
        """An image that is like the first one; its pixels are not read."""
        image = file.image(page)
        kind = _kind(image)
        if not self._kind:
            self._kind, self.shape, self.dtype = kind, image.shape, image.dtype
            self._first_name = file.path.name
        if kind != self._kind:
            where = f"{file.path}, image {page}," if len(file) > 1 else f"{file.path}"
            raise SourceError(
                f"{where} is {kind}, but {self._first_name} is {self._kind}: the frames of a scan are alike"
            )
        return image


def _kind(image: TiffImage) -> str:
    return f"{image.shape[0]} x {image.shape[1]} {image.dtype.name}"


def _if_all(values: array[int], n: int) -> Ints | None:
    return np.array(values, np.int64) if len(values) == n else None
