"""Standard files that were not closed, or not copied whole: as a killed writer, `cp` and `h5clear` leave them."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from typing import Any

import h5py

from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import START_NS, append_example_rows, example_header, example_ledger

GEOMETRY: dict[str, Any] = {"frame_shape": (64, 80), "pixel_m": 75e-6, "det_dist_m": 0.05}
N_ROWS, N_BEYOND, BURST = 40, 3, 4


def dies_before_the_keys(file: StandardFile, n_rows: int) -> None:
    """Let the writer of a file stop between its rows and their keys: then it is copied beside itself."""
    announce = file._rows.announce

    def dying() -> None:
        if file._rows.n_written == n_rows > file._rows.n_announced:
            shutil.copyfile(file.path, file.path.with_name("killed_std.h5"))
        announce()

    file._rows.announce = dying


def write_killed(folder: Path) -> Path:
    """Forty rows with keys, and three more whose keys were not written: the copy of a growing file is what is left."""
    with StandardFile.create(folder / "growing_std.h5", example_header(60, **GEOMETRY)) as file:
        dies_before_the_keys(file, N_ROWS + N_BEYOND)
        file.set_state("RECEIVING")
        for start in range(0, N_ROWS, BURST):
            append_example_rows(file, start, start + BURST)
            file.flush()
            file.write_counts(dict(example_ledger(start + BURST).counts) | {"expected": 60})
        append_example_rows(file, N_ROWS, N_ROWS + N_BEYOND)
        file.flush()
    (folder / "growing_std.h5").unlink()
    return folder / "killed_std.h5"


def write_finished(folder: Path) -> Path:
    """The same scan, complete and closed."""
    path = folder / "finished_std.h5"
    with StandardFile.create(path, example_header(N_ROWS, **GEOMETRY)) as file:
        for start in range(0, N_ROWS, BURST):
            append_example_rows(file, start, start + BURST)
            file.flush()
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 60_000_000_000, f"{N_ROWS} rows")
    return path


def end_of_row(path: Path, row: int) -> int:
    """The byte behind a frame."""
    with h5py.File(path, "r", swmr=True) as file:
        info = file["/entry/data"].id.get_chunk_info_by_coord((row, 0, 0))
        return info.byte_offset + info.size


def cut(path: Path, n_bytes: int) -> Path:
    """A copy of the first bytes."""
    copy = path.with_name(f"cut_{path.name}")
    shutil.copyfile(path, copy)
    os.truncate(copy, n_bytes)
    return copy


def h5clear(path: Path, increment: int = 0) -> None:
    """As `h5clear --status --increment`: the file opens like any other afterwards, whatever is in it."""
    hdf5 = ctypes.CDLL(h5py.h5p.__file__)
    access, yes = h5py.h5p.create(h5py.h5p.FILE_ACCESS), ctypes.c_bool(True)
    for name in (b"clear_status_flags", b"skip_eof_check"):
        assert hdf5.H5Pset(ctypes.c_int64(access.id), name, ctypes.byref(yes)) >= 0
    file = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR, access)
    assert hdf5.H5Fincrement_filesize(ctypes.c_int64(file.id), ctypes.c_uint64(increment)) >= 0
    file.close()
