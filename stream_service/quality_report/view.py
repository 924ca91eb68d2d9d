"""The part of a frame that is looked at, and how finely: `--roi`, `--bin`, `--embed-side`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.row import CELLS_SIDE
from stream_service.errors import ConfigError


@dataclass(frozen=True, slots=True)
class View:
    """A centred window of the frame, binned, and the cells along each side of it."""

    rows: slice
    columns: slice
    bin: int
    embed_side: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame_shape: tuple[int, int], roi: str | None, bin: int | None, embed_side: int | None) -> View:
        """What the options ask for, as far as frames of this shape have it. Raises `ConfigError`."""
        ny, nx = frame_shape
        bin, notes = bin or 1, []
        wanted = parse_roi(roi) if roi else (ny, nx)
        kept = min(wanted[0], ny), min(wanted[1], nx)
        if kept != wanted:
            notes.append(f"--roi {roi} reaches beyond frames of {ny} x {nx} pixels: {kept[0]} x {kept[1]} are taken")
        if bin > min(kept):
            raise ConfigError(f"--bin {bin} is more than the {kept[0]} x {kept[1]} pixels that are looked at")
        rows, columns = (_about_middle(n, size // bin * bin) for n, size in zip(frame_shape, kept, strict=True))
        n_binned = min(size // bin for size in kept)
        is_whole = bin == 1 and kept == frame_shape
        side = embed_side or CELLS_SIDE
        if side > n_binned and (embed_side or not is_whole):
            if embed_side:
                notes.append(f"--embed-side {side} is more than the {n_binned} binned pixels: {n_binned} are taken")
            side = n_binned
        return cls(rows, columns, bin, side, tuple(notes))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what is looked at, binned."""
        rows, columns = ((part.stop - part.start) // self.bin for part in (self.rows, self.columns))
        return rows, columns

    def is_as_stored(self, frame_shape: tuple[int, int]) -> bool:
        """True if it is what the features of a row are measured on."""
        return self.bin == 1 and self.shape == frame_shape and self.embed_side == CELLS_SIDE

    def mask(self, good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """True where a binned pixel has good pixels, of the mask of the frame."""
        return np.asarray(self._cells(good[self.rows, self.columns]).any(axis=(1, 3)))

    def frame_into(
        self, pixels: npt.NDArray[np.generic], good: npt.NDArray[np.bool_], out: npt.NDArray[np.float32]
    ) -> None:
        """Write the window of a frame, binned: sums of good pixels, scaled to the share of them, as `ingest --bin`."""
        window = pixels[self.rows, self.columns]
        if self.bin == 1:
            out[...] = window
            return
        there = good[self.rows, self.columns]
        total = self._cells(np.where(there, window, 0).astype(np.float32)).sum(axis=(1, 3))
        share = self._cells(there.astype(np.float32)).mean(axis=(1, 3))
        np.divide(total, share, out=out, where=share > 0)

    def _cells(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        ny, nx = self.shape
        return image.reshape(ny, self.bin, nx, self.bin)


def parse_roi(text: str) -> tuple[int, int]:
    """`1024`, or `1024,512` (rows, columns). Raises `ConfigError`."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
        raise ConfigError(f"--roi {text!r} is not a size: give N, or NY,NX, in pixels about the middle of the frame")
    return int(numbers[0]), int(numbers[-1])


def _about_middle(n: int, size: int) -> slice:
    """So many of n pixels, with pixel n // 2 at place size // 2, as everywhere."""
    start = min(max(n // 2 - size // 2, 0), n - size)
    return slice(start, start + size)
