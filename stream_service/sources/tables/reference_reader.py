"""Reads reference files in a process of its own (`references`), and hands them back as bytes: no text is evaluated here
or there, nothing is unpickled.

A file claims what it holds before it is read (`.npy` header, zip directory, HDF5 shape); a claim beyond the limit, or
beyond what the file can hold, is refused then. Standard output has a line of JSON for each reference, then its pixels.
"""

from __future__ import annotations

import json
import math
import stat
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import ConfigError, PtychostreamError
from stream_service.hdf5.targets import AlsoBelow
from stream_service.processes.limited import limit_this_process

MiB = 1 << 20
MOST_BYTES = 1024 * MiB
"""Of what a file holds of a reference: 128 frames of 4 million pixels of 2 bytes."""
MEMORY_BYTES = 3 * MOST_BYTES
"""Of the process: the stack, a copy of it where its bytes must be turned, and the libraries."""
MEDIAN_BYTES = 64 * MiB
"""Of the rows whose median is taken at a time."""
HDF5_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs")
NUMPY_SUFFIXES = (".npy", ".npz")
UNREADABLE = (
    *(OSError, ValueError, EOFError, RuntimeError, SyntaxError, TypeError, LookupError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What numpy and h5py raise for a file that is missing, broken, or not what its name says."""

Array = npt.NDArray[Any]


def read_reference(path: Path, dataset: str, kind: str, also: AlsoBelow) -> tuple[Array, float]:
    """The (y, x) image of a reference, and the exposure time that its file states (NaN if none).

    A stack of frames (n, y, x) gives its median. Raises `PtychostreamError` naming the file and what it lacks.
    """
    exposure_s = math.nan
    if path.suffix in HDF5_SUFFIXES:
        array, exposure_s = _from_hdf5(path, "/" + (dataset or kind), kind, also)
    elif path.suffix in NUMPY_SUFFIXES:
        array = _from_numpy(path, kind)
    else:
        raise ConfigError(f"{kind} {path}: give a .npy, .npz or HDF5 file (FILE.h5:/path/to/dataset)")
    if array.dtype.kind not in "buif" or array.size == 0:
        raise ConfigError(f"the {kind} in {path} is {array.shape} {array.dtype}, not an image of numbers")
    if array.ndim == 3:
        array = _median(array)
    if array.ndim != 2:
        raise ConfigError(f"the {kind} in {path} has shape {array.shape}; one frame (rows, columns) is needed")
    _check_size(array.nbytes, MOST_FRAME_BYTES, "a frame of")
    return np.ascontiguousarray(array), exposure_s


def _from_numpy(path: Path, kind: str) -> Array:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait for whoever writes into it
        raise ConfigError("it is not a regular file")
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(0)
        if not begin.startswith(b"PK"):
            return _array(file, status.st_size)
        with zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if kind not in members:
                raise ConfigError(f"{path} holds {', '.join(members)} but no '{kind}'")
            with archive.open(members[kind]) as member:
                return _array(member, archive.getinfo(members[kind]).file_size)


def _array(stream: IO[bytes], held_bytes: int) -> Array:
    """The array in a `.npy` stream, once its header has said how much it is."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its format has the version {version}, which no image needs")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    claim = math.prod(shape) * dtype.itemsize
    _check_size(claim, MOST_BYTES, "it claims")
    if claim > held_bytes:
        raise ValueError(f"it claims {claim} bytes, and has {held_bytes}")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _from_hdf5(path: Path, dataset: str, kind: str, also: AlsoBelow) -> tuple[Array, float]:
    import h5py
    import hdf5plugin  # noqa: F401  (its import makes more compressions known to HDF5)

    from stream_service.hdf5.opening import open_hdf5

    with open_hdf5(path, also).file as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise ConfigError(f"{path} has no dataset {dataset}")
        if found.dtype.kind not in "buif" or found.shape is None:
            raise ConfigError(f"the {kind} in {path} is {found.shape} {found.dtype}, not an image of numbers")
        _check_size(found.size * found.dtype.itemsize, MOST_BYTES, "it claims")
        return np.asarray(found[()]), float(file.attrs.get("exposure_s", math.nan))


def _median(stack: Array) -> Array:
    """As numpy's, over the frames, with little memory beside the stack."""
    n, ny, nx = stack.shape
    step = max(1, MEDIAN_BYTES // (n * nx * 8))
    return np.concatenate([np.median(stack[:, start : start + step], axis=0) for start in range(0, ny, step)])


def _check_size(n_bytes: int, most: int, claim: str) -> None:
    if n_bytes > most:
        raise ValueError(
            f"{claim} {n_bytes / MiB:.0f} MiB; at most {most // MiB} MiB are read: give one frame, or a smaller stack"
        )


def _answer(wanted: dict[str, Any], also: AlsoBelow) -> tuple[dict[str, Any], bytes | memoryview]:
    """Answer on one reference: a line of JSON, and the pixels."""
    path, kind = Path(wanted["path"]), wanted["kind"]
    try:
        image, exposure_s = read_reference(path, wanted["dataset"], kind, also)
    except MemoryError:
        reason = f"cannot read the {kind} {path}: that takes more than {MEMORY_BYTES // MiB} MiB of memory"
        return {"error": reason}, b""
    except (PtychostreamError, *UNREADABLE) as error:
        said = str(error)
        names_it = isinstance(error, ConfigError) and str(path) in said
        return {"error": said if names_it else f"cannot read the {kind} {path}: {said}"}, b""
    return {"shape": image.shape, "dtype": image.dtype.str, "exposure_s": exposure_s}, image.data


def main(question: str) -> None:
    """Answer a question of `references`, in its order."""
    asked = json.loads(question)
    also = AlsoBelow(tuple(map(Path, asked["folders"])), asked["option"])
    out = sys.stdout.buffer
    for wanted in asked["wanted"]:
        facts, pixels = _answer(wanted, also)
        out.write(json.dumps(facts).encode() + b"\n")
        out.write(pixels)
        out.flush()


if __name__ == "__main__":
    limit_this_process(MEMORY_BYTES, 4 * MOST_FRAME_BYTES)
    main(sys.argv[1])
