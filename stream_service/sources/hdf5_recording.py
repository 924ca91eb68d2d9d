"""A recorded scan in an HDF5 file: frames in blocks, and everything else as arrays.

Two layouts are recognized by what is in them: `/entry` (the standard file, whole or as far as the schema goes) and CXI
(`/entry_1`). Positions come out as the beam on the sample; CXI's `translation` is the motion of the sample, so its sign
is turned. Dark and flat are given only if they have not been applied to the frames yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.recorded_units import energy_eV, length_m

BLOCK_BYTES = 32 << 20
"""Frames are read in blocks of about this size, whatever their chunks."""
CXI_HAS_SIGNAL = 0x1000
"""The one flag of a CXI pixel mask that does not mean a bad pixel."""
STANDARD, CXI = "/entry (standard file)", "CXI (/entry_1)"
Floats = npt.NDArray[np.float64]


class Hdf5Recording:
    """An open recording. All arrays but the frames are read at once. Raises `SourceError` naming what is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            reason = "there is no such file" if not path.exists() else f"it cannot be opened as HDF5 ({error})"
            raise SourceError(f"{path}: {reason}") from error
        try:
            self._read()
        except (SourceError, KeyError):
            self._file.close()
            raise

    def _read(self) -> None:
        if self._find("/entry/data", required=False) is not None:
            self.layout = STANDARD
            self._read_standard()
        elif "entry_1" in self._file:
            self.layout = CXI
            self._read_cxi()
        else:
            there = ", ".join(self._file) or "nothing"
            raise SourceError(f"{self.path} has neither /entry/data nor /entry_1 (it holds: {there})")
        if self._frames.ndim != 3 or len(self._frames) == 0:
            raise SourceError(f"{self.path}:{self._frames.name} has shape {self._frames.shape}; frames are (N, y, x)")
        if len(self.positions_m) != len(self._frames):
            raise SourceError(f"{self.path} holds {len(self._frames)} frames but {len(self.positions_m)} positions")

    def _read_standard(self) -> None:
        self._frames = self._needed("/entry/data")
        self.axis_signs = self._axis_signs("/entry_1/instrument_1/detector_1/basis_vectors")
        split = [self._find(f"/entry/pos{axis}_m", required=False) for axis in "xy"]
        packed = self._find("/entry/pos", required=False)
        if packed is not None:
            self.positions_m = length_m(packed)[:, :2]
        elif split[0] is not None and split[1] is not None:
            self.positions_m = np.column_stack([length_m(split[0]), length_m(split[1])])
        else:
            raise SourceError(f"{self.path} has no positions: /entry/pos (N, 2), or /entry/posx_m and /entry/posy_m")
        self.energy_eV = self._number("/entry/frames/energy_eV", "/entry/energy_eV", read=energy_eV)
        self.exposure_s = self._number("/entry/frames/exposure_s", "/entry/exposure_s", read=_plain)
        self.det_dist_m = float(self._number("/entry/det_dist_m", read=length_m))
        self.pixel_m = float(self._number("/entry/pixel_m", read=length_m))
        self.mask = self._image("/entry/mask")
        self.references = {
            kind: image
            for kind in ("dark", "flat")
            if (image := self._image(f"/entry/{kind}")) is not None and not self._is_applied(f"/entry/{kind}")
        }

    def _read_cxi(self) -> None:
        detector = "/entry_1/instrument_1/detector_1"
        frames = self._find("/entry_1/data_1/data", required=False)
        self._frames = frames if frames is not None else self._needed(f"{detector}/data")
        translation = self._find("/entry_1/sample_1/geometry_1/translation", required=False)
        if translation is None:
            translation = self._find("/entry_1/data_1/translation", required=False)
        if translation is None:
            raise SourceError(f"{self.path} has no positions: /entry_1/sample_1/geometry_1/translation (N, 3)")
        self.positions_m = -length_m(translation)[:, :2]
        self.energy_eV = self._number("/entry_1/instrument_1/source_1/energy", read=energy_eV)
        self.exposure_s = self._number(f"{detector}/count_time", read=_plain)
        self.det_dist_m = float(self._number(f"{detector}/distance", read=length_m))
        self.pixel_m = float(self._number(f"{detector}/x_pixel_size", read=length_m))
        self.axis_signs = self._axis_signs(f"{detector}/basis_vectors")
        mask = self._image(f"{detector}/mask")
        self.mask = None if mask is None else (mask.astype(np.uint32) & ~np.uint32(CXI_HAS_SIGNAL)).astype(np.uint32)
        self.references: dict[str, npt.NDArray[Any]] = {}

    @property
    def n_frames(self) -> int:
        return len(self._frames)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(rows, columns) as stored."""
        return self._frames.shape[1], self._frames.shape[2]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._frames.dtype

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """All frames in order: index of the first of a block, and the block (n, y, x), a new array each time."""
        frame_bytes = self.dtype.itemsize * self.frame_shape[0] * self.frame_shape[1]
        step = max(1, BLOCK_BYTES // frame_bytes)
        for start in range(0, self.n_frames, step):
            try:
                yield start, self._frames[start : start + step]
            except OSError as error:
                stop = min(start + step, self.n_frames)
                raise SourceError(f"{self.path}: frames {start} to {stop - 1} cannot be read: {error}") from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, path: str, *, required: bool) -> h5py.Dataset | None:
        found = self._file.get(path)
        if isinstance(found, h5py.Dataset):
            return found
        if required:
            raise SourceError(f"{self.path} has no dataset {path}")
        return None

    def _needed(self, path: str) -> h5py.Dataset:
        found = self._find(path, required=True)
        assert found is not None
        return found

    def _image(self, path: str) -> npt.NDArray[Any] | None:
        found = self._find(path, required=False)
        if found is None:
            return None
        if found.shape != self.frame_shape:
            raise SourceError(f"{self.path}:{path} has shape {found.shape}, its frames {self.frame_shape}")
        return found[()]

    def _axis_signs(self, path: str) -> tuple[int, int]:
        """Whether rows and columns grow with +y and +x (1) or against them (-1), from CXI's basis vectors."""
        found = self._find(path, required=False)
        if found is None:
            return 1, 1
        # one vector per image axis, slow first, components x y z; some files hold them transposed
        vectors = np.asarray(found[()], np.float64)
        vectors = vectors.T if vectors.shape == (3, 2) else vectors
        if vectors.shape != (2, 3):
            raise SourceError(f"{self.path}:{path} has shape {vectors.shape}; CXI's basis vectors are (2, 3)")
        return (-1 if vectors[0, 1] < 0 else 1), (-1 if vectors[1, 0] < 0 else 1)

    def _is_applied(self, path: str) -> bool:
        return bool(self._file[path].attrs.get("applied", False))

    def _number(self, *paths: str, read: Any) -> Floats:
        """The first of `paths` that is there: () or (N,); NaN if none is."""
        for path in paths:
            found = self._find(path, required=False)
            if found is not None:
                values = read(found)
                if values.ndim and len(values) not in (1, self.n_frames):
                    raise SourceError(f"{self.path}:{path} has {len(values)} values for {self.n_frames} frames")
                return values.reshape(()) if values.size == 1 else values
        return np.array(np.nan)


def _plain(dataset: h5py.Dataset) -> Floats:
    return np.asarray(dataset[()], np.float64)
