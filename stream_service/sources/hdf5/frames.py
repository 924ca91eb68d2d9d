"""The frames of a recording as a dataset (N, y, x), read in blocks: beside HDF5 where they lie as in memory."""

from __future__ import annotations

import math
import weakref
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import SourceError
from stream_service.hdf5.in_place import RowsInPlace
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.reordered import ReorderedDataset

BLOCK_BYTES = 4 << 20
"""Frames are read in blocks of about this size. Measured: 2 to 8 MiB stay in the processor's cache and are fastest;
from 32 MiB on it takes twice as long, since glibc then asks the kernel for new, cleared pages for every block."""
MOST_BLOCK_BYTES = 64 << 20
"""A block is as long as the chunks want it, up to this."""
MOST_BLOCK_FRAMES = 4096
"""Of tiny frames."""
MOST_CHUNKS_PER_FRAME = 1 << 16
"""Reading a frame must end in a time that a person waits for."""


class FrameStack:
    """Frames that were checked to be images of plausible size."""

    def __init__(self, stored: StoredDataset, file_bytes: int) -> None:
        self.stored = stored
        self._file_bytes = file_bytes
        shape, dtype = stored.shape, stored.dtype
        if len(shape) not in (2, 3) or 0 in shape[-2:]:
            raise SourceError(f"{stored.where} has shape {shape}; frames are (N, y, x), or one frame (y, x)")
        if not stored.is_numeric or dtype == np.float16:
            raise SourceError(f"{stored.where} holds {dtype}; frames are integers, float32 or float64")
        self.is_single = len(shape) == 2
        self.frame_shape = shape[-2], shape[-1]
        self.frame_bytes = math.prod(self.frame_shape) * dtype.itemsize
        if self.frame_bytes > MOST_FRAME_BYTES:
            raise SourceError(
                f"{stored.where} claims frames of {self.frame_bytes >> 20} MiB, which exceeds the limit of "
                f"{MOST_FRAME_BYTES >> 20}"
            )
        stored.check_holds(file_bytes)
        if missing := stored.missing_filter():
            raise SourceError(
                f"{stored.where} is compressed with {missing}, which cannot be undone here: install an HDF5 plugin for "
                "it, or rewrite the file with another compression (h5repack)"
            )
        self.block_frames = self._block_frames()
        self._memory = _Memory(self.block_frames * self.frame_bytes)

    @property
    def n_frames(self) -> int:
        """Frames there are by the dataset's shape."""
        return 1 if self.is_single else self.stored.rows

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stored.dtype

    @property
    def n_most(self) -> int | None:
        """Frames the dataset can grow to; None without a limit."""
        return None if self.is_single else self.stored.maxshape[0]

    def in_order(self, rows: npt.NDArray[np.intp]) -> FrameStack:
        """The frames of a closed file with frame `rows[k]` at place k; those below 0 have to be left out."""
        return FrameStack(ReorderedDataset(self.stored, rows), self._file_bytes)

    def block(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Frames `start` to `stop` - 1, (n, y, x), of one block; they belong to the caller as long as it holds them."""
        if self.is_single:
            return self.stored.read(0, self.frame_shape[0])[np.newaxis]
        if self._in_place is not None:
            frames = self._memory.array((stop - start, *self.frame_shape), self.dtype)
            if self._in_place.read_into(start, frames):
                return frames
        return self.stored.read(start, stop)

    @cached_property
    def _in_place(self) -> RowsInPlace | None:
        return self.stored.in_place()

    @property
    def piece_frames(self) -> int:
        """Frames that are damaged together: those of a chunk."""
        chunks = self.stored.chunks
        return 1 if chunks is None or self.is_single else min(chunks[0], self.block_frames)

    def _block_frames(self) -> int:
        """Frames of a block: whole chunks, so that none is decompressed twice."""
        chunks = self.stored.chunks
        n_most = min(MOST_BLOCK_FRAMES, max(1, BLOCK_BYTES // self.frame_bytes))
        if chunks is None or self.is_single:
            return n_most
        per_frame = math.prod(-(-size // chunk) for size, chunk in zip(self.frame_shape, chunks[1:], strict=True))
        if per_frame > MOST_CHUNKS_PER_FRAME:
            raise SourceError(f"{self.stored.where} has {per_frame} chunks for each frame: rewrite it (h5repack)")
        if chunks[0] * self.frame_bytes > MOST_BLOCK_BYTES:
            return n_most
        return max(chunks[0], n_most // chunks[0] * chunks[0])


class _Memory:
    """Memory of blocks, used again once nobody holds a frame of it: the system clears each page that it gives anew,
    which takes as long as reading it full (measured, 0.2 s for 1 GB)."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._free: list[npt.NDArray[np.uint8]] = []

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """An array of at most a block; what it holds is left from earlier frames."""
        memory = self._free.pop() if self._free else np.empty(self._block_bytes, np.uint8)
        # every view keeps the last array alive that has its memory of something else than an array: this one
        values = np.frombuffer(memory.data, dtype, math.prod(shape))
        weakref.finalize(values, self._free.append, memory)
        return values.reshape(shape)
