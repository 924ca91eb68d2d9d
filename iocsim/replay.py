"""Frames of a recorded scan, sent again: a CXI file or an `/entry` file through the simulated beamline.

The recorded pixels are the raw frames, in the file's own integer type, whatever exposure or ring current the IOC shows;
nothing is corrected or converted. A recorded frame answers to the beam position nearest to its own. The file is opened
read-only and stays open until `close()`; up to 256 MiB of frames are read into memory at once, because compressed
chunks of many frames make frame-by-frame reading slow, and larger files are read frame by frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from iocsim.detector.camera import Flip, Rotate, mount
from iocsim.detector.frames import Conditions
from iocsim.physics.pixel_faults import largest_value

COPY = "copy the data into one file (h5repack, h5copy), since no file is followed into others"
MOST_LINKS = 16  # soft links on the way to one dataset; a circle has no end
READ_AT_ONCE_BYTES = 256 * 2**20
FIRST_FRAMES = 16  # that show how bright a pixel can be
EQUALLY_NEAR_M = 1e-12  # far below any stage, far above the rounding of micrometres into metres
JOULE_PER_EV = 1.602176634e-19  # exact in the SI of 2019
LARGEST_JOULES = 1e-3  # an energy without units above this cannot be joules, so it is eV
CXI_PIXEL_HAS_SIGNAL = 0x1000  # the one flag of a CXI pixel mask that does not mean "bad"
EV_PER_UNIT = {"j": 1 / JOULE_PER_EV, "joule": 1 / JOULE_PER_EV, "joules": 1 / JOULE_PER_EV, "ev": 1.0, "kev": 1e3}

CXI_DATA = ("entry_1/data_1/data", "entry_1/instrument_1/detector_1/data")
CXI_TRANSLATION = (
    "entry_1/sample_1/geometry_1/translation",
    "entry_1/data_1/translation",
    "entry_1/instrument_1/detector_1/translation",
)
CXI_DETECTOR = "entry_1/instrument_1/detector_1"


class ReplayError(ValueError):
    """The file cannot be replayed; the message names the file, what is wrong and what is expected."""


class ReplayFrames:
    """A FrameSource: for each exposure the recorded frame nearest to the present beam position.

    Of frames equally near (a position recorded several times) the one sent least often is next, in recorded order:
    so each is sent once before any is sent again. The shutter closed gives zeros. A context manager.
    """

    positions_m: NDArray[np.float64]
    """(N, 2): beam on the sample, x then y, in recorded order."""
    energy_eV: float
    det_dist_m: float
    pixel_m: float
    mask: NDArray[np.uint8] | None
    """1 = bad, raw axes; None when the file has none."""

    def __init__(self, path: Path, rotate: Rotate = 0, flip: Flip = "none", *, probe_moves: bool = False) -> None:
        """Open `path`; `rotate` and `flip` are the profile's, as for a camera. Raises ReplayError.

        `probe_moves`: the translation of a CXI file is where the probe is, not the motion of the sample.
        """
        self._translation_sign = 1 if probe_moves else -1
        self.path = Path(path)
        self._rotate: Rotate = rotate
        self._flip: Flip = flip
        self._file = _open(self.path)
        try:
            self._read_layout()
        except BaseException:
            self._file.close()
            raise
        self._times_sent = np.zeros(len(self.positions_m), np.int64)

    def _read_layout(self) -> None:
        if _dataset(self._file, "entry/data") is not None and _dataset(self._file, "entry/pos") is not None:
            self._data = self._required("entry/data")
            positions_m = self._required("entry/pos")[()]
            self.energy_eV = self._read_energy("entry/energy_eV")
            self.det_dist_m = self._read_number("entry/det_dist_m")
            self.pixel_m = self._read_number("entry/pixel_m")
            mask = _dataset(self._file, "entry/mask")
        elif _dataset(self._file, *CXI_DATA) is not None and _dataset(self._file, *CXI_TRANSLATION) is not None:
            self._data = self._required(*CXI_DATA)
            positions_m = self._translation_sign * self._required(*CXI_TRANSLATION)[()].astype(np.float64)
            self.energy_eV = self._read_energy("entry_1/instrument_1/source_1/energy")
            self.det_dist_m = self._read_number(f"{CXI_DETECTOR}/distance")
            self.pixel_m = self._read_number(f"{CXI_DETECTOR}/x_pixel_size")
            mask = _dataset(self._file, f"{CXI_DETECTOR}/mask")
        else:
            raise ReplayError(
                f"{self.path} has neither /entry_1/data_1/data with /entry_1/sample_1/geometry_1/translation (CXI) "
                "nor /entry/data with /entry/pos: replay needs one of the two layouts"
            )
        shape = self._data.shape
        if len(shape) != 3 or self._data.size == 0 or self._data.dtype.kind not in "uif":
            raise ReplayError(
                f"{self.path}: {self._data.name} is {shape} {self._data.dtype}, frames must be real (frame, y, x)"
            )
        if positions_m.ndim != 2 or positions_m.shape[0] != shape[0] or positions_m.shape[1] < 2:
            raise ReplayError(
                f"{self.path} has {shape[0]} frames, but its positions have the shape {positions_m.shape}: "
                "replay needs one x and y for each frame"
            )
        keys = _dataset(self._file, "entry/live/key_y")  # of a standard file: rows beyond them may be half written
        n_rows = len(positions_m) if keys is None else int(np.count_nonzero(keys[()]))
        if not n_rows:
            raise ReplayError(f"{self.path} announces no row by its live keys: there is nothing to replay")
        self.positions_m = np.ascontiguousarray(positions_m[:n_rows, :2], dtype=np.float64)
        if not np.isfinite(self.positions_m).all():
            raise ReplayError(f"{self.path} has positions that are not finite numbers")
        self.mask = self._read_mask(mask)
        self._dtype = self._data.dtype.newbyteorder("=")
        in_memory = self._data.size * self._data.dtype.itemsize <= READ_AT_ONCE_BYTES
        self._stack = self._data[()].astype(self._dtype, copy=False) if in_memory else None

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        _, rows, columns = self._data.shape
        return (columns, rows) if self._rotate in (90, 270) else (rows, columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The file's pixel type, in native byte order."""
        return self._dtype

    @property
    def largest_value(self) -> float:
        """The largest value that its detector can read, or was seen to read in the first frames of a large file."""
        return largest_value(self._stack if self._stack is not None else self._data[:FIRST_FRAMES])

    def __len__(self) -> int:
        """Number of recorded frames."""
        return len(self.positions_m)

    def frame(self, index: int, exposure_s: float, there: Conditions) -> NDArray[Any]:
        """The recorded frame nearest to the beam, C order; nothing else counts but the shutter."""
        if not there.shutter_open:
            return np.zeros(self.raw_shape, self._dtype)
        row = self._next_row_near(there.x_m, there.y_m)
        recorded = self._stack[row] if self._stack is not None else self._data[row].astype(self._dtype, copy=False)
        return np.ascontiguousarray(mount(recorded, self._rotate, self._flip))

    def _next_row_near(self, x_m: float, y_m: float) -> int:
        distance_m = np.hypot(self.positions_m[:, 0] - x_m, self.positions_m[:, 1] - y_m)
        near = np.flatnonzero(distance_m <= distance_m.min() + EQUALLY_NEAR_M)
        row = int(near[np.argmin(self._times_sent[near])])
        self._times_sent[row] += 1
        return row

    def close(self) -> None:
        """Let go of the file; large files give no frames after that."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _required(self, *paths: str) -> h5py.Dataset:
        dataset = _dataset(self._file, *paths)
        if dataset is None:
            raise ReplayError(f"{self.path} has no /{paths[0]}: replay needs it")
        return dataset

    def _read_number(self, path: str) -> float:
        dataset = self._required(path)
        if dataset.size == 0 or dataset.dtype.kind not in "uif":
            raise ReplayError(f"{self.path}: /{path} holds no number")
        value = float(np.ravel(dataset[()])[0])
        if not (np.isfinite(value) and value > 0):
            raise ReplayError(f"{self.path}: /{path} = {value}, it must be a positive number")
        return value

    def _read_energy(self, path: str) -> float:
        """In eV."""
        value = self._read_number(path)
        units = self._required(path).attrs.get("units", "")
        units = units.decode("utf-8", "replace") if isinstance(units, bytes) else str(units)
        if not units:
            return value if value > LARGEST_JOULES else value / JOULE_PER_EV
        factor = EV_PER_UNIT.get(units.strip().lower())
        if factor is None:
            raise ReplayError(f"{self.path}: /{path} is in {units!r}; known units of energy are J, eV and keV")
        return value * factor

    def _read_mask(self, dataset: h5py.Dataset | None) -> NDArray[np.uint8] | None:
        if dataset is None:
            return None
        if dataset.shape != self._data.shape[1:]:
            raise ReplayError(f"{self.path}: {dataset.name} is {dataset.shape}, the frames are {self._data.shape[1:]}")
        flags = dataset[()]
        bad = (flags.astype(np.int64) & ~CXI_PIXEL_HAS_SIGNAL) != 0 if flags.dtype.kind in "ui" else flags != 0
        return np.ascontiguousarray(mount(bad.astype(np.uint8), self._rotate, self._flip))


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise ReplayError(f"{path} is not a file: replay needs a CXI or /entry HDF5 file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "truncated file" in str(error):  # opened for SWMR it would be read, with zeros for what is missing
            raise ReplayError(f"{path} is shorter than it says: it was not copied completely, copy it again") from error
        try:
            return h5py.File(path, "r", swmr=True)  # a file whose SWMR writer never closed it opens only so
        except OSError as error:
            raise ReplayError(f"{path} cannot be read as HDF5: {error}") from error


def _dataset(file: h5py.File, *paths: str) -> h5py.Dataset | None:
    """The first of `paths` that is a dataset; a dangling link is none. Raises ReplayError for one elsewhere."""
    for path in paths:
        _refuse_links_to_other_files(file, path)
        found = file.get(path)
        if isinstance(found, h5py.Dataset):
            if found.is_virtual or found.external:
                raise ReplayError(f"{file.filename}: /{path} is kept in other files: {COPY}")
            _refuse_cut(file, found)
            return found
    return None


def _refuse_cut(file: h5py.File, dataset: h5py.Dataset) -> None:
    """In a file that was not copied completely HDF5 gives zeros, without a word, once it is opened for SWMR."""
    ends: list[int] = []
    try:
        if dataset.chunks:
            dataset.id.chunk_iter(lambda chunk: ends.append(chunk.byte_offset + chunk.size))
        elif dataset.id.get_offset() is not None:
            ends.append(dataset.id.get_offset() + dataset.id.get_storage_size())
    except (OSError, RuntimeError, ValueError) as error:
        raise ReplayError(f"{file.filename}: {dataset.name} cannot be read: {error}") from error
    if max(ends, default=0) > Path(file.filename).stat().st_size:
        raise ReplayError(f"{file.filename} is shorter than it says: it was not copied completely, copy it again")


def _refuse_links_to_other_files(file: h5py.File, path: str) -> None:
    """Look at every link on the way, before HDF5 follows any."""
    todo, group, hops = list(reversed(path.split("/"))), "", 0
    while todo:
        name = f"{group}/{todo.pop()}"
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ReplayError(f"{file.filename}: {name} leads to {link.filename}: {COPY}")
        if not isinstance(link, h5py.SoftLink):
            group = name
            continue
        hops += 1
        if hops > MOST_LINKS:
            return
        group = "" if link.path.startswith("/") else group
        todo += [part for part in reversed(link.path.split("/")) if part not in ("", ".")]
