"""The whole rows of a file that is still being written, or whose writer was killed, as a closed file PtyPy can open.

PtyPy's Hdf5Loader opens closed files only. This is not a standard file: it has what a recipe reads, and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py

from stream_service.output_file import check_is_no_input
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import whole_hdf5
from stream_service.standard_file.schema import paths

BY_ROWS = (paths.DATA, paths.POS_X, paths.POS_Y, paths.KEEP)
WHOLE = (paths.MASK, paths.ENERGY, paths.DET_DIST, paths.PIXEL)
BLOCK_BYTES = 64 << 20


def closed_copy(scan: ScanFile, path: Path) -> ScanFile:
    """Write the rows that are whole to `path`; the scan as it is there. Raises `WriteError`."""
    check_is_no_input(path, [scan.path], "the copy of the rows,")
    ny, nx = scan.frame_shape
    block = max(1, BLOCK_BYTES // (4 * ny * nx))
    with scan.open() as source, whole_hdf5(path, f"copy the rows of {scan.path} to it") as (target, check):
        for path_in in WHOLE:
            target[path_in] = source[path_in][()]  # type: ignore[index]
        for path_in in BY_ROWS:
            rows = source[path_in]
            assert isinstance(rows, h5py.Dataset)
            chunks = (1, ny, nx) if path_in == paths.DATA else None
            copy = target.create_dataset(path_in, (scan.n_rows, *rows.shape[1:]), rows.dtype, chunks=chunks)
            for start in range(0, scan.n_rows, block):
                stop = min(start + block, scan.n_rows)
                copy[start:stop] = rows[start:stop]
                check()
    return replace(scan, path=path, is_growing=False)
